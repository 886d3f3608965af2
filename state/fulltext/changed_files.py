"""Find the threads of a list that have changed a file, by reading their rollouts, in parallel
processes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from rollout.search.changed_files import LastChange, last_changes
from state.fulltext.grep import read_rollouts
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
    reading = read_rollouts(index, among, partial(last_changes, name=name), report)
    async with aclosing(reading):
        async for id_, _, change in reading:
            if change is not None and (row := (await index.rows_of([id_])).get(id_)):
                yield row, change
