"""Threads that have changed a file, by the time of their newest change of it."""

from pathlib import Path
from typing import Any

from state.fulltext.changed_files import ChangingThreads, newest_changes_steps
from state.query.model import Query
from state.thread_index import ThreadIndex
from tests.state.fulltext.test_changed_files import filled, home_of, numbers, patch
from tests.support.indexes import in_index


def test_threads_come_in_the_order_of_their_newest_changes_on_request(
    tmp_path: Path, index_path: Path
) -> None:
    def at(minute: int, path: str = "app.py") -> dict[str, Any]:
        return {**patch(path), "timestamp": f"2026-05-28T21:{minute:02}:00.000Z"}

    home = home_of(
        tmp_path,
        [at(5), at(50, "other")],
        [at(1), at(9)],
        [at(7)],
        [at(9)],
        [{**patch("app.py"), "timestamp": ""}],
        [],
    )
    filled(home, index_path)
    joined: list[int] = []
    cursor: str | None = None
    while not joined or cursor:
        steps = newest_changes_steps("APP", Query(limit=1, cursor=cursor))

        async def look(opened: ThreadIndex, steps: Any = steps) -> ChangingThreads:
            return await opened.database.query(steps)

        page: ChangingThreads = in_index(home, index_path, look)
        joined += numbers(page)
        cursor = page.next_cursor
    assert joined == [3, 1, 2, 0, 4]
