"""What a search costs, and the index that it looks in: ``pytest tests/bench/test_search.py -s``."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rollout.search.terms import terms_of
from state.db.database import Database
from state.fulltext.indexer import fill_fulltext
from state.fulltext.search import Found, Search, search
from state.query.model import Query
from state.thread_index import ThreadIndex, open_index
from tests.bench.test_bench import Loop

COMMON, RARE, ABSENT = "reply", '"#1234"', "nobodysaidthat"


@pytest.fixture(scope="module")
def searched(many_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    path = tmp_path_factory.mktemp("search") / "index.sqlite3"

    async def fill() -> None:
        async with open_index(many_home, path) as index:
            await index.backfill()
            await fill_fulltext(index)

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as connection:
        pages = connection.execute(
            "SELECT name, sum(pgsize) FROM dbstat WHERE name LIKE '%fulltext%' GROUP BY name"
        )
        sizes = dict(pages) if pages else {}
        (read,) = connection.execute("SELECT sum(size_bytes) FROM threads").fetchone()
    share = sum(sizes.values()) / read
    print(f"\nsearch: {sum(sizes.values()):,} bytes, {share:.2%} of {read:,}")
    loop = Loop(many_home, path)
    yield loop
    loop.close()


def _search(database: Database, home: Path, query: str, **fields: Any) -> Any:
    among = Query(sort_key="updated_at", all_sources=True)
    wanted = Search(tuple(terms_of(query)), among, **fields)
    return search(ThreadIndex(home, database), wanted)


@pytest.mark.parametrize("query", [COMMON, RARE, ABSENT, "cache retry", "re*"])
def test_search(query: str, searched: Loop, benchmark: BenchmarkFixture) -> None:
    def work() -> Found:
        found: Found = searched.run(_search(searched.database, searched.home, query))
        return found

    found = benchmark(work)
    assert bool(found.hits) or query != COMMON


def test_search_ranked(searched: Loop, benchmark: BenchmarkFixture) -> None:
    benchmark(lambda: searched.run(_search(searched.database, searched.home, COMMON, ranked=True)))
