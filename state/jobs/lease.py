"""The lease of a job, such as the backfill: one worker at a time, fenced.

Whoever claims raises the fence. Every write of the job is guarded by the fence it claimed
with, so a worker that lost its lease, even without noticing, can write nothing.
"""

import asyncio
import contextlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from state.aio import shielded
from state.clock import now_ms
from state.db.database import Database
from state.db.schema import backfill_state
from state.errors import IndexDamaged, LeaseHeld, LeaseLost

DEFAULT_LEASE_S: Final = 900.0

_COUNTERS: Final = (
    *("files_total", "files_done", "files_unreadable", "threads_pruned"),
    *("threads_total", "threads_done"),
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease: enough to tell on this host whether it is still alive."""

    id: str
    host: str
    pid: int
    started: str
    """When the process began, in the system's own terms: tells a reused pid apart."""

    @classmethod
    def this_process(cls) -> "Owner":
        """A new owner in this process; two jobs in one process are two owners."""
        return cls(uuid.uuid4().hex, _host(), os.getpid(), _process_start(os.getpid()))

    @classmethod
    def parse(cls, text: str | None) -> "Owner | None":
        """The owner in a stored text; None if there is none that can be read."""
        try:
            return cls(**json.loads(text or ""))
        except (ValueError, TypeError):
            return None

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host.partition('/')[0]}"

    def to_json(self) -> str:
        """The form in which it is stored."""
        return json.dumps(asdict(self))

    def is_dead(self) -> bool:
        """Whether it is certain that the process is gone: False on another host."""
        if self.host != _host():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return _process_start(self.pid) != self.started


@dataclass(frozen=True, slots=True)
class Lease:
    """A claimed lease; ``renew`` it within ``lease_s`` seconds."""

    owner: Owner
    fence: int
    lease_s: float
    job: sa.Table = backfill_state
    """The table whose one row is the job."""

    @property
    def _guard(self) -> sa.ColumnElement[bool]:
        c = self.job.c
        return (c.id == 1) & (c.fence == self.fence) & (c.status == "running")

    async def renew(
        self, connection: AsyncConnection, now_ms: int, values: Mapping[str, Any] | None = None
    ) -> None:
        """Extend the lease and set ``values`` of the job, in the caller's transaction.

        Call it first in each transaction of the job: it is the guard of all that follows.

        Raises:
            LeaseLost: another worker has claimed since; roll back.
        """
        result = await connection.execute(
            sa.update(self.job)
            .where(self._guard)
            .values(
                lease_expires_at_ms=now_ms + int(self.lease_s * 1000),
                updated_at_ms=now_ms,
                **(values or {}),
            )
        )
        if result.rowcount != 1:
            raise LeaseLost(str(self.owner))

    async def release(
        self, connection: AsyncConnection, now_ms: int, *, complete: bool, error: str | None = None
    ) -> None:
        """Give the lease back: the job is complete, or whoever comes next may go on at once.

        Raises:
            LeaseLost: it is no longer ours.
        """
        values: dict[str, Any] = {"owner": None, "last_error": error}
        if complete:
            values |= {"status": "complete", "completed_at_ms": now_ms}
        await self.renew(connection, now_ms, values)
        await connection.execute(
            sa.update(self.job)
            .where((self.job.c.id == 1) & (self.job.c.fence == self.fence))
            .values(lease_expires_at_ms=0)
        )


async def job_row(connection: AsyncConnection, job: sa.Table = backfill_state) -> sa.Row[Any]:
    """The one row of a job.

    Raises:
        IndexDamaged: somebody has deleted it.
    """
    row = (await connection.execute(sa.select(job))).one_or_none()
    if row is None:
        path = Path(connection.engine.url.database or "")
        raise IndexDamaged(path, f"its table {job.name} is empty")
    return row


async def claim(
    connection: AsyncConnection,
    owner: Owner,
    *,
    lease_s: float,
    now_ms: int,
    restart: bool = False,
    job: sa.Table = backfill_state,
) -> Lease:
    """Take the lease of a job and raise its fence. Call inside a write transaction.

    A lease that has expired or whose owner is dead is taken over, and the job goes on from
    its watermark; with ``restart``, or when the last job is complete, it begins anew.

    Raises:
        LeaseHeld: the owner may be alive, and its time is not up.
    """
    row = await job_row(connection, job)
    holder = Owner.parse(row.owner)
    good = row.status == "running" and row.lease_expires_at_ms > now_ms
    if good and holder and not holder.is_dead():
        raise LeaseHeld(str(holder), row.lease_expires_at_ms)
    values: dict[str, Any] = {
        "status": "running",
        "owner": owner.to_json(),
        "fence": row.fence + 1,
        "lease_expires_at_ms": now_ms + int(lease_s * 1000),
        "updated_at_ms": now_ms,
        "last_error": None,
    }
    if restart or row.status != "running":
        begun = {"watermark": None, "started_at_ms": now_ms, "completed_at_ms": None}
        begun |= dict.fromkeys(_COUNTERS, 0)
        values |= {name: value for name, value in begun.items() if name in job.c}
    result = await connection.execute(
        sa.update(job).where((job.c.id == 1) & (job.c.fence == row.fence)).values(**values)
    )
    if result.rowcount != 1:  # cannot be while we hold the write lock; never go on unfenced
        raise LeaseLost(str(owner))
    return Lease(owner, row.fence + 1, lease_s, job)


@lru_cache(maxsize=1)
def _host() -> str:
    """This host in this boot: after a reboot no earlier owner is alive, nor confused with one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{platform.node()}/{boot}"


def _process_start(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # clock ticks since boot, see proc(5)


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
            _, cancelled = await shielded(_give_back(database, lease, error))
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
