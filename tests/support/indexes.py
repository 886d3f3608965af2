"""Using indexes from a test, and comparing them by what they mean."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

from state.db.location import journal_path
from state.jobs.progress import SyncProgress
from state.thread_index import ThreadIndex, open_index
from state.userdata.store import open_with_user_data

_VOLATILE = {
    "threads": {"row_id"},  # order of insertion
    "rollout_files": {"first_seen_ms", "last_seen_ms", "attempts"},
    "thread_dynamic_tools": set(),
    "thread_spawn_edges": set(),
    "file_usage": set(),
}


def meaning(index: Path) -> dict[str, list[dict[str, Any]]]:
    """All derived rows of an index, in an order of their own, without what depends on when
    and in what order they were written."""
    with closing(sqlite3.connect(index)) as connection:
        connection.row_factory = sqlite3.Row
        found = {}
        for table, volatile in _VOLATILE.items():
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
            for row in rows:
                for column in volatile:
                    del row[column]
            found[table] = sorted(rows, key=repr)
        found["resume_points"] = [
            dict(row)
            for row in connection.execute(
                "SELECT id, r.size_bytes, r.mtime_ns, r.inode, end_offset, guard"
                " FROM resume_points r JOIN threads USING (row_id)"
                " WHERE pass = 'metadata' ORDER BY id"
            )
        ]
        for table in ("thread_usage", "thread_limits"):
            asked = f"SELECT id, u.* FROM {table} u JOIN threads USING (row_id)"
            rows = [dict(row) for row in connection.execute(asked)]
            found[table] = sorted(({**row, "row_id": 0} for row in rows), key=repr)
        # The title index finds each row by its text, and nothing else.
        connection.execute("INSERT INTO thread_titles (thread_titles) VALUES ('integrity-check')")
        return found


def rows(index: Path, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query, as dicts."""
    with closing(sqlite3.connect(index)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]


@cache
def migrated() -> bytes:
    """An index with nothing in it, as the migrations make it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite3"

        async def make() -> None:
            async with open_with_user_data(path):
                pass

        asyncio.run(make())
        return path.read_bytes()


def empty_index(path: Path) -> None:
    """Put an index with nothing in it at ``path``, unless there is one or a journal to make it of.
    The migrations take ten times as long as opening what they made."""
    if not path.exists() and not journal_path(path).exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            whole.touch(0o600)
            whole.write_bytes(migrated())
            with suppress(FileExistsError):  # another process was faster
                path.hardlink_to(whole)
        finally:
            whole.unlink(missing_ok=True)


def copying(create: Callable[[Path], None]) -> Callable[[Path], None]:
    """What is to create the files of indexes, so that each new one is a copy of what the migrations
    made once: to run all of them costs more than most tests."""

    def copy(path: Path) -> None:
        with suppress(OSError):  # told by the other
            empty_index(path)
        create(path)

    return copy


def in_index(home: Path, index: Path, work: Callable[[ThreadIndex], Awaitable[Any]]) -> Any:
    """What ``work`` gives with the index open."""

    async def opened() -> Any:
        async with open_index(home, index) as found:
            return await work(found)

    return asyncio.run(opened())


def sync(home: Path, index: Path) -> SyncProgress:
    """Bring the index in step."""
    empty_index(index)
    counts: SyncProgress = in_index(home, index, lambda opened: opened.sync())
    return counts


def fresh_meaning(home: Path) -> dict[str, list[dict[str, Any]]]:
    """What a fresh index of a home means."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fresh.sqlite3"
        empty_index(path)
        in_index(home, path, lambda opened: opened.backfill())
        return meaning(path)
