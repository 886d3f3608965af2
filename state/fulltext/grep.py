"""Search the raw lines of the rollouts of a list of threads, in parallel processes."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from rollout.errors import Damage
from rollout.search.grep import RawHits, grep_rollouts
from rollout.search.terms import Term
from state.jobs.pool import read_files
from state.jobs.progress import Report
from state.query.model import Query
from state.query.rows import Row
from state.thread_index import ThreadIndex

Result = TypeVar("Result")


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
    look = partial(grep_rollouts, terms=list(terms), most=most_hits)
    reading = read_rollouts(index, among, look, report)
    async with aclosing(reading):
        async for id_, path, looked in reading:
            damage += looked.damage
            if looked.unreadable:
                unreadable.append(path)
            if looked.hits is not None and (row := (await index.rows_of([id_])).get(id_)):
                yield row, looked.hits


async def read_rollouts(
    index: ThreadIndex,
    among: Query,
    work: Callable[[str, Sequence[str]], list[Result]],
    report: Report | None,
) -> AsyncGenerator[tuple[str, str, Result]]:
    """What ``work`` gives for the rollouts of a list of threads, each with the thread's id and the
    path. Rows are not kept meanwhile: those of 100,000 threads take 160 MB."""
    ids: list[str] = []
    files: list[tuple[str, int]] = []
    async for row in index.all_rows(among):
        ids.append(row["id"])
        files.append((row["rollout_path"], row["size_bytes"]))
    reading = read_files(index.home, work, files, batch=20, report=report)
    waiting = iter(zip(ids, files, strict=True))
    async with aclosing(reading):
        async for result in reading:
            id_, (path, _) = next(waiting)
            yield id_, path, result
