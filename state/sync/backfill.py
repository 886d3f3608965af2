"""Fill the index of a whole home: a leased, fenced, resumable job.

``pending -> running -> complete``. Files are read newest name first, in batches. One transaction
holds a batch's rows, ledger entries and counters, the watermark and the renewed lease. What was
committed is never read again: the next worker compares the files with the ledger and continues with
the rest. At the end rows whose file is gone are deleted.
"""

import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, DropIndex

from rollout.files.scan import check_home, scan_home
from state.db.database import Database
from state.db.schema import DEFERRED_INDEXES, backfill_state
from state.jobs.lease import Owner, job_row
from state.jobs.pool import ReadPool
from state.jobs.progress import DEFAULT_LEASE_S, Report, SyncProgress, done_of
from state.jobs.runner import Job, run_job
from state.sync import sync
from state.sync.copies import compare_copies
from state.sync.ledger import Changes, compare_with_ledger, watermark
from state.sync.writer import Context, load_context, store_files

_FIRST_FILES: Final = 100
"""The first batch is small: the newest threads are there before the home has been walked."""
_BULK_FILES: Final = 1000
"""A first fill of so many files builds the indexes of filters at its end: folders come in no order,
so that keeping these meanwhile is half of SQLite's work (measured)."""


@dataclass(frozen=True, slots=True)
class BackfillStatus:
    """The job as the database has it."""

    status: str
    watermark: str | None
    owner: Owner | None
    fence: int
    lease_expires_at_ms: int
    files_total: int
    """0 until the home has been walked."""
    files_done: int
    files_unreadable: int
    threads_pruned: int
    started_at_ms: int | None
    updated_at_ms: int | None
    completed_at_ms: int | None
    last_error: str | None

    @property
    def progress(self) -> str:
        """How far it is: ``5 of 8 files``, or ``5 files`` while the total is not known."""
        return done_of(self.files_done, self.files_total)

    def is_being_worked_on(self, at_ms: int) -> bool:
        """Whether some worker holds the lease and may be alive."""
        held = self.status == "running" and self.owner is not None
        return held and self.lease_expires_at_ms > at_ms and not self.owner.is_dead()  # type: ignore[union-attr]


async def backfill_status(connection: AsyncConnection) -> BackfillStatus:
    """The state of the job."""
    row = await job_row(connection, backfill_state)
    values = {key: value for key, value in row._mapping.items() if key != "id"}
    return BackfillStatus(**values | {"owner": Owner.parse(row.owner)})


async def backfill(
    database: Database,
    home: Path,
    *,
    lease_s: float = DEFAULT_LEASE_S,
    batch_files: int = sync.BATCH_FILES,
    force: bool = False,
    report: Report | None = None,
) -> SyncProgress:
    """Run the job to its end, from wherever the last worker left it.

    ``force`` reads every file again. Cancelled, it gives its lease back after the batch that
    was being stored, so that the next worker continues at once. Raises HomeNotFound if there is no
    home to fill from, and what :func:`state.jobs.runner.run_job` raises.
    """
    check_home(home)

    def work(job: Job) -> Coroutine[Any, Any, SyncProgress]:
        return _Backfill(job, home, batch_files, force, report).run()

    return await run_job(database, backfill_state, work, lease_s=lease_s, restart=force)


@dataclass(slots=True)
class _Backfill:
    _job: Job
    _home: Path
    _batch_files: int
    _force: bool
    _report: Report | None
    _counts: SyncProgress = field(default_factory=SyncProgress)
    _current: int = 0
    """Files that were up to date before."""
    _watermark: str | None = None

    async def run(self) -> SyncProgress:
        database = self._job.database
        context = load_context(self._home)
        async with ReadPool(self._home) as pool:
            changes = await self._begin(pool)
            first = changes is not None
            if changes is None:
                changes = await sync.find_changes(database, self._home, reread=self._force)
            self._counts.files = changes.files
            self._counts.away = sync.away_in(changes)
            self._counts.total = self._counts.done + len(changes.to_read)
            unread = len(changes.to_read) + len(changes.ignored)
            self._current = changes.files - unread - self._counts.done
            pool.prepare(files=len(changes.to_read))
            if first and len(changes.to_read) >= _BULK_FILES:
                async with self._job.write(self._columns) as connection:
                    for index in DEFERRED_INDEXES:
                        await connection.execute(DropIndex(index, if_exists=True))
            await self._store(pool, changes, context)
            await sync.finish_changes(
                self._job.write, self._home, changes, pool, self._counts, context
            )
        await compare_copies(database, self._home, self._job.write)
        await sync.apply_inputs(database, self._home, self._job.write)
        async with self._job.write(self._columns) as connection:
            for index in DEFERRED_INDEXES:
                await connection.execute(CreateIndex(index, if_not_exists=True))
        self._report_counts()
        return self._counts

    async def _begin(self, pool: ReadPool) -> Changes | None:
        """Store the newest few files, walk the rest of the home, and compare it all."""
        if await sync.read_ledger(self._job.database):
            return None
        found = scan_home(self._home)
        first = await self._job.database.workers.run(
            lambda: list(itertools.islice(found, _FIRST_FILES))
        )
        start = compare_with_ledger(first, {})
        await self._store(pool, start, load_context(self._home))
        ledger = await sync.read_ledger(self._job.database)
        changes = await self._job.database.workers.run(
            lambda: compare_with_ledger(itertools.chain(first, found), ledger)
        )
        done = set(start.to_read)
        changes.to_read = [file for file in changes.to_read if file not in done]
        return changes

    async def _store(self, pool: ReadPool, changes: Changes, context: Context) -> None:
        """Read and store files, a batch in one transaction."""
        database = self._job.database
        async with sync.read_batches(database, pool, changes, self._batch_files) as batches:
            async for batch, outcomes in batches:
                async with self._job.write(self._columns) as connection:
                    stored = await store_files(connection, outcomes, context, changes.vanished)
                    sync.tally(self._counts, stored, batch)
                    self._watermark = watermark(batch[-1])
                await sync.reread(self._job.write, pool, stored, context)
                self._report_counts()

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

    def _report_counts(self) -> None:
        if self._report:
            self._report(self._counts)
