"""``threadkeep explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption, ThreadArgument, locations
from cli.terminal import output
from cli.terminal.text import one_line

if TYPE_CHECKING:
    from state.explain.reasons import Reason


def command(
    context: typer.Context,
    thread: ThreadArgument,
    cwd: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder that Codex's picker opens in. [default: the current one]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Explain why a thread is listed or not, here and in Codex's picker."""
    from cli.render.explanation import document
    from cli.runtime.open_index import read_index
    from state.explain.explain import explain

    here = locations(context)
    folder = str(Path(cwd)) if cwd is not None else _current_folder()
    found = read_index(
        here, lambda index: explain(index, thread, cwd=folder, sqlite_home=here.sqlite_home)
    )
    if as_json:
        output.data(document(found))
        return errors.OK
    output.line(one_line(found.verdict))
    for name, value in (("thread", found.thread_id), ("file", found.path)):
        if value:
            output.line(f"{name:<6} {one_line(value)}")
    for reason in found.reasons:
        _print(reason, found.path)
    return errors.OK


def _current_folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        output.say("The current folder has been removed, so threads of every folder count.")
        return None


def _print(reason: "Reason", path: str | None) -> None:
    mark = "hides" if reason.hides else "note"
    place = "" if reason.path in (path, None) else one_line(reason.path or "")
    if reason.offset is not None:
        place += f" at byte {reason.offset:,}"
    evidence = one_line(f"{reason.evidence} ({place.strip()})" if place else reason.evidence)
    output.line(f"{mark:<6} {reason.where:<5} {reason.code}: {evidence}")
    if reason.mend:
        output.line(f"             do: {one_line(reason.mend)}")
