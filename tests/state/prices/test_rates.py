"""The table of rates follows the models that threads use, the library and the user's list."""

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from state.db.database import Database
from state.db.steps import select_steps
from state.errors import InvalidPrices
from state.prices import rates
from state.prices.current import prices_path
from state.prices.rates import ensure_rates
from state.thread_index import open_index
from tests.conftest import CORPUS

COLUMNS = "provider, model, service_tier, long_context, input_rate, origin"


async def use(
    database: Database, model: str, hour: int = 490_000, provider: str = "openai"
) -> None:
    """Enter an hour of a model's use for the first thread."""
    sql = (
        "INSERT INTO thread_usage SELECT min(row_id), ?, ?, ?, '', '', 0,"
        " 100, 10, 0, 5, 0, 105, 1 FROM threads"
    )
    await database.transact(lambda connection: connection.execute(sql, [hour, model, provider]))


def emptied(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f"DELETE FROM {table}")


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    return await database.query(select_steps(sql))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "sessions" / "2026" / "11" / "12"
    folder.mkdir(parents=True)
    source = next((CORPUS / "home/sessions/2026/11/12").glob("*.jsonl"))
    (folder / source.name).write_bytes(source.read_bytes())
    return tmp_path / "home"


def test_rates_are_looked_up_once_for_each_new_model(home: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with open_index(home, tmp_path / "index.sqlite3") as index:
            await index.backfill()
            database = index.database
            for table in ("thread_usage", "usage_rates"):
                await database.transact(partial(emptied, table=table))
            await use(database, "gpt-5-codex")
            await use(database, "made-up")
            due = await rows(database, f"SELECT {COLUMNS} FROM usage_rates ORDER BY model")
            assert [row[-1] for row in due] == ["due", "due"]
            assert await ensure_rates(database)
            found = await rows(database, f"SELECT {COLUMNS} FROM usage_rates ORDER BY model")
            assert found == [
                ("openai", "gpt-5-codex", "", 0, pytest.approx(1.25e-6), "genai-prices"),
                ("openai", "made-up", "", 0, None, "unpriced"),
            ]
            costs = await rows(database, "SELECT model, cost FROM v_usage ORDER BY model")
            cost = 90 * 1.25e-6 + 10 * 0.125e-6 + 5 * 10e-6
            assert costs == [("gpt-5-codex", pytest.approx(cost)), ("made-up", None)]

    asyncio.run(run())


def test_an_own_list_counts_as_soon_as_it_is_there_and_not_when_it_is_gone(
    home: Path, tmp_path: Path
) -> None:
    async def run() -> None:
        async with open_index(home, tmp_path / "index.sqlite3") as index:
            await index.backfill()
            database = index.database
            await use(database, "made-up")
            await ensure_rates(database)
            own = prices_path(database.path)
            own.write_text("[[price]]\nmodel = 'made-*'\ninput = 3\noutput = 9\n")
            await ensure_rates(database)
            asked = f"SELECT {COLUMNS} FROM usage_rates WHERE model = 'made-up'"
            assert await rows(database, asked) == [
                ("openai", "made-up", "", 0, pytest.approx(3e-6), "prices.toml")
            ]
            own.write_text("[[price]]\n")
            with pytest.raises(InvalidPrices):
                await ensure_rates(database)
            assert (await rows(database, asked))[0][-1] == "prices.toml"
            own.unlink()
            await ensure_rates(database)
            assert (await rows(database, asked))[0][-1] == "unpriced"

    asyncio.run(run())


def test_prices_of_the_library_hold_until_the_day_of_an_own_one(home: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with open_index(home, tmp_path / "index.sqlite3") as index:
            await index.backfill()
            database = index.database
            prices_path(database.path).write_text(
                "[[price]]\nmodel = 'gpt-5'\nsince = 2026-01-01\ninput = 3\noutput = 9\n"
            )
            await use(database, "gpt-5", hour=490_895)  # the last one of 2025
            await use(database, "gpt-5", hour=490_896)
            await ensure_rates(database)
            found = await rows(
                database, "SELECT cost FROM v_usage WHERE model = 'gpt-5' ORDER BY hour_number"
            )
            assert [cost for (cost,) in found] == [
                pytest.approx(90 * 1.25e-6 + 10 * 0.125e-6 + 5 * 10e-6),
                pytest.approx(100 * 3e-6 + 5 * 9e-6),
            ]

    asyncio.run(run())


def test_nothing_is_imported_or_written_while_rates_are_up_to_date(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with open_index(home, tmp_path / "index.sqlite3") as index:
            await index.backfill()
            await ensure_rates(index.database)

            def refused(*_: object, **__: object) -> None:
                raise AssertionError("looked up again")

            monkeypatch.setattr(rates, "_look_up", refused)
            assert await ensure_rates(index.database)

    asyncio.run(run())
