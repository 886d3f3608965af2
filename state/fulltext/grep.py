"""Search the raw lines of the rollouts of a list of threads, in parallel processes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from rollout.errors import Damage
from rollout.search.grep import RawHits, grep_rollouts
from rollout.search.terms import Term
from state.jobs.pool import read_files
from state.jobs.progress import Report
from state.query.model import Query
from state.query.rows import Row
from state.thread_index import ThreadIndex


async def raw_search(
    index: ThreadIndex,
    terms: Sequence[Term],
    among: Query,
    *,
    most_hits: int,
    damage: list[Damage],
    unreadable: list[str],
    report: Report | None = None,
) -> AsyncGenerator[tuple[Row, RawHits]]:
    """The threads of a list whose rollouts hold all terms, in the order of the list. ``damage``
    gets the places where rollouts break off, and ``unreadable`` those that cannot be read."""
    rows = [row async for row in index.all_rows(among)]
    files = [(row["rollout_path"], row["size_bytes"]) for row in rows]
    look = partial(grep_rollouts, terms=list(terms), most=most_hits)
    reading = read_files(index.home, look, files, batch=20, report=report)
    waiting = iter(rows)
    async with aclosing(reading):
        async for looked in reading:
            row = next(waiting)
            damage += looked.damage
            if looked.unreadable:
                unreadable.append(row["rollout_path"])
            if looked.hits is not None:
                yield row, looked.hits
