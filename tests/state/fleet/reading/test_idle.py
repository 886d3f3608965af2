"""What a fleet that stays open for long does besides answering."""

import asyncio
import threading
from pathlib import Path

import psycopg
import pytest

from state.db.steps import Steps
from state.errors import InvalidQuery
from state.fleet.reading import database
from state.fleet.reading.dialect import Binary, Native
from state.fleet.reading.index import open_fleet
from state.query.model import Query
from tests.support.postgres.cluster import Fleet


def test_connections_that_are_idle_are_closed_and_made_again(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_IDLE_S", 0.05)
    fleet.machine("laptop")
    address = fleet.reader()

    async def look() -> None:
        async with (
            await psycopg.AsyncConnection.connect(fleet.admin, autocommit=True) as admin,
            open_fleet(tmp_path / "home", tmp_path / "index.sqlite3", address) as index,
        ):
            asked = (
                "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE %s",
                [f"{fleet.database}%"],
            )

            async def connections() -> int:
                row = await (await admin.execute(*asked)).fetchone()
                assert row is not None
                return int(row[0])

            for _ in range(2):
                await asyncio.gather(*(index.page(Query()) for _ in range(8)))
                while await connections():  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.02)
            assert (await index.page(Query())).rows == []

    asyncio.run(look())


def test_much_that_is_read_is_not_worked_on_in_the_event_loop(fleet: Fleet, tmp_path: Path) -> None:
    def counted(count: int, kind: type[Native] = Native) -> Steps[tuple[int, bool]]:
        rows = yield kind("SELECT generate_series(1, %s)"), [count]
        elsewhere = threading.current_thread() is not threading.main_thread()
        return len(rows), elsewhere

    def refused() -> Steps[None]:
        yield from counted(5_000)
        raise InvalidQuery("too many")

    async def look() -> None:
        async with open_fleet(tmp_path, tmp_path / "index.sqlite3", fleet.reader()) as index:
            assert await index.read(lambda: counted(10)) == (10, False)
            assert await index.read(lambda: counted(5_000)) == (5_000, True)
            assert await index.read(lambda: counted(1, Binary)) == (1, True)
            with pytest.raises(InvalidQuery):
                await index.read(refused)

    asyncio.run(look())


def test_a_machine_that_joins_later_can_be_named_at_once(fleet: Fleet, tmp_path: Path) -> None:
    async def look() -> None:
        async with open_fleet(tmp_path, tmp_path / "index.sqlite3", fleet.reader()) as index:
            with pytest.raises(InvalidQuery):
                await index.page(Query(machine="laptop"))
            fleet.machine("laptop")
            assert (await index.page(Query(machine="laptop"))).rows == []

    asyncio.run(look())


def test_what_is_asked_again_over_one_connection_is_planned_once(
    fleet: Fleet, tmp_path: Path
) -> None:
    def prepared() -> Steps[list[str]]:
        rows = yield Native("SELECT statement FROM pg_prepared_statements"), []
        return [statement for (statement,) in rows]

    async def look() -> None:
        async with open_fleet(tmp_path, tmp_path / "index.sqlite3", fleet.reader()) as index:
            assert await index.read(prepared) == []
            for _ in range(4):
                await index.page(Query())
            assert any("facet" in statement for statement in await index.read(prepared))

    asyncio.run(look())
