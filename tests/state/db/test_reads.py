"""Reads of the index: over a reader's connection, and inline in the event loop."""

import asyncio
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from state.db import location
from state.db.connect import connect
from state.db.database import Database, open_database
from state.db.sql import Put, meta, set_meta
from state.db.steps import Steps
from state.errors import IndexDamaged, IndexUnavailable, InvalidCursor
from state.query.model import Query
from state.thread_index import open_index


def _refused() -> Steps[None]:
    yield ("SELECT count(*) FROM threads", [])
    raise InvalidCursor("x", "it is refused in the middle of a read")


@pytest.mark.parametrize("read", ["inline", "query"])
def test_a_read_that_raises_leaves_no_transaction_open(
    read: str, home: Path, index_path: Path
) -> None:
    async def main() -> None:
        async with open_index(home, index_path) as index:
            with pytest.raises(InvalidCursor):
                await _run(index.database, read)
            with closing(connect(index_path)) as other:
                other.execute("INSERT INTO index_meta VALUES ('key', 'value')")
                busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
            page = await index.page(Query())
            assert page.rows == []

    asyncio.run(main())


async def _run(database: Database, read: str) -> None:
    if read == "inline":
        database.inline(_refused())
    else:
        await database.query(_refused())


def test_a_cursor_of_another_list_is_refused_each_time(home: Path, index_path: Path) -> None:
    async def main() -> None:
        async with open_index(home, index_path) as index:
            for _ in range(2):
                with pytest.raises(InvalidCursor):
                    await index.page(Query(cursor="other"))

    asyncio.run(main())


def test_a_database_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    """One that is left reports to an event loop that is closed by then, with a traceback."""
    folder = tmp_path.joinpath("a" * 200, "b" * 200, "c" * 200)  # too long for SQLite
    before = set(threading.enumerate())

    async def main() -> set[threading.Thread]:
        with pytest.raises(IndexUnavailable, match="unable to open"):
            async with open_database(folder / "index"):
                pass
        return set(threading.enumerate())

    assert asyncio.run(main()) == before


def test_a_database_whose_opening_is_cancelled_leaves_no_thread(index_path: Path) -> None:
    before = set(threading.enumerate())

    async def use() -> None:
        async with open_database(index_path):
            pass

    async def main() -> None:
        for steps in range(8):
            task = asyncio.create_task(use())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert set(threading.enumerate()) == before, steps

    asyncio.run(main())


def test_where_there_is_no_wal_a_commit_waits_for_a_reader(
    index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = {line.split(" ")[2] for line in Path("/proc/self/mounts").read_text().splitlines()}
    monkeypatch.setattr(location, "_NETWORK_TYPES", every)

    async def main() -> None:
        async with open_database(index_path) as database:
            with closing(connect(index_path, any_thread=True)) as reader:
                assert reader.execute("PRAGMA journal_mode").fetchone() == ("delete",)
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM index_meta").fetchall()
                threading.Timer(0.5, reader.rollback).start()
                await database.transact(partial(set_meta, values={"key": "value"}))
                assert meta(reader, "key") == "value"

    asyncio.run(main())


def test_rows_for_a_table_that_is_missing_find_the_index_damaged(index_path: Path) -> None:
    async def main() -> None:
        async with open_database(index_path) as database:
            await database.transact(lambda connection: connection.execute("DROP TABLE user_data"))
            with pytest.raises(IndexDamaged, match="no such table: user_data"):
                await database.transact(partial(Put("user_data").rows, rows=[]))

    asyncio.run(main())
