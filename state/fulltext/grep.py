"""Look for terms in all that the rollouts of a list of threads hold, in parallel processes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from rollout.errors import Damage
from rollout.search.grep import RawHits, raw_many
from rollout.search.terms import Term
from state.jobs.pool import worker_pool
from state.jobs.progress import JobProgress, Report
from state.query.model import LARGEST_PAGE, Query
from state.query.rows import Row
from state.thread_index import ThreadIndex

_TASK_FILES: Final = 20
_POOL_FROM_BYTES: Final = 50_000_000


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
    """The threads of a list whose rollouts hold all terms, in the order of the list. In ``damage``
    is noted where those that were looked into break off, and in ``unreadable`` which ones cannot
    be read."""
    rows: list[Row] = []
    cursor = among.cursor
    while True:
        page = await index.page(replace(among, cursor=cursor, limit=LARGEST_PAGE))
        rows += page.rows
        cursor = page.next_cursor
        if cursor is None:
            break
    counts = JobProgress(total=len(rows))
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        large = sum(row["size_bytes"] for row in rows) >= _POOL_FROM_BYTES
        pool = worker_pool() if large else None
        if pool is not None:
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        parts = [rows[start : start + _TASK_FILES] for start in range(0, len(rows), _TASK_FILES)]
        works = [
            partial(raw_many, str(index.home), _paths(part), list(terms), most_hits)
            for part in parts
        ]
        tasks = [
            asyncio.ensure_future(
                loop.run_in_executor(pool, work) if pool else index.database.workers.run(work)
            )
            for work in works
        ]
        try:
            for part, task in zip(parts, tasks, strict=True):
                for row, looked in zip(part, await task, strict=True):
                    counts.done += 1
                    counts.bytes_done += row["size_bytes"]
                    damage += looked.damage
                    if looked.unreadable:
                        unreadable.append(row["rollout_path"])
                    if looked.hits is not None:
                        yield row, looked.hits
                if report:
                    report(counts)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _paths(rows: Sequence[Row]) -> list[str]:
    return [row["rollout_path"] for row in rows]
