"""The lease of a job, such as the backfill: one worker at a time, fenced.

Each claim raises the fence, and each write of the job checks that the fence is still the one of
its claim. So a worker that has lost its lease can write nothing, even if it has not noticed.
"""

import json
import os
import platform
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from state.db.job_table import JobTable
from state.db.sql import dicts
from state.errors import IndexDamaged, LeaseHeld, LeaseLost

_OWN_COLUMNS: Final = ("id", "status", "owner", "fence", "lease_expires_at_ms")
"""Of a job's table; the others tell its progress, and start from zero with it."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds a lease, so that this host can tell whether it is still alive."""

    id: str
    host: str
    pid: int
    started: str
    """When the process began, in the system's own terms: a pid may be reused."""

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

    job: JobTable
    owner: Owner
    fence: int
    lease_s: float

    def renew(
        self,
        connection: sqlite3.Connection,
        now_ms: int,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Extend the lease and set ``values`` of the job, in the caller's transaction, which it
        guards: call it once in each transaction of the job. Raises LeaseLost if another worker has
        claimed since; roll back."""
        until_ms = now_ms + int(self.lease_s * 1000)
        changed = {"lease_expires_at_ms": until_ms, "updated_at_ms": now_ms} | dict(values or {})
        if not _set(connection, self.job, changed, self.fence, "AND status = 'running'"):
            raise LeaseLost(str(self.owner), self.job.shown)

    def release(
        self,
        connection: sqlite3.Connection,
        now_ms: int,
        *,
        complete: bool,
        error: str | None = None,
    ) -> None:
        """Give the lease back: the job is complete, or the next worker may continue at once.
        Raises LeaseLost if it is no longer ours."""
        values: dict[str, Any] = {"owner": None, "last_error": error, "lease_expires_at_ms": 0}
        if complete:
            values |= {"status": "complete", "completed_at_ms": now_ms}
        self.renew(connection, now_ms, values)


def job_row(connection: sqlite3.Connection, job: JobTable) -> dict[str, Any]:
    """The one row of a job. Raises IndexDamaged if somebody has deleted it."""
    columns = ", ".join((*_OWN_COLUMNS, *job.progress))
    for row in dicts(connection.execute(f"SELECT {columns} FROM {job.name}")):
        return row
    _, _, path = connection.execute("PRAGMA database_list").fetchone()
    raise IndexDamaged(Path(path), f"its table {job.name} is empty")


def claim(
    connection: sqlite3.Connection,
    job: JobTable,
    owner: Owner,
    *,
    lease_s: float,
    now_ms: int,
    restart: bool = False,
) -> Lease:
    """Take the lease of a job and raise its fence. Call inside a write transaction.

    A lease that has expired or whose owner is dead is taken over, and the job continues
    where it is; with ``restart``, or if it was complete, its counters start from zero. Raises
    LeaseHeld if the owner may be alive, and its time is not up.
    """
    row = job_row(connection, job)
    holder = Owner.parse(row["owner"])
    good = row["status"] == "running" and row["lease_expires_at_ms"] > now_ms
    if good and holder and not holder.is_dead():
        raise LeaseHeld(str(holder), row["lease_expires_at_ms"], job.shown)
    values: dict[str, Any] = {}
    if restart or row["status"] != "running":
        values = job.progress | {"started_at_ms": now_ms}
    values |= {
        "status": "running",
        "owner": owner.to_json(),
        "fence": row["fence"] + 1,
        "lease_expires_at_ms": now_ms + int(lease_s * 1000),
        "updated_at_ms": now_ms,
        "last_error": None,
    }
    if not _set(connection, job, values, row["fence"]):
        raise LeaseLost(str(owner), job.shown)  # impossible, but never continue unfenced
    return Lease(job, owner, row["fence"] + 1, lease_s)


def _set(
    connection: sqlite3.Connection,
    job: JobTable,
    values: Mapping[str, Any],
    fence: int,
    condition: str = "",
) -> bool:
    """Set columns of a job that still has this fence: whether it has."""
    columns = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE {job.name} SET {columns} WHERE id = 1 AND fence = ? {condition}"
    return connection.execute(sql, [*values.values(), fence]).rowcount == 1


@lru_cache(maxsize=1)
def _host() -> str:
    """This host in this boot: no owner of before a reboot is alive."""
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
