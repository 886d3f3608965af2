"""Whatever happens to five machines: in the end the fleet has what their indexes have."""

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.fleet.push.push import PushOptions, push
from state.fleet.server import schema
from state.thread_index import open_index
from tests.samples.homes import thread_id, write
from tests.support.indexes import sync
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.pushed import held, kept

MACHINES = 5
OPTIONS = PushOptions(most_in_batch=2, take_over=True)
PUT = (
    "INSERT INTO threads ({columns}) SELECT {values} FROM threads WHERE id = '{template}'"
    " ON CONFLICT (id) DO UPDATE SET title = excluded.title,"
    " updated_at_ms = excluded.updated_at_ms, size_bytes = excluded.size_bytes"
)
TEMPLATE = thread_id(0)


class Killed(BaseException):
    """Ends a push as a kill does: nothing of it goes on."""


class Machine:
    """An index, and the machine that it is pushed as."""

    def __init__(self, index: Path, name: str, address: str) -> None:
        self.index, self.name, self.address = index, name, address
        self.saved = index.with_suffix(".saved")
        shutil.copy(index, self.saved)

    def sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.index)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            for statement in statements:
                connection.execute(statement)

    def put(self, thread: int, at: int) -> None:
        with closing(sqlite3.connect(self.index)) as connection:
            columns = [
                row[1] for row in connection.execute("PRAGMA table_xinfo(threads)") if not row[6]
            ]
        columns.remove("row_id")
        changed = {
            "id": f"'{thread_id(thread)}'",
            "rollout_path": f"'{thread}.jsonl'",
            "title": f"'{self.name} {at}'",
            "updated_at_ms": str(at),
            "size_bytes": str(at % 3),
        }
        values = ", ".join(changed.get(name, name) for name in columns)
        self.sql(PUT.format(columns=", ".join(columns), values=values, template=TEMPLATE))

    def note(self, thread: int, at: int) -> None:
        self.sql(
            f"INSERT OR REPLACE INTO user_data VALUES ('{thread_id(thread)}', 'note', 'n', {at})"
        )

    def remove(self, thread: int, _: int) -> None:
        self.sql(f"DELETE FROM threads WHERE id = '{thread_id(thread)}'")

    def push(self, _: int = 0, __: int = 0) -> None:
        async def work() -> None:
            async with open_index(self.index.parent, self.index) as index:
                await push(index, self.address, OPTIONS)

        asyncio.run(work())

    def push_and_die(self, thread: int, at: int) -> None:
        """Push, and end before one of the waits for PostgreSQL."""
        count = itertools.count()
        connection: Any = psycopg.AsyncConnection
        wait: Callable[..., Awaitable[Any]] = connection.wait

        async def dying(self_: Any, *arguments: Any, **options: Any) -> Any:
            if next(count) >= at % 24:
                self_.pgconn.finish()
                raise Killed
            return await wait(self_, *arguments, **options)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(connection, "wait", dying)
            try:
                self.push()
            except BaseException as error:
                if not isinstance(error, Killed | psycopg.Error):
                    raise
        # Nobody gives the lease of a process back that was killed.
        self.sql("UPDATE fleet_state SET status = 'pending', owner = NULL")

    def save(self, _: int, __: int) -> None:
        shutil.copy(self.index, self.saved)

    def restore(self, _: int, __: int) -> None:
        shutil.copy(self.saved, self.index)

    def lose(self, thread: int, at: int) -> None:
        """Go back to a backup that does not know of the last push."""
        self.push()
        self.save(0, 0)
        self.put(thread, at)
        self.push()
        self.restore(0, 0)

    def move(self, _: int, at: int) -> None:
        """As a new home of the same machine does."""
        self.index = self.index.rename(self.index.with_name(f"{self.name}-{at}.sqlite3"))


STEPS: dict[str, Callable[[Machine, int, int], None]] = {
    "put": Machine.put,
    "note": Machine.note,
    "remove": Machine.remove,
    "push": Machine.push,
    "push and die": Machine.push_and_die,
    "save": Machine.save,
    "restore": Machine.restore,
    "lose": Machine.lose,
    "move": Machine.move,
}
CHANCES = ["put"] * 4 + ["push"] * 3 + ["push and die"] * 3 + [*STEPS]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a thread, of which others are made."""
    folder = tmp_path_factory.mktemp("begun")
    write(folder / "home", 0)
    sync(folder / "home", folder / "index.sqlite3")
    with closing(sqlite3.connect(folder / "index.sqlite3")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    return folder / "index.sqlite3"


def test_five_machines_end_in_what_their_indexes_have(
    fleet: Fleet, begun: Path, tmp_path: Path
) -> None:
    numbers = itertools.count()
    addresses = [fleet.machine(f"m{number}") for number in range(MACHINES)]

    @given(
        st.lists(
            st.tuples(
                *(st.sampled_from(CHANCES), st.integers(0, MACHINES - 1)),
                *(st.integers(1, 6), st.integers(0, 30)),
            ),
            max_size=25,
        )
    )
    def run(steps: list[tuple[str, int, int, int]]) -> None:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        machines = []
        for number, address in enumerate(addresses):
            index = folder / f"m{number}.sqlite3"
            shutil.copy(begun, index)
            machines.append(Machine(index, f"m{number}", address))
        for at, (step, number, thread, value) in enumerate(steps):
            moment = 1_000 * value + at if step != "push and die" else value
            STEPS[step](machines[number], thread, moment)
        for machine in machines:
            machine.push()
        has = {machine.name: kept(machine.index) for machine in machines}
        assert {machine.name: held(fleet, machine.name) for machine in machines} == has
        assert newest(fleet) == expected(has)

    run()


def newest(fleet: Fleet) -> dict[str, str]:
    """The machine whose copy of each thread lists show."""
    with fleet.administered() as admin:
        found = admin.execute(
            "SELECT t.id, m.name FROM threadkeep.threads t JOIN threadkeep.machines m"
            " USING (machine_id) WHERE newest"
        ).fetchall()
    assert len({id_ for id_, _ in found}) == len(found)
    return dict(found)


def expected(has: dict[str, Any]) -> dict[str, str]:
    """The same by what the indexes have: the last change, the larger file, the last machine."""
    best: dict[str, tuple[int, int, str]] = {}
    for machine, tables in has.items():
        for row in tables["threads"]:
            named = dict(zip(schema.THREADS, row, strict=False))
            rank = (named["updated_at_ms"], named["size_bytes"], machine)
            best[named["id"]] = max(best.get(named["id"], rank), rank)
    return {id_: machine for id_, (_, _, machine) in best.items()}
