"""Find the threads of a list that have changed a file, by reading their rollouts, in parallel
processes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from rollout.search.changed_files import LastChange, last_changes
from state.jobs.pool import read_files
from state.jobs.progress import Report
from state.query.model import Query
from state.query.rows import Row
from state.thread_index import ThreadIndex


async def threads_changing(
    index: ThreadIndex, name: str, among: Query, *, report: Report | None = None
) -> AsyncGenerator[tuple[Row, LastChange]]:
    """The threads of a list that have changed a file whose path holds ``name``, each with the last
    change that it made, in the order of the list. Rollouts that cannot be read have none. Turns
    that were undone count: undoing a turn leaves the files as they are."""
    rows = [row async for row in index.all_rows(among)]
    files = [(row["rollout_path"], row["size_bytes"]) for row in rows]
    reading = read_files(
        index.home, partial(last_changes, name=name), files, batch=20, report=report
    )
    waiting = iter(rows)
    async with aclosing(reading):
        async for change in reading:
            row = next(waiting)
            if change is not None:
                yield row, change
