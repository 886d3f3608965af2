"""One worker at a time has the lease of a job, and only its writes count."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from state.clock import now_ms
from state.db.database import Database, open_database
from state.db.job_table import BACKFILL, FULLTEXT, JobTable
from state.db.steps import Work
from state.errors import LeaseHeld, LeaseLost
from state.jobs.lease import Lease, Owner, claim, job_row
from state.jobs.runner import Job, run_job
from tests.support.effort import PATIENCE_S

JOBS = [BACKFILL, FULLTEXT]


def test_a_lease_is_refused_while_its_owner_lives_and_taken_when_it_is_dead(
    index_path: Path,
) -> None:
    async def scenario() -> None:
        async with open_database(index_path) as database:
            mine = await database.transact(claiming())
            other = Owner.this_process()
            with pytest.raises(LeaseHeld, match=str(os.getpid())):
                await database.transact(claiming(other))
            theirs = await database.transact(claiming(other, after_ms=1_000_000))  # its time is up
            assert theirs.fence == mine.fence + 1
            with pytest.raises(LeaseLost):
                await database.transact(partial(mine.renew, now_ms=now_ms()))
            with pytest.raises(LeaseLost):
                await database.transact(partial(mine.release, now_ms=now_ms(), complete=True))
            await database.transact(partial(theirs.release, now_ms=now_ms(), complete=False))
            await database.transact(claiming())

    asyncio.run(scenario())


def claiming(
    owner: Owner | None = None, table: JobTable = BACKFILL, *, after_ms: int = 0
) -> Work[Lease]:
    """The claim of a job, in a transaction."""
    at = now_ms() + after_ms
    owner = owner or Owner.this_process()
    return partial(claim, job=table, owner=owner, lease_s=900, now_ms=at)


def test_a_dead_owner_is_told_apart_from_a_living_one_and_from_a_reused_pid() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    me = Owner.this_process()
    assert not me.is_dead()
    living = Owner("x", me.host, child.pid, _started(child.pid))
    assert not living.is_dead()
    assert Owner("x", me.host, child.pid, "1").is_dead(), "another process had that pid"
    assert not Owner("x", "elsewhere/boot", child.pid, "1").is_dead(), "who can tell from here"
    child.communicate(b"\n")
    assert living.is_dead()


def _started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.parametrize("table", JOBS, ids=lambda job: job.name)
def test_a_job_that_begins_anew_begins_to_count_anew(index_path: Path, table: JobTable) -> None:
    counters = table.counters

    async def work(job: Job) -> None:
        await job.transact(lambda _: None, lambda: dict.fromkeys(counters, 7))

    async def scenario() -> None:
        async with open_database(index_path) as database:
            await run_job(database, table, work, lease_s=900)
            done = await row_of(database, table)
            assert {done[name] for name in counters} == {7}
            given_back = done["status"], done["owner"], done["lease_expires_at_ms"]
            assert given_back == ("complete", None, 0)
            await database.transact(claiming(table=table))
            begun = await row_of(database, table)
            assert {begun[name] for name in counters} == {0}
            assert (begun["status"], begun["completed_at_ms"]) == ("running", None)
            assert begun["fence"] == done["fence"] + 1

    asyncio.run(scenario())


@pytest.mark.parametrize("table", JOBS, ids=lambda job: job.name)
def test_the_heartbeat_keeps_a_lease_that_slow_work_would_lose(
    index_path: Path, table: JobTable
) -> None:
    """The work takes at least three times as long as the lease lasts."""
    slow = asyncio.Event()

    async def work(_: Job) -> str:
        await slow.wait()
        return "done"

    async def scenario() -> None:
        async with open_database(index_path) as database:
            # Long enough for a heartbeat to come in time on a machine that is busy.
            task = asyncio.create_task(run_job(database, table, work, lease_s=1))
            first = 0
            async with asyncio.timeout(PATIENCE_S):
                while not first or (expires := await expiry(database, table)) <= first + 3000:
                    first = first or await expiry(database, table)
                    await asyncio.sleep(0.02)
            assert expires > first
            name = "backfill" if table is BACKFILL else "full-text job"
            with pytest.raises(LeaseHeld, match=f"a {name} is already running"):
                await run_job(database, table, work, lease_s=900)
            slow.set()
            assert await task == "done"
            assert (await row_of(database, table))["status"] == "complete"

    asyncio.run(scenario())


def test_a_heartbeat_that_finds_the_index_busy_does_not_end_the_work(index_path: Path) -> None:
    async def scenario() -> str:
        async with open_database(index_path, patience_s=0.1) as database:

            def slowly(connection: sqlite3.Connection) -> str:
                time.sleep(1)  # the heartbeat comes after a third of that, and waits for a tenth
                return "done"

            async def work(job: Job) -> str:
                return await job.transact(slowly)

            return await run_job(database, BACKFILL, work, lease_s=1)

    assert asyncio.run(scenario()) == "done"


def test_a_worker_whose_lease_was_taken_stops_by_its_heartbeat(index_path: Path) -> None:
    working = asyncio.Event()

    async def work(_: Job) -> None:
        working.set()
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with open_database(index_path) as database:
            task = asyncio.create_task(run_job(database, BACKFILL, work, lease_s=0.3))
            async with asyncio.timeout(PATIENCE_S):
                await working.wait()
                sql = "UPDATE backfill_state SET fence = fence + 1"
                await database.transact(lambda connection: connection.execute(sql))
                with pytest.raises(LeaseLost):
                    await task

    asyncio.run(scenario())


async def row_of(database: Database, table: JobTable) -> dict[str, Any]:
    """The job as the database has it."""
    return await database.look(partial(job_row, job=table))


async def expiry(database: Database, table: JobTable) -> int:
    """When the lease of the job expires."""
    expires: int = (await row_of(database, table))["lease_expires_at_ms"]
    return expires
