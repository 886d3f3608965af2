"""Fill the full-text index: a leased, fenced, resumable job, after the metadata.

Triggers put each thread that is new or changed into ``fulltext_pending``. The job reads the
messages of these threads, the most recently updated first, and stores them in batches. Each batch
is one transaction that the fence guards, and what it stores is no longer pending. A thread that has
only grown is read from where the last pass ended. One that cannot be read has its header stored,
and is pending again once it can be.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NoReturn

from rollout.search.changed_files import ChangesIn, changes_in_each
from rollout.search.documents import Documents, Thread, read_documents, read_many
from rollout.search.extract import EarlierMessages
from rollout.search.one_pass import read_all
from state.aio import check_not_cancelled
from state.db.job_table import FULLTEXT
from state.db.sql import AMONG, listed
from state.db.steps import Steps, run_steps
from state.errors import IndexBusy, IndexUnavailable, LeaseHeld, LeaseLost
from state.fulltext.change_rows import Unlisted, list_changes, unlisted_steps
from state.fulltext.due import due_again, others_steps, without_changes_steps
from state.fulltext.store import (
    THREAD,
    earlier_passes,
    last_document,
    store_beside,
    store_documents,
    thread_of,
)
from state.jobs.lease import job_row
from state.jobs.pool import ReadPool, ordered_map
from state.jobs.progress import DEFAULT_LEASE_S, JobProgress, Report
from state.jobs.runner import Job, run_job
from state.rollout_locator import rollout_locator
from state.sync.filling import Beside
from state.thread_index import ThreadIndex

_log = logging.getLogger("threadkeep.fulltext")

MESSAGES: Final = Beside(read_all, store_beside)
"""The messages of threads, for a backfill that finds them in its one pass over each file. Those
that it cannot tell for certain stay pending."""
BATCH_THREADS: Final = 200
"""Threads in one transaction."""
_BATCHES_AHEAD: Final = 3
_WASTE: Final = 10_000
"""So many deleted documents are worth a rebuild, if they are as many as the others."""
_IDLE: Final = "NOT IN (SELECT row_id FROM fulltext_pending)"


async def pending_threads(index: ThreadIndex) -> int:
    """How many threads are new or have changed since their messages were indexed."""
    return await index.database.look(partial(_count, table="fulltext_pending"))


def _count(connection: sqlite3.Connection, table: str) -> int:
    counted: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return counted


async def fill_fulltext(
    index: ThreadIndex,
    report: Report | None = None,
    *,
    batch_threads: int = BATCH_THREADS,
    most: int | None = None,
) -> JobProgress:
    """Run the job to its end, from wherever the last worker left it; or read only the ``most``
    threads that changed last, and leave the others pending. Raises LeaseHeld if another worker has
    the job, and LeaseLost if one took it over."""
    count, found, complete = await index.database.look(_due)
    look = partial(due_again, index.home, found)
    again = await index.database.workers.run(look) if found else []
    if not (count or again) and complete:
        return JobProgress()

    def work(job: Job) -> Coroutine[Any, Any, JobProgress]:
        return _Filling(index, job, batch_threads, report, most).run(again)

    return await run_job(index.database, FULLTEXT, work, lease_s=DEFAULT_LEASE_S)


def _due(connection: sqlite3.Connection) -> tuple[int, list[tuple[int, int, str]], bool]:
    """How many threads are pending or lack their changes, what may be due again, and whether the
    job is complete."""
    status = job_row(connection, FULLTEXT)["status"]
    count = _count(connection, "fulltext_pending") + run_steps(without_changes_steps(), connection)
    return count, run_steps(others_steps(), connection), status == "complete"


async def forget_fulltext(index: ThreadIndex) -> None:
    """Have all messages read again. Raises as :func:`fill_fulltext`."""

    async def work(job: Job) -> None:
        await job.transact(_forget)

    await run_job(index.database, FULLTEXT, work, lease_s=DEFAULT_LEASE_S)


async def caught_up_fulltext(
    index: ThreadIndex, report: Report | None = None, *, most: int | None = None
) -> bool:
    """As :func:`fill_fulltext`: False if another worker is filling it, which may take long."""
    with suppress(LeaseHeld, LeaseLost):
        await fill_fulltext(index, report, most=most)
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

    async def run(self, again: Sequence[int]) -> JobProgress:
        done: set[tuple[Any, ...]] = set()

        def begin(connection: sqlite3.Connection) -> None:
            if _is_wasteful(connection):
                _forget(connection)
            connection.execute(
                "INSERT INTO fulltext_pending SELECT row_id FROM fulltext_threads"
                f" WHERE row_id {AMONG} AND row_id {_IDLE}",
                [listed(again)],
            )

        await self._job.transact(begin)
        async with ReadPool(self._index.home, read_many.__module__) as pool:
            # What changes meanwhile is pending again; what stays so unchanged is left to others.
            while wanted := [each for each in await self._pending() if each not in done]:
                done.update(wanted)
                self._counts.total += len(wanted)
                pool.prepare(files=len(wanted))
                await self._read(pool, wanted)
                if self._most is not None:
                    break
            else:
                await self._read_changes(pool)
        return self._counts

    async def _read_changes(self, pool: ReadPool) -> None:
        """Add the changes of threads whose messages an earlier version has indexed. Those that
        cannot be read are tried the next time."""
        unlisted = await self._index.database.query(unlisted_steps())
        self._counts.total += len(unlisted)
        pool.prepare(files=len(unlisted))

        async def read(batch: Sequence[Unlisted]) -> list[ChangesIn | None]:
            items = [(thread.files, thread.end) for thread in batch]
            return await pool.map(changes_in_each, items)

        batches = ordered_map(read, unlisted, batch=self._batch_threads, ahead=_BATCHES_AHEAD)
        async with batches as following:
            async for batch, found in following:
                self._counts.done += len(batch)
                pairs = [*zip(batch, found, strict=True)]
                await self._job.transact(partial(_list_changes, pairs), self._columns)
                if self._report:
                    self._report(self._counts)

    async def _pending(self) -> list[Thread]:
        return await self._index.database.query(_pending_steps(self._most))

    async def _read(self, pool: ReadPool, wanted: Sequence[Thread]) -> None:
        async with ordered_map(
            partial(self._documents, pool), wanted, batch=self._batch_threads, ahead=_BATCHES_AHEAD
        ) as batches:
            async for batch, read in batches:
                await self._job.transact(partial(self._store, batch, read), self._columns)
                if self._report:
                    self._report(self._counts)

    def _store(
        self, batch: Sequence[Thread], read: Sequence[Documents], connection: sqlite3.Connection
    ) -> None:
        store_documents(connection, read)
        self._counts.done += len(batch)
        self._counts.bytes_done += sum(thread.stamp.size for thread in batch)

    def _columns(self) -> dict[str, int]:
        return {"threads_total": self._counts.total, "threads_done": self._counts.done}

    async def _documents(self, pool: ReadPool, batch: Sequence[Thread]) -> list[Documents]:
        earlier = await self._index.database.look(partial(earlier_passes, threads=batch))
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


def _list_changes(
    read: Sequence[tuple[Unlisted, ChangesIn | None]], connection: sqlite3.Connection
) -> None:
    list_changes(connection, read)


def _pending_steps(most: int | None) -> Steps[list[Thread]]:
    asked = (
        f"SELECT {THREAD} FROM fulltext_pending p JOIN threads t ON t.row_id = p.row_id"
        " ORDER BY t.updated_at_ms DESC LIMIT ?"
    )
    return [thread_of(row) for row in (yield asked, [-1 if most is None else most])]


def _is_wasteful(connection: sqlite3.Connection) -> bool:
    """Whether most documents of the index have been deleted."""
    live = _count(connection, "fulltext_documents")
    return last_document(connection) - live >= max(live, _WASTE)


def _forget(connection: sqlite3.Connection) -> None:
    """Have all messages read again, in the transaction of the lease's holder."""
    for sql in (
        "DELETE FROM file_changes",
        "DELETE FROM changed_files",
        "DELETE FROM fulltext_documents",
        "DELETE FROM fulltext_threads",
        "DELETE FROM sqlite_sequence WHERE name = 'fulltext_documents'",
        "INSERT INTO fulltext_trigrams (fulltext_trigrams) VALUES ('delete-all')",
        f"INSERT INTO fulltext_pending SELECT row_id FROM threads WHERE row_id {_IDLE}",
    ):
        connection.execute(sql)


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
