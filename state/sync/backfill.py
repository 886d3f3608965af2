"""Fill the index of a whole home: a leased, fenced, resumable job.

``pending -> running -> complete``. The files that changed last are read first, in batches. One
transaction holds a batch's rows, ledger entries and counters, the watermark and the renewed lease.
What was committed is never read again: the next worker compares the files with the ledger and
continues with the rest. At the end rows whose file is gone are deleted.
"""

import sqlite3
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rollout.files.scan import FoundFile, check_home
from state.db.database import Database
from state.db.job_table import BACKFILL
from state.db.steps import Result, Work
from state.jobs.pool import ReadPool
from state.jobs.progress import DEFAULT_LEASE_S, Report, SyncProgress
from state.jobs.runner import Job, run_job
from state.rows.ledger import away_in, watermark
from state.rows.writer import load_context
from state.sync import sync
from state.sync.copies import compare_copies
from state.sync.filling import Beside, Filling
from state.sync.unread import Waiting

_BULK_FILES: Final = 1000
"""A first fill of so many files builds the indexes that it does not need itself at its end: keeping
these meanwhile is two thirds of SQLite's work (measured)."""


async def backfill(
    database: Database,
    home: Path,
    *,
    lease_s: float = DEFAULT_LEASE_S,
    batch_files: int = sync.BATCH_FILES,
    force: bool = False,
    report: Report | None = None,
    waiting: Waiting | None = None,
    beside: Beside | None = None,
) -> SyncProgress:
    """Run the job to its end, from wherever the last worker left it.

    ``force`` reads every file again; ``beside`` makes more of them than their rows. Cancelled, it
    gives its lease back after the batch that was being stored, so that the next worker continues at
    once. Raises HomeNotFound if there is no home to fill from, Answered if ``waiting`` needs no
    more, and what :func:`state.jobs.runner.run_job` raises.
    """
    check_home(home)

    def work(job: Job) -> Coroutine[Any, Any, SyncProgress]:
        return _Backfill(job, home, batch_files, force, report, waiting, beside).run()

    return await run_job(database, BACKFILL, work, lease_s=lease_s, restart=force)


@dataclass(slots=True)
class _Backfill:
    _job: Job
    _home: Path
    _batch_files: int
    _force: bool
    _report: Report | None
    _waiting: Waiting | None
    _beside: Beside | None
    _counts: SyncProgress = field(default_factory=SyncProgress)
    _current: int = 0
    """Files that were up to date before."""
    _watermark: str | None = None

    async def run(self) -> SyncProgress:
        database = self._job.database
        write = self._write
        await sync.apply_inputs(database, self._home, self._job.transact)
        context = load_context(self._home)
        modules = (self._beside.read.__module__,) if self._beside else ()
        async with ReadPool(self._home, *modules) as pool:
            changes = await sync.find_changes(database, self._home, reread=self._force)
            counts = self._counts
            counts.files, counts.total = changes.files, len(changes.to_read)
            counts.away = away_in(changes)
            self._current = changes.files - len(changes.to_read) - len(changes.ignored)
            filling = Filling(
                *(database, write, pool, changes, context, counts, self._batch_files),
                report=self._report,
                waiting=self._waiting,
                stored=self._stored,
                beside=self._beside,
            )
            await filling.first()
            if not changes.known and len(changes.to_read) >= _BULK_FILES:
                await write(_drop_indexes)
            await filling.rest()
            await sync.finish_changes(write, self._home, changes, pool, counts, context)
        await compare_copies(database, self._home, self._job.transact)
        await sync.apply_inputs(database, self._home, self._job.transact)
        await write(_create_indexes)
        if self._report:
            self._report(counts)
        return counts

    async def _write(self, work: Work[Result], /) -> Result:
        return await self._job.transact(work, self._columns)

    def _stored(self, last: FoundFile) -> None:
        self._watermark = watermark(last)

    def _columns(self) -> dict[str, Any]:
        """How far the job is, as the columns of its table."""
        counts = self._counts
        mark = {} if self._watermark is None else {"watermark": self._watermark}
        return mark | {
            "files_total": counts.files,
            "files_done": self._current + counts.done,
            "files_unreadable": counts.unreadable,
            "threads_pruned": counts.dropped,
        }


def _drop_indexes(connection: sqlite3.Connection) -> None:
    from state.db.schema import DEFERRED_INDEXES

    for index in DEFERRED_INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {index.name}")


def _create_indexes(connection: sqlite3.Connection) -> None:
    from state.db.ddl import index_sql
    from state.db.schema import DEFERRED_INDEXES

    for index in DEFERRED_INDEXES:
        connection.execute(index_sql(index))
