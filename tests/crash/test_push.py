"""A push that is killed, loses its connection or is overtaken at any moment: the next one makes it
whole, and nothing is lost, doubled or old."""

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from state.errors import FleetError, LeaseHeld, LeaseLost, PushOvertaken
from state.fleet.push.push import PushOptions, push
from state.thread_index import open_index
from tests.crash.nursery import FLEET, Ended, deaths, run
from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.effort import is_full, seed
from tests.support.indexes import in_index, rows, sync
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.pushed import held, kept

OPTIONS = PushOptions(most_in_batch=4)
CHANGES = (
    f"DELETE FROM threads WHERE id = '{thread_id(1)}'",
    "UPDATE threads SET title = 'changed' WHERE row_id % 3 = 1",
    f"INSERT INTO user_data VALUES ('{thread_id(4)}', 'note', 'n', 1)",
    "DELETE FROM thread_usage WHERE row_id % 3 = 2",
)


def change(index: Path, *statements: str) -> None:
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for statement in statements:
            connection.execute(statement)


class Case:
    """A push of an index, as a machine that the fleet has not seen before, again and again."""

    def __init__(self, fleet: Fleet, folder: Path, *, again: bool) -> None:
        self.fleet = fleet
        self.home = folder / "home"
        self._begin = folder / "begin.sqlite3"
        self._again = again
        self.index = folder / "state" / "index.sqlite3"
        self._numbers = itertools.count()
        self.machine = self.address = ""
        spawn = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
        for number in range(8):
            write(self.home, number, encoded(lines(number, source=spawn if number == 7 else "cli")))
        sync(self.home, self._begin)

    def begin(self) -> None:
        """What is there before: nothing, or an earlier push."""
        shutil.rmtree(self.index.parent, ignore_errors=True)
        self.index.parent.mkdir()
        shutil.copy(self._begin, self.index)
        self.machine = f"m{next(self._numbers)}"
        self.address = self.fleet.machine(self.machine)
        (self.index.parent / FLEET).write_text(self.address)
        if self._again:
            self.push()
            change(self.index, *CHANGES)

    def push(self) -> None:
        in_index(self.home, self.index, lambda index: push(index, self.address, OPTIONS))

    def die(self, fatal: int | None, after_s: float) -> Ended:
        self.begin()
        return run("push", self.home, self.index, fatal=fatal, after_s=after_s)

    def check(self, moment: str) -> None:
        """The next push has the fleet hold what the index does."""
        self.push()
        assert held(self.fleet, self.machine) == kept(self.index), moment
        assert rows(self.index, "SELECT * FROM fleet_outbox") == [], moment


@pytest.fixture(params=[False, True], ids=["first", "later"])
def case(request: pytest.FixtureRequest, fleet: Fleet, tmp_path: Path) -> Case:
    return Case(fleet, tmp_path, again=request.param)


def test_a_push_that_is_killed_is_made_whole(case: Case) -> None:
    for moment in deaths("push", case.die):
        case.check(moment)


class Waits:
    """Does something before one of the waits for PostgreSQL of a connection; where others would
    wait for its transaction, only before that begins."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, at: int, work: "Work", *, idle: bool = False
    ) -> None:
        self.reached = False
        count = itertools.count()
        connection: Any = psycopg.AsyncConnection
        wait = connection.wait

        async def waited(self_: Any, *arguments: Any, **options: Any) -> Any:
            free = not idle or self_.pgconn.transaction_status == TransactionStatus.IDLE
            if not self.reached and free and next(count) == at:
                self.reached = True
                await work(self_)
            return await wait(self_, *arguments, **options)

        monkeypatch.setattr(connection, "wait", waited)


Work = Callable[[Any], Awaitable[None]]


def moments() -> list[int]:
    """The waits at which something happens: some, which the day chooses, or all."""
    return list(range(60) if is_full() else range(seed() % 8, 60, 8))


def test_a_push_that_loses_its_connection_is_made_whole(case: Case) -> None:
    with psycopg.connect(case.fleet.admin, autocommit=True) as admin:

        async def cut(connection: Any) -> None:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

        for at in moments():
            case.begin()
            with pytest.MonkeyPatch.context() as patched:
                waits = Waits(patched, at, cut)
                with suppress(FleetError):
                    case.push()
            case.check(f"cut before wait {at}")
            if not waits.reached:
                break


def test_a_push_that_is_overtaken_writes_nothing_more(case: Case) -> None:
    """The lease of one that is silent for too long goes to another one, which does all of it."""

    async def overtake(_: Any) -> None:
        change(
            case.index,
            "UPDATE fleet_state SET status = 'pending', owner = NULL",
            "UPDATE threads SET title = title || ' later' WHERE row_id % 2 = 1",
        )
        async with open_index(case.home, case.index) as other:
            await push(other, case.address, OPTIONS)

    for at in moments():
        case.begin()
        with pytest.MonkeyPatch.context() as patched:
            waits = Waits(patched, at, overtake, idle=True)
            with suppress(LeaseLost, PushOvertaken, LeaseHeld):
                case.push()
        if waits.reached:
            assert held(case.fleet, case.machine) == kept(case.index), f"before wait {at}"
        case.check(f"overtaken before wait {at}")
        if not waits.reached:
            break


def test_what_changes_during_a_push_is_pushed_by_the_next_one(case: Case) -> None:
    async def touch(_: Any) -> None:
        change(case.index, "UPDATE threads SET title = title || ' later'")

    for at in moments():
        case.begin()
        with pytest.MonkeyPatch.context() as patched:
            waits = Waits(patched, at, touch)
            case.push()
        case.check(f"changed before wait {at}")
        if not waits.reached:
            break


def test_two_pushes_at_once_do_the_work_of_one(case: Case) -> None:
    case.begin()

    async def both(index: Any) -> list[Any]:
        pushes = [push(index, case.address, OPTIONS) for _ in range(2)]
        return await asyncio.gather(*pushes, return_exceptions=True)

    done = in_index(case.home, case.index, both)
    assert [type(each) for each in done].count(LeaseHeld) == 1
    case.check("after both")


def test_machines_that_have_the_same_threads_may_push_at_once(fleet: Fleet, tmp_path: Path) -> None:
    """As a home that is synced has them. Each thread is shown once, by its last change."""
    home, begin = tmp_path / "home", tmp_path / "begin.sqlite3"
    for number in range(60):
        write(home, number)
    sync(home, begin)
    with closing(sqlite3.connect(begin)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    machines = {f"m{number}": tmp_path / f"m{number}.sqlite3" for number in range(4)}
    addresses = {name: fleet.machine(name) for name in machines}

    def touch(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE threads SET updated_at_ms = updated_at_ms + random() % 1000")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM threads WHERE random() % 9 = 0")

    async def pushed(name: str) -> None:
        async with open_index(home, machines[name]) as index:
            for _ in range(3):
                await index.database.transact(touch)
                await push(index, addresses[name], PushOptions(most_in_batch=15))

    async def at_once() -> None:
        await asyncio.gather(*map(pushed, machines))

    for index in machines.values():
        shutil.copy(begin, index)
    asyncio.run(at_once())
    last: dict[str, tuple[int, str]] = {}
    for name, index in machines.items():
        assert held(fleet, name) == kept(index)
        for row in rows(index, "SELECT id, updated_at_ms FROM threads"):
            rank = (row["updated_at_ms"], name)
            last[row["id"]] = max(last.get(row["id"], rank), rank)
    with fleet.administered() as admin:
        shown = admin.execute(
            "SELECT id, m.name FROM threadkeep.threads JOIN threadkeep.machines m"
            " USING (machine_id) WHERE newest"
        ).fetchall()
    assert len(shown) == len(last)
    assert dict(shown) == {id_: name for id_, (_, name) in last.items()}
