"""Search the raw lines of the rollouts of a list of threads, in parallel processes."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial

from rollout.errors import Damage
from rollout.search.grep import RawHits, RawResult, grep_rollouts
from rollout.search.terms import Term
from state.jobs.ordered_map import ordered_map
from state.jobs.pool import ReadPool
from state.jobs.progress import JobProgress, Report
from state.query.model import LARGEST_PAGE, Query
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
    rows: list[Row] = []
    cursor = among.cursor
    while True:
        page = await index.page(replace(among, cursor=cursor, limit=LARGEST_PAGE))
        rows += page.rows
        cursor = page.next_cursor
        if cursor is None:
            break
    counts = JobProgress(total=len(rows))
    async with ReadPool(index.home) as pool:
        pool.prepare(size=sum(row["size_bytes"] for row in rows))

        async def look(part: Sequence[Row]) -> list[RawResult]:
            paths = [row["rollout_path"] for row in part]
            return await pool.map(partial(grep_rollouts, terms=list(terms), most=most_hits), paths)

        async with ordered_map(look, rows, batch=20) as parts:
            async for part, found in parts:
                for row, looked in zip(part, found, strict=True):
                    counts.done += 1
                    counts.bytes_done += row["size_bytes"]
                    damage += looked.damage
                    if looked.unreadable:
                        unreadable.append(row["rollout_path"])
                    if looked.hits is not None:
                        yield row, looked.hits
                if report:
                    report(counts)
