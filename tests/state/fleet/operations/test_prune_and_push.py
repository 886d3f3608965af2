"""Retention while machines push: each thread is whole or gone, and nobody is told of the other."""

import asyncio
import datetime
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state.fleet.push.push import PushOptions, push
from state.fleet.server.operations.prune import Rule, prune
from state.thread_index import open_index
from tests.samples.homes import thread_id, write
from tests.support.indexes import sync
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.pushed import held, kept

THREADS = 24
BEFORE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
BEFORE_MS = int(BEFORE.timestamp() * 1000)
DEPENDENTS = {
    "user_data": "t.id = d.thread_id",
    "thread_usage": "t.row_id = d.row_id",
    "thread_limits": "t.row_id = d.row_id",
}


@pytest.fixture
def indexes(home: Path, index_path: Path, tmp_path: Path) -> dict[str, Path]:
    """Of two machines that have the same threads, of which half are old: the last change of each
    is on one or the other."""
    for number in range(THREADS):
        write(home, number)
    sync(home, index_path)
    made = {}
    for at, name in enumerate(("one", "two")):
        index = made[name] = tmp_path / f"{name}.sqlite3"
        with closing(sqlite3.connect(index_path)) as connection, connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(index_path, index)
        with closing(sqlite3.connect(index)) as connection, connection:
            connection.execute(
                "UPDATE threads SET updated_at_ms = ?"
                " + iif(row_id % 2, 1, -1) * (1000 + (row_id / 2 + ?) % 2)",
                [BEFORE_MS, at],
            )
            for number in range(THREADS):
                values = [thread_id(number), "n", number]
                connection.execute("INSERT INTO user_data VALUES (?, 'note', ?, ?)", values)
    return made


def asked(fleet: Fleet, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(fleet.admin) as admin:
        return admin.execute(sql).fetchall()


def check_whole(fleet: Fleet, indexes: dict[str, Path]) -> None:
    """What is there of threads is what the indexes have of them, and nothing else is there."""
    for name, index in indexes.items():
        has, there = kept(index), held(fleet, name)
        ids = {row[0] for row in there["threads"]}
        assert there == {
            table: [row for row in rows if row[0] in ids] for table, rows in has.items()
        }
    for table, key in DEPENDENTS.items():
        lost = asked(
            fleet,
            f"SELECT * FROM threadkeep.{table} d WHERE NOT EXISTS (SELECT 1 FROM threadkeep.threads"
            f" t WHERE t.tenant_id = d.tenant_id AND t.machine_id = d.machine_id AND {key})",
        )
        assert lost == []
    wrong = asked(
        fleet,
        "SELECT id, array_agg(machine_id ORDER BY updated_at_ms, size_bytes, machine_id) AS copies,"
        " array_agg(machine_id) FILTER (WHERE newest) AS newest FROM threadkeep.threads"
        " WHERE NOT deleted GROUP BY id",
    )
    assert [row for row in wrong if row[2] != row[1][-1:]] == []


def test_prune_and_push_at_once_end_as_one_after_the_other(
    fleet: Fleet, home: Path, indexes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.fleet.server.operations.prune.BATCH", 5)
    rule = Rule(BEFORE)
    options = PushOptions(most_in_batch=7, everything=True)

    addresses = {name: fleet.machine(name) for name in indexes}

    async def pushed(name: str) -> None:
        async with open_index(home, indexes[name]) as index:
            await push(index, addresses[name], options)

    async def at_once() -> None:
        pruned = asyncio.to_thread(prune, fleet.admin, rule, lambda _: None)
        await asyncio.gather(*map(pushed, indexes), pruned)

    for _ in range(6):
        asyncio.run(at_once())
        check_whole(fleet, indexes)
    prune(fleet.admin, rule, lambda _: None)
    check_whole(fleet, indexes)
    assert asked(
        fleet,
        f"SELECT count(*), count(*) FILTER (WHERE newest), min(updated_at_ms) >= {BEFORE_MS}"
        " FROM threadkeep.threads",
    ) == [(THREADS, THREADS // 2, True)]
