"""Fill the full-text index: a leased, fenced, resumable job, after the metadata.

Triggers put each thread that is new or changed into ``fulltext_pending``. The job reads the
messages of these threads, the most recently updated first, and stores them in batches. Each batch
is one transaction that the fence guards, and what it stores is no longer pending. A thread that has
only grown is read from where the last pass ended. One that cannot be read has its header stored,
and is pending again once it can be.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NoReturn

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.stamp import FileStamp
from rollout.search.documents import Documents, Thread, header_of, read_documents, read_many
from rollout.search.extract import EarlierMessages
from state.aio import check_not_cancelled
from state.db import schema
from state.db.sql import among
from state.db.steps import Steps
from state.errors import IndexBusy, IndexUnavailable, LeaseHeld, LeaseLost
from state.fulltext.due import due_again, others_steps
from state.fulltext.store import earlier_passes, store_documents
from state.jobs.lease import job_row
from state.jobs.pool import ReadPool, ordered_map
from state.jobs.progress import DEFAULT_LEASE_S, JobProgress, Report
from state.jobs.runner import Job, run_job
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex

_log = logging.getLogger("threadkeep.fulltext")

BATCH_THREADS: Final = 200
"""Threads in one transaction."""
_BATCHES_AHEAD: Final = 3
_WASTE: Final = 10_000
"""So many deleted documents are worth a rebuild, if they are as many as the others."""
_IDLE: Final = schema.fulltext_threads.c.row_id.not_in(sa.select(schema.fulltext_pending.c.row_id))


async def pending_threads(index: ThreadIndex) -> int:
    """How many threads are new or have changed since their messages were indexed."""
    async with index.database.read() as connection:
        return await _count(connection, schema.fulltext_pending)


async def _count(connection: AsyncConnection, table: sa.Table) -> int:
    return await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


async def fill_fulltext(
    index: ThreadIndex,
    report: Report | None = None,
    *,
    batch_threads: int = BATCH_THREADS,
    restart: bool = False,
    most: int | None = None,
) -> JobProgress:
    """Run the job to its end, from wherever the last worker left it, or with ``restart`` from
    scratch; or read only the ``most`` threads that changed last, and leave the others pending.
    Raises LeaseHeld if another worker has the job, and LeaseLost if one took it over."""
    async with index.database.read() as connection:
        count = await _count(connection, schema.fulltext_pending)
        job = await job_row(connection, schema.fulltext_state)
    found = await index.database.query(others_steps())
    look = partial(due_again, index.home, found)
    again = await index.database.workers.run(look) if found else []
    if not (count or again or restart) and job.status == "complete":
        return JobProgress()

    def work(job: Job) -> Coroutine[Any, Any, JobProgress]:
        return _Filling(index, job, batch_threads, report, most).run(again, restart=restart)

    return await run_job(index.database, schema.fulltext_state, work, lease_s=DEFAULT_LEASE_S)


async def caught_up_fulltext(
    index: ThreadIndex,
    report: Report | None = None,
    *,
    restart: bool = False,
    most: int | None = None,
) -> bool:
    """As :func:`fill_fulltext`: False if another worker is filling it, which may take long."""
    with suppress(LeaseHeld, LeaseLost):
        await fill_fulltext(index, report, restart=restart, most=most)
        return True
    return False


@dataclass(slots=True)
class _Filling:
    _index: ThreadIndex
    _job: Job
    _batch_threads: int
    _report: Report | None
    _most: int | None = None
    _counts: JobProgress = field(default_factory=JobProgress)

    async def run(self, again: Sequence[int], *, restart: bool) -> JobProgress:
        done: set[tuple[Any, ...]] = set()
        async with self._job.write() as connection:
            if restart or await _is_wasteful(connection):
                await _forget(connection)
            row_id = schema.fulltext_threads.c.row_id
            due = sa.select(row_id).where(among(row_id, again), _IDLE)
            await connection.execute(
                sa.insert(schema.fulltext_pending).from_select(["row_id"], due)
            )
        async with ReadPool(self._index.home) as pool:
            # What changes meanwhile is pending again; what stays so unchanged is left to others.
            while wanted := [each for each in await self._pending() if each not in done]:
                done.update(wanted)
                self._counts.total += len(wanted)
                pool.prepare(files=len(wanted))
                await self._read(pool, wanted)
                if self._most is not None:
                    break
        return self._counts

    async def _pending(self) -> list[Thread]:
        c = schema.threads.c
        preview = sa.case((c.preview == "", c.fallback_preview), else_=c.preview)
        stamp = c.size_bytes, c.mtime_ns, c.inode
        asked = (
            sa.select(c.row_id, c.rollout_path, *stamp, c.name, c.title, preview)
            .join(schema.fulltext_pending, schema.fulltext_pending.c.row_id == c.row_id)
            .order_by(c.updated_at_ms.desc())
            .limit(self._most)
        )
        async with self._index.database.read() as connection:
            return [
                Thread(row[0], row[1], FileStamp(*row[2:5]), header_of(*row[5:]))
                for row in await connection.execute(asked)
            ]

    async def _read(self, pool: ReadPool, wanted: Sequence[Thread]) -> None:
        async with ordered_map(
            partial(self._documents, pool), wanted, batch=self._batch_threads, ahead=_BATCHES_AHEAD
        ) as batches:
            async for batch, read in batches:
                async with self._job.write(self._columns) as connection:
                    await store_documents(connection, read)
                    self._counts.done += len(batch)
                    self._counts.bytes_done += sum(thread.stamp.size for thread in batch)
                if self._report:
                    self._report(self._counts)

    def _columns(self) -> dict[str, int]:
        return {"threads_total": self._counts.total, "threads_done": self._counts.done}

    async def _documents(self, pool: ReadPool, batch: Sequence[Thread]) -> list[Documents]:
        async with self._index.database.read() as connection:
            earlier = await earlier_passes(connection, batch)
        items = [(thread, earlier.get(thread.row_id)) for thread in batch]
        read_before = sum(before.resume.end for before in earlier.values())
        pool.prepare(size=sum(thread.stamp.size for thread in batch) - read_before)
        read = [
            each if isinstance(each, Documents) else await self._with_other_files(*each)
            for each in await pool.map(read_many, items)
        ]
        for each in read:
            if each.problem:
                _log.info("of %s only the header is indexed: %s", each.thread.path, each.problem)
        return read

    async def _with_other_files(self, thread: Thread, earlier: EarlierMessages | None) -> Documents:
        find = rollout_locator(self._index)
        return await self._index.database.workers.run(
            partial(read_documents, self._index.home, thread, earlier, find)
        )


async def _is_wasteful(connection: AsyncConnection) -> bool:
    """Whether most documents of the index have been deleted."""
    live = await _count(connection, schema.fulltext_documents)
    given = await connection.exec_driver_sql(
        "SELECT seq FROM sqlite_sequence WHERE name = 'fulltext_documents'"
    )
    waste: int = (given.scalar() or 0) - live
    return waste >= max(live, _WASTE)


async def _forget(connection: AsyncConnection) -> None:
    """Have all messages read again, in the transaction of the lease's holder."""
    await connection.execute(sa.delete(schema.fulltext_documents))
    await connection.execute(sa.delete(schema.fulltext_threads))
    await connection.exec_driver_sql(
        "DELETE FROM sqlite_sequence WHERE name = 'fulltext_documents'"
    )
    await connection.exec_driver_sql(
        "INSERT INTO fulltext_trigrams (fulltext_trigrams) VALUES ('delete-all')"
    )
    known = sa.select(schema.fulltext_pending.c.row_id)
    missing = sa.select(schema.threads.c.row_id).where(schema.threads.c.row_id.not_in(known))
    await connection.execute(sa.insert(schema.fulltext_pending).from_select(["row_id"], missing))


LOOK_S: Final = 0.5
"""How often new and changed threads are looked for, in seconds."""
RETRY_S: Final = 30.0
"""How often the files of threads that could not be read are tried, in seconds."""
_BUSY: Final = (IndexBusy, LeaseHeld, LeaseLost)
_PASSING: Final = (*_BUSY, IndexUnavailable, BrokenExecutor, OSError)
"""What may end a run of the job and passes: what is pending stays so, for the next run."""


def _any_pending_steps() -> Steps[bool]:
    return bool((yield ("SELECT 1 FROM fulltext_pending LIMIT 1", [])))


async def keep_fulltext(
    index: ThreadIndex, ready: asyncio.Event, *, retry_s: float = RETRY_S
) -> NoReturn:
    """Fill the full-text index once the index is ``ready``, and again whenever it changes, until
    cancelled; every ``retry_s`` seconds also with what could not be read. Raises IndexDamaged if
    the index is no usable database any more."""
    await ready.wait()
    problem = ""
    retry_at = time.monotonic()
    while True:
        try:
            # Most looks find nothing, in a few microseconds.
            retried = time.monotonic() >= retry_at
            if retried or index.database.inline(_any_pending_steps()) is not False:
                await fill_fulltext(index)
                retry_at = time.monotonic() + retry_s
            problem = ""
        except _PASSING as error:
            check_not_cancelled(error)
            if str(error) != problem:  # not twice a second
                problem = str(error)
                level = logging.DEBUG if isinstance(error, _BUSY) else logging.WARNING
                _log.log(level, "the full-text index is behind, and filled later: %s", error)
        await asyncio.sleep(LOOK_S)
