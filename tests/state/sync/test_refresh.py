"""A page is right although files have changed since the last sync."""

from pathlib import Path

import pytest

from state.query.model import Query
from state.thread_index import ThreadIndex
from tests.samples import homes
from tests.samples.homes import encoded, event, thread_id, write
from tests.support.indexes import in_index, meaning, rows, sync


def test_a_page_drops_rows_whose_file_is_gone_and_is_filled_up_again(
    home: Path, index_path: Path
) -> None:
    paths = [write(home, number) for number in range(30)]

    async def scenario(index: ThreadIndex) -> list[str]:
        await index.sync()
        for path in paths[20:]:
            path.unlink()
        page = await index.page(Query(limit=10))
        assert page.next_cursor
        return [row["id"] for row in page.rows]

    ids = in_index(home, index_path, scenario)
    assert ids == [thread_id(number) for number in range(19, 9, -1)]
    assert len(rows(index_path, "SELECT * FROM threads")) == 20


def test_a_page_shows_a_changed_thread_as_it_is_now(home: Path, index_path: Path) -> None:
    paths = [write(home, number) for number in range(3)]

    async def scenario(index: ThreadIndex) -> list[tuple[str, int]]:
        await index.sync()
        usage = {"total_token_usage": {"total_tokens": 999}}
        with paths[1].open("ab") as file:
            file.write(encoded([event("2026-05-28T21:00:00.000Z", "token_count", info=usage)]))
        page = await index.page(Query(limit=10))
        return [(row["id"], row["tokens_used"]) for row in page.rows]

    assert in_index(home, index_path, scenario) == [
        (thread_id(2), 102),
        (thread_id(1), 999),
        (thread_id(0), 100),
    ]


@pytest.mark.parametrize("limit", [1, 3])
def test_reading_moves_no_sort_key(home: Path, index_path: Path, limit: int) -> None:
    for number in range(9):
        write(home, number, mtime_ms=homes.BASE_MS)  # all of one moment
    sync(home, index_path)
    before = meaning(index_path)

    async def scenario(index: ThreadIndex) -> None:
        for key in ("created_at", "updated_at", "recency_at"):
            await index.page(Query(sort_key=key, limit=limit))

    in_index(home, index_path, scenario)
    assert meaning(index_path) == before
