"""What threadkeep's work costs. Run with ``pytest tests/bench``; never part of the tests."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from state.checks.findings import Findings
from state.db.database import Database, open_database
from state.db.steps import run_steps
from state.query.listing import page_steps
from state.query.model import Query
from state.repair.verify import Depth, verify
from state.sync.sync import sync
from state.thread_index import open_index
from tests.state.query.invented import fill
from tests.state.query.test_listing import FILTERS

PLAIN = {name: filters for name, filters in FILTERS.items() if name not in ("parent", "ancestor")}


async def _fill(home: Path, path: Path) -> None:
    async with open_index(home, path) as index:
        await index.backfill()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["many_home", "big_home"])
def test_backfill(
    kind: str, request: pytest.FixtureRequest, benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    home = request.getfixturevalue(kind)
    path = tmp_path / "index.sqlite3"
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: asyncio.run(_fill(home, path)), setup=lambda: _remove(path), rounds=3
    )


class Loop:
    """One event loop with an open index, so that only the work is timed."""

    def __init__(self, home: Path, path: Path) -> None:
        self.home = home
        self._runner = asyncio.Runner()
        self._context = open_database(path)
        self.database: Database = self._runner.run(self._context.__aenter__())

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        self._runner.run(self._context.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture(scope="module")
def many(many_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    path = tmp_path_factory.mktemp("index") / "index.sqlite3"
    asyncio.run(_fill(many_home, path))
    loop = Loop(many_home, path)
    yield loop
    loop.close()


def test_sync_when_nothing_changed(many: Loop, benchmark: BenchmarkFixture) -> None:
    counts = benchmark(lambda: many.run(sync(many.database, many.home)))
    assert counts.done == 0


@pytest.mark.parametrize("deep", [False, True], ids=["structural", "deep"])
def test_verify(deep: bool, many_home: Path, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """To be compared with the backfill of the same home in the same run."""
    index = tmp_path / "index.sqlite3"
    command = [sys.executable, "-m", "cli", "--home", str(many_home), "--db", str(index)]
    subprocess.run([*command, "backfill"], check=True, capture_output=True)
    found = Findings()

    def once() -> None:
        asyncio.run(verify(many_home, index, found.add, depth=Depth() if deep else None))

    benchmark.pedantic(once, rounds=1 if deep else 5)  # type: ignore[no-untyped-call]
    assert found.clean


@pytest.mark.parametrize("kind", ["big_home", "many_home"])
def test_sync_after_one_line_was_appended(
    kind: str, request: pytest.FixtureRequest, benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    """The same cost whatever the size of the rollout; the home's files are looked at as well."""
    home: Path = request.getfixturevalue(kind)
    path = tmp_path / "index.sqlite3"
    asyncio.run(_fill(home, path))
    largest = max(home.rglob("rollout-*.jsonl"), key=lambda file: file.stat().st_size)
    line = {"timestamp": "2026-01-01T00:00:00.000Z", "type": "event_msg", "payload": {"type": "x"}}
    loop = Loop(home, path)

    def append() -> None:
        with largest.open("a") as file:
            file.write(json.dumps(line) + "\n")

    counts = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: loop.run(sync(loop.database, home)), setup=append, rounds=20
    )
    loop.close()
    assert counts.done == 1


@pytest.fixture(scope="module", params=[1_000, 20_000, 100_000])
def rows(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("rows") / "index.sqlite3"
    fill(path, request.param)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.mark.parametrize("name", PLAIN)
def test_list_page(name: str, rows: sqlite3.Connection, benchmark: BenchmarkFixture) -> None:
    query = Query(sort_key="updated_at", limit=50, **PLAIN[name])
    assert benchmark(lambda: run_steps(page_steps(query), rows)).rows


def test_walk_15000_threads(rows: sqlite3.Connection, benchmark: BenchmarkFixture) -> None:
    def walk() -> int:
        query, count = Query(limit=100, all_sources=True), 0
        while count < 15_000:
            page = run_steps(page_steps(query), rows)
            count += len(page.rows)
            if page.next_cursor is None:
                break
            query = replace(query, cursor=page.next_cursor)
        return count

    benchmark.pedantic(walk, rounds=3)  # type: ignore[no-untyped-call]


def test_one_shot_list(many_home: Path, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli", "--home", str(many_home), "--db", str(tmp_path / "i")]
    subprocess.run([*command, "backfill"], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: subprocess.run(
            [*command, "list"], check=True, capture_output=True, env=environment
        ),
        rounds=10,
    )
