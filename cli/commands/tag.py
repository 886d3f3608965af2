"""``threadkeep tag``."""

from typing import TYPE_CHECKING

import typer

from cli import errors
from cli.arguments.filters import Selection, takes_selection
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, OptionalTagsArgument, locations
from cli.arguments.values import tags_of
from cli.terminal import output
from cli.terminal.cells import settled
from cli.terminal.text import one_line

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


@takes_selection
def command(
    context: typer.Context,
    tags: OptionalTagsArgument = None,
    archived: ArchivedOption = False,
    *,
    selection: Selection,
) -> int:
    """Put tags on threads. Without arguments, list the tags with how many threads have each."""
    here = locations(context)
    if tags is None:
        if archived or selection._replace(threads=None, as_json=False) != Selection():
            raise typer.BadParameter("no tags are given\nthreadkeep tag bug,urgent 01a1e766")
        return _list(here, as_json=selection.as_json)
    from cli.edit.marks import mark
    from state.userdata.marks import ON, TAG

    changes = {TAG + tag: ON for tag in tags_of(tags)}
    return mark(
        here, "tag", selection, changes, lambda marks: ",".join(marks.tags), archived=archived
    )


def _list(here: Locations, *, as_json: bool) -> int:
    from cli.runtime.in_step import in_step
    from state.query.marks import tag_counts_steps

    counts = in_step(here, lambda reader: reader.read(tag_counts_steps()))
    if counts is None:
        from cli.runtime.open_index import catch_up_and_report, read_index

        async def work(index: "ThreadIndex") -> dict[str, int]:
            await catch_up_and_report(index)
            return await index.database.query(tag_counts_steps())

        counts = read_index(here, work)
    if as_json:
        entries = [{"tag": tag, "threads": count} for tag, count in counts.items()]
        output.data({"version": 1, "tags": entries})
    elif counts and output.on_terminal():
        from cli.terminal.table import Cell, Column, table

        columns = [Column("tag", grows=True), Column("threads", worth=1, right=True)]
        rows = [[Cell(settled(tag)), Cell(f"{count:,}")] for tag, count in counts.items()]
        output.lines(table(columns, rows))
    elif counts:
        output.lines(f"{one_line(tag)}\t{count}" for tag, count in counts.items())
    else:
        output.say("No thread has a tag. threadkeep tag TAGS THREAD puts some on one.")
    return errors.OK if counts else errors.NO_MATCH
