"""What nobody asks keeps no connection."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from state.fleet.reading import database
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
