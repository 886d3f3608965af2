"""Run a job under its lease: the one way for every job."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from state.aio import shielded
from state.clock import now_ms
from state.db.database import Database
from state.db.job_table import JobTable
from state.db.steps import Result, Work
from state.errors import IndexBusy, LeaseLost
from state.jobs.lease import Lease, Owner, claim


class Answered(Exception):
    """Whoever waited has an answer: the rest of a job is left to the next command."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job under way, which writes only while it holds its lease."""

    database: Database
    lease: Lease

    async def transact(
        self, work: Work[Result], progress: Callable[[], Mapping[str, Any]] = dict
    ) -> Result:
        """A write transaction; at its end the lease is renewed, and the columns of the job are set
        that ``progress`` gives. Raises LeaseLost if another worker has claimed the job; the
        transaction is rolled back."""

        def guarded(connection: sqlite3.Connection) -> Result:
            result = work(connection)
            self.lease.renew(connection, now_ms(), progress())
            return result

        return await self.database.transact(guarded)


async def run_job(
    database: Database,
    table: JobTable,
    work: Callable[[Job], Coroutine[Any, Any, Result]],
    *,
    lease_s: float,
    restart: bool = False,
) -> Result:
    """What ``work`` gives under the lease of the job in ``table``, which is complete then.

    If it fails or is cancelled, the next worker may continue at once. Raises LeaseHeld if another
    worker holds the lease, and LeaseLost if one took the job over, because this one was silent for
    longer than ``lease_s`` seconds.
    """
    owner = Owner.this_process()
    lease = await database.transact(
        lambda connection: claim(
            connection, table, owner, lease_s=lease_s, now_ms=now_ms(), restart=restart
        )
    )
    working = asyncio.create_task(_work_to_end(work, Job(database, lease)))
    heartbeat = asyncio.create_task(_heartbeat(database, lease))
    try:
        await asyncio.wait({working, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await heartbeat  # it ends only by an error, and then the work must too
        return await working
    except BaseException as error:
        await _end(working, heartbeat)
        if not isinstance(error, LeaseLost):
            _, cancelled = await shielded(_give_back(database, lease, error))
            if cancelled:
                raise asyncio.CancelledError from error
        raise
    finally:
        await _end(working, heartbeat)


async def _work_to_end(work: Callable[[Job], Coroutine[Any, Any, Result]], job: Job) -> Result:
    result = await work(job)
    await job.database.transact(
        lambda connection: job.lease.release(connection, now_ms(), complete=True)
    )
    return result


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _heartbeat(database: Database, lease: Lease) -> None:
    """Renew the lease while a slow batch runs. Ends only when the lease is lost."""
    while True:
        await asyncio.sleep(lease.lease_s / 3)
        with contextlib.suppress(IndexBusy):  # the batch itself may be what is being written
            await database.transact(lambda connection: lease.renew(connection, now_ms()))


async def _give_back(database: Database, lease: Lease, error: BaseException) -> None:
    ended = isinstance(error, asyncio.CancelledError | Answered)
    reason = None if ended else str(error)
    with contextlib.suppress(LeaseLost):  # then there is nothing to give back
        await database.transact(
            lambda connection: lease.release(connection, now_ms(), complete=False, error=reason)
        )
