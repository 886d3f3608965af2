"""Reads of the index: over a reader's connection, and inline in the event loop."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from state.db.connect import connect
from state.db.database import Database
from state.db.steps import Steps
from state.errors import InvalidCursor
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
