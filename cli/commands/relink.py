"""``threadkeep relink``."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.text import iso, one_line, plural

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex
    from state.userdata.model import FolderAlias


def command(
    context: typer.Context,
    old: Annotated[str | None, typer.Argument(metavar="OLD", help="Where the folder was.")] = None,
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="Where it is now.")] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="OLD", help="Forget that this folder has moved.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Record that a project folder has moved, so that list --cwd NEW finds its threads. Without
    arguments, list the moved folders."""
    from cli.runtime.open_index import catch_up_and_report, read_index, with_index
    from state.userdata.relink import aliases, relink, unlink

    if (old is None) != (new is None) or (old is not None and remove is not None):
        raise typer.BadParameter("give OLD and NEW, or --remove OLD, or nothing")

    async def work(index: "ThreadIndex") -> "tuple[list[FolderAlias], int | None]":
        if remove is not None:
            return [await unlink(index.database, remove)], None
        if old is None or new is None:
            return await aliases(index.database), None
        await catch_up_and_report(index)
        alias, count = await relink(index.database, old, new)
        return [alias], count

    changes = remove is not None or old is not None
    found, count = (with_index if changes else read_index)(locations(context), work)
    if as_json:
        entries = [
            {"old": alias.alias, "new": alias.value, "setAt": iso(alias.set_at_ms) or None}
            for alias in found
        ]
        output.data({"version": 1, "aliases": entries, "threads": count}, changed=changes)
    elif remove is not None:
        output.say(f"Removed the link for {one_line(found[0].alias)}.")
    elif count is not None:
        old, new = one_line(found[0].alias), one_line(found[0].value or "")
        threads = plural(count, "more thread")
        output.say(f"Linked {old} → {new}: --cwd with the new folder now finds {threads}.")
    elif found and output.on_terminal():
        output.lines(_table(found))
    elif found:
        output.lines(
            "\t".join((one_line(each.alias), one_line(each.value or ""), iso(each.set_at_ms)))
            for each in found
        )
    else:
        output.say("No folder is recorded as moved. threadkeep relink OLD NEW records one.")
    return errors.OK


def _table(found: "list[FolderAlias]") -> Iterator[str]:
    from cli.render.labels import folder
    from cli.terminal.cells import cut_folder
    from cli.terminal.table import Cell, Column, table
    from cli.terminal.text import local

    columns = [
        Column("folder", grows=True, cut=cut_folder),
        Column("is now", 12, worth=2, cut=cut_folder),
        Column("since", worth=1),
    ]
    home = os.path.expanduser("~")
    rows = [
        [
            Cell(folder(each.alias, home)),
            Cell(folder(each.value or "", home)),
            Cell(local(each.set_at_ms)),
        ]
        for each in found
    ]
    return table(columns, rows)
