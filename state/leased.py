"""Work under a lease: claimed first, renewed while it goes on, given back at its end."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import sqlalchemy as sa

from state.aio import unbroken
from state.db.database import Database
from state.db.schema import backfill_state
from state.errors import LeaseLost
from state.jobs.lease import Lease, Owner, claim
from state.sync.sync import now_ms

Result = TypeVar("Result")


async def run_leased(
    database: Database,
    work: Callable[[Lease], Coroutine[Any, Any, Result]],
    *,
    lease_s: float,
    restart: bool = False,
    job: sa.Table = backfill_state,
) -> Result:
    """What ``work`` gives under the lease of a job, which it gives back when that is complete.

    Work that fails or is cancelled has it given back here, so that the next worker goes on at
    once.

    Raises:
        LeaseHeld: another worker is at it.
        LeaseLost: another worker took the job over, because this one was silent for longer
            than ``lease_s`` seconds.
    """
    owner = Owner.this_process()
    async with database.write() as connection:
        lease = await claim(
            connection, owner, lease_s=lease_s, now_ms=now_ms(), restart=restart, job=job
        )
    working = asyncio.create_task(work(lease))
    heartbeat = asyncio.create_task(_heartbeat(database, lease))
    try:
        await asyncio.wait({working, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await heartbeat  # it ends only by an error, and then the work must too
        return await working
    except BaseException as error:
        await _end(working, heartbeat)
        if not isinstance(error, LeaseLost):
            _, cancelled = await unbroken(_give_back(database, lease, error))
            if cancelled:
                raise asyncio.CancelledError from error
        raise
    finally:
        await _end(working, heartbeat)


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _heartbeat(database: Database, lease: Lease) -> None:
    """Renew the lease while a slow batch runs; ends only when it is lost."""
    while True:
        await asyncio.sleep(lease.lease_s / 3)
        async with database.write() as connection:
            await lease.renew(connection, now_ms())


async def _give_back(database: Database, lease: Lease, error: BaseException) -> None:
    """Let the next worker go on at once."""
    reason = None if isinstance(error, asyncio.CancelledError) else str(error)
    with contextlib.suppress(LeaseLost):  # then there is nothing to give back
        async with database.write() as connection:
            await lease.release(connection, now_ms(), complete=False, error=reason)
