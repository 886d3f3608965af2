"""``threadkeep rename``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.filters import Selection
from cli.arguments.options import DryRunOption, JsonOption, ThreadArgument, locations
from cli.terminal import output
from cli.terminal.text import one_line

if TYPE_CHECKING:
    from cli.edit.batch import AppliedChange
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    thread: ThreadArgument,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The new name. With - for the thread, both come from stdin: an id, a tab and a"
            " name on each line.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> int:
    """Name a thread, here and in Codex."""
    from cli.edit import batch
    from state.edit.metadata import set_name
    from state.edit.refresh import refresh_names

    if (thread == "-") != (name is None):
        raise typer.BadParameter("give THREAD and NAME, or - to read both from stdin")
    names = {thread: name} if name is not None else _names(batch.stdin_lines())
    sqlite_home = locations(context).sqlite_home

    async def change(index: "ThreadIndex", id_: str, reference: str) -> "AppliedChange":
        changed, kept = await set_name(
            index, id_, names[reference], sqlite_home, dry_run=dry_run, refresh=False
        )
        if not as_json:
            words = "would be named" if dry_run else "is now named"
            output.say(f"{id_} {words} {one_line(kept)}.")
        return batch.AppliedChange(
            {"name": kept}, indexed=changed.indexed, codex_error=changed.codex_error
        )

    selection = Selection(threads=[thread], dry_run=dry_run, as_json=as_json)
    return batch.run(
        locations(context), "rename", selection, change, references=[*names], after=refresh_names
    )


def _names(lines: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        thread, tab, name = line.partition("\t")
        if not tab or "\t" in name:
            shown = one_line(line)[:60]
            raise typer.BadParameter(f"each line needs an id, a tab and a name, not {shown!r}")
        found[thread.strip()] = name
    return found
