"""``threadkeep explain``."""

from pathlib import Path
from typing import Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption, ThreadArgument, locations
from cli.terminal import output
from cli.terminal.style import painter


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
    from cli.render.explanation import document, explained_lines
    from cli.runtime.open_index import read_index
    from state.explain.explain import explain

    here = locations(context)
    folder = str(Path(cwd)) if cwd is not None else _current_folder()
    found = read_index(
        here, lambda index: explain(index, thread, cwd=folder, sqlite_home=here.sqlite_home)
    )
    if as_json:
        output.data(document(found))
    else:
        width = output.width() if output.on_terminal() else None
        output.lines(explained_lines(found, width, painter()))
    return errors.OK


def _current_folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        output.say("The current folder has been removed, so threads of every folder count.")
        return None
