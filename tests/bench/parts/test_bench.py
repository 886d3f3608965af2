"""What threadkeep's work costs. Run with ``pytest tests/bench``; never part of the tests."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from state.checks.findings import Findings
from state.db.steps import run_steps
from state.query.listing import page_steps
from state.query.model import Query
from state.repair.verify import Depth, verify
from tests.state.query.invented import fill
from tests.state.query.test_listing import FILTERS

PLAIN = {name: filters for name, filters in FILTERS.items() if name not in ("parent", "ancestor")}


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
