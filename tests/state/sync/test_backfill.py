"""The backfill job survives anything, and two workers never do harm."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from state.clock import now_ms
from state.jobs.progress import JobProgress, SyncProgress
from state.query.model import Query
from state.thread_index import open_index
from tests.conftest import copy_corpus
from tests.samples.homes import thread_id, write
from tests.support.effort import PATIENCE_S, is_full, seed
from tests.support.indexes import meaning, rows
from tests.support.warm import run_program

WORKER = """
import asyncio, os, sys
from pathlib import Path
from state.thread_index import open_index
from state.errors import LeaseHeld, LeaseLost

home, path = Path(sys.argv[1]), Path(sys.argv[2])
batch, lease_s = int(sys.argv[3]), float(sys.argv[4])

{setup}

async def main():
    async with open_index(home, path) as index:
        try:
            counts = await index.backfill(batch_files=batch, lease_s=lease_s)
        except (LeaseHeld, LeaseLost) as error:
            print(type(error).__name__)
        else:
            print("read", counts.done)

asyncio.run(main())
"""

DIE_AT_COMMIT = """
import sqlite3
left = int(sys.argv[5])

class Dying(sqlite3.Connection):
    def execute(self, sql, *rest):
        global left
        if sql == "COMMIT":
            left -= 1
            if left < 0:
                os._exit(9)
        return super().execute(sql, *rest)

    def commit(self):
        global left
        if self.in_transaction:
            left -= 1
            if left < 0:
                os._exit(9)
        super().commit()

real = sqlite3.connect
sqlite3.connect = lambda *args, **options: real(*args, **{**options, "factory": Dying})
"""

STOP_AFTER_COMMITS = """
import signal
import state.sync.filling as job
left = int(sys.argv[5])
real = job.store_files

def store(*args, **options):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
    return real(*args, **options)

job.store_files = store
"""


def worker(
    home: Path, index: Path, *, batch: int = 20, lease_s: float = 900, setup: str = "", arg: int = 0
) -> "subprocess.Popen[str]":
    """Another process that fills the index."""
    words = map(str, (home, index, batch, lease_s, arg))
    program = WORKER.replace("{setup}", setup)
    return run_program(program, *words, stdout=subprocess.PIPE, text=True)


def said(worker: "subprocess.Popen[str]") -> str:
    """What a worker says that ends well."""
    out, _ = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 0
    return out.strip()


@pytest.fixture(scope="module")
def undisturbed(corpus_index: Path) -> object:
    return meaning(corpus_index)


def test_a_large_first_fill_killed_at_any_time_ends_with_all_its_indexes(tmp_path: Path) -> None:
    """Its indexes on cwd are built at the end; until then lists by cwd are right, if slower."""
    home = tmp_path / "home"
    for number in range(1_150):
        write(home, number)
    whole = tmp_path / "whole.sqlite3"
    asyncio.run(_resume(home, whole))
    indexes = (
        "SELECT name, trim(replace(sql, char(10), '')) AS sql FROM sqlite_master"
        " WHERE type = 'index' ORDER BY name"
    )
    for n in (5, 9) if is_full() else (5, 9)[seed() % 2 :][:1]:
        index = tmp_path / f"{n}.sqlite3"
        died = worker(home, index, batch=200, setup=DIE_AT_COMMIT, arg=n)
        died.communicate()
        assert died.returncode == 9

        counts = asyncio.run(_resume(home, index))
        assert counts.done < 1_150
        assert rows(index, indexes) == rows(whole, indexes)
        assert meaning(index) == meaning(whole)


def test_a_list_by_cwd_is_right_while_its_index_is_not_there(tmp_path: Path) -> None:
    home, index = tmp_path / "home", tmp_path / "index.sqlite3"
    for number in range(30):
        write(home, number)

    async def scenario() -> list[str]:
        async with open_index(home, index) as opened:
            await opened.backfill()
            drop = "DROP INDEX ix_threads_cwd_created_at"
            await opened.database.transact(lambda connection: connection.execute(drop))
            page = await opened.page(Query(cwds=("/work/p1",), limit=100))
            return [row["id"] for row in page.rows]

    assert asyncio.run(scenario()) == [thread_id(n) for n in range(28, 0, -3)]


async def _resume(home: Path, index: Path) -> SyncProgress:
    async with open_index(home, index) as opened:
        # A dead owner's lease does not hold anyone up.
        counts = await opened.catch_up()
        assert counts is not None
        assert (await opened.backfill_status()).status == "complete"
        return counts


def test_a_killed_worker_is_replaced_at_once_in_another_process(
    corpus_home: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index.sqlite3"
    worker(corpus_home, index, setup=DIE_AT_COMMIT, arg=4).communicate()
    assert rows(index, "SELECT status FROM backfill_state") == [{"status": "running"}]
    assert said(worker(corpus_home, index)).startswith("read ")


def test_a_worker_that_lost_its_lease_writes_nothing(
    corpus_home: Path, tmp_path: Path, undisturbed: object
) -> None:
    """SIGSTOP the holder past its expiry, let another finish, SIGCONT it."""
    index = tmp_path / "index.sqlite3"
    stopped = worker(corpus_home, index, batch=3, lease_s=1, setup=STOP_AFTER_COMMITS, arg=3)
    while not _is_stopped(stopped.pid):
        time.sleep(0.02)
    # It stopped inside its write transaction: as for a stopped writer of any kind, SQLite's
    # lock is only free again when it goes on or dies; so let it finish that one and stop again.
    expires = 0
    while True:
        os.kill(stopped.pid, signal.SIGCONT)
        time.sleep(0.004)  # a fraction of a batch, of which there are sixty
        os.kill(stopped.pid, signal.SIGSTOP)
        while not _is_stopped(stopped.pid):
            time.sleep(0.01)
        if _can_write(index):
            break
    assert rows(index, "SELECT status FROM backfill_state") == [{"status": "running"}]
    expires = rows(index, "SELECT lease_expires_at_ms AS t FROM backfill_state")[0]["t"]
    while now_ms() <= expires:
        time.sleep(0.05)
    assert said(worker(corpus_home, index)).startswith("read ")
    finished = rows(index, "SELECT * FROM backfill_state")
    complete = meaning(index)
    os.kill(stopped.pid, signal.SIGCONT)
    out, _ = stopped.communicate(timeout=PATIENCE_S)
    assert out.strip() == "LeaseLost"
    assert rows(index, "SELECT * FROM backfill_state") == finished
    assert meaning(index) == complete == undisturbed


def _is_stopped(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] in "TtZ"


def _can_write(index: Path) -> bool:
    with closing(sqlite3.connect(index, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
        return True


@pytest.mark.parametrize("processes", [2, 5])
def test_of_many_workers_one_works_and_the_index_is_right(
    processes: int, corpus_home: Path, tmp_path: Path, undisturbed: object
) -> None:
    index = tmp_path / "index.sqlite3"
    running = [worker(corpus_home, index) for _ in range(processes)]
    told = [said(process) for process in running]
    # A late one finds the job complete, claims it anew and has nothing to read.
    assert sum(word.startswith("read") and word != "read 0" for word in told) == 1, told
    assert set(told) <= {"read 198", "read 0", "LeaseHeld"}
    assert meaning(index) == undisturbed


def test_a_cancelled_backfill_gives_its_lease_back(corpus_home: Path, index_path: Path) -> None:
    async def scenario() -> None:
        async with open_index(corpus_home, index_path) as index:
            reached = asyncio.Event()
            task = asyncio.create_task(index.backfill(lambda _: reached.set(), batch_files=10))
            async with asyncio.timeout(30):
                await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            status = await index.backfill_status()
            assert status.status == "running"
            assert status.owner is None
            assert not status.is_being_worked_on(now_ms())
            assert status.files_done > 0
            await index.backfill()
            assert (await index.backfill_status()).status == "complete"

    asyncio.run(scenario())


def test_the_threads_that_changed_last_are_there_with_the_first_batch(
    corpus_home: Path, index_path: Path
) -> None:
    """Queries answer while the job runs, and what changed last comes first."""
    seen: list[str] = []

    async def scenario() -> None:
        async with open_index(corpus_home, index_path) as index:
            done = asyncio.Event()

            def report(counts: JobProgress) -> None:
                done.set()

            task = asyncio.create_task(index.backfill(report, batch_files=10))
            async with asyncio.timeout(30):
                await done.wait()
            page = await index.page(Query(sort_key="updated_at", limit=5))
            seen.extend(row["id"] for row in page.rows)
            early = (await index.backfill_status()).files_total
            await task
            assert early in (0, (await index.backfill_status()).files_total)
            page = await index.page(Query(sort_key="updated_at", limit=5))
            assert [row["id"] for row in page.rows] == seen

    asyncio.run(scenario())
    assert len(seen) == 5


def test_force_reads_every_file_again(corpus_home: Path, index_path: Path) -> None:
    async def scenario() -> list[int]:
        async with open_index(corpus_home, index_path) as index:
            return [
                (await index.backfill()).done,
                (await index.backfill()).done,
                (await index.backfill(force=True)).done,
            ]

    assert asyncio.run(scenario()) == [198, 0, 198]


def test_stale_rows_are_pruned_at_the_end(tmp_path: Path, index_path: Path) -> None:
    home = copy_corpus(tmp_path / "mine")

    async def scenario() -> SyncProgress:
        async with open_index(home, index_path) as index:
            await index.backfill()
            shutil.rmtree(home / "sessions" / "2026")
            return await index.backfill()

    counts = asyncio.run(scenario())
    left = len([path for path in home.rglob("rollout-*") if path.is_file()])
    assert counts.dropped > 50
    files = rows(index_path, "SELECT count(*) AS n FROM rollout_files")[0]["n"]
    assert files == left
    assert rows(index_path, "SELECT * FROM threads WHERE rollout_path LIKE 'sessions/2026%'") == []


def test_a_long_lived_user_answers_while_it_catches_up_in_the_background(
    corpus_home: Path, index_path: Path, undisturbed: object
) -> None:
    async def scenario() -> None:
        async with open_index(corpus_home, index_path) as index:
            task = asyncio.create_task(index.catch_up())
            assert (await index.page(Query())).rows == []  # at once, before anything is there
            counts = await task
            assert counts is not None
            assert counts.done == 198
            assert len((await index.page(Query())).rows) == 25
            task = asyncio.create_task(index.catch_up())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await index.backfill_status()).status == "complete"

    asyncio.run(scenario())
    assert meaning(index_path) == undisturbed
