"""Comparing indexes by what they mean."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_VOLATILE = {
    "threads": {"row_id"},  # order of insertion
    "rollout_files": {"first_seen_ms", "last_seen_ms", "attempts"},
    "thread_dynamic_tools": set(),
    "thread_spawn_edges": set(),
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
        # The title index finds each row by its text, and nothing else.
        connection.execute("INSERT INTO thread_titles (thread_titles) VALUES ('integrity-check')")
        return found


def rows(index: Path, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query, as dicts."""
    with closing(sqlite3.connect(index)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]
