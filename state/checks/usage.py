"""Check the tokens that threads have used against those that their files tell of."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rollout.metadata.outcomes import Extracted
from rollout.metadata.version import EXTRACTOR_VERSION
from rollout.usage.file import stored_usage
from state.checks.findings import KINDS, REPAIR_DEEP, Finding, IndexState, difference
from state.db.schema import thread_limits, thread_usage
from state.rows.usage_rows import FIELDS, LIMITS_SQL, USAGE_SQL

_ODD: Final = (
    "SELECT f.path, f.thread_id, u.odd, u.odd_at FROM file_usage u JOIN rollout_files f"
    " ON f.path = u.path WHERE u.odd > 0 ORDER BY f.path"
)
_NOT_COMPARED: Final = (
    "SELECT f.path, f.thread_id FROM file_usage u JOIN rollout_files f ON f.path = u.path"
    " WHERE u.only_here = '' ORDER BY f.path"
)
_MISSING: Final = (
    "SELECT f.path, f.thread_id FROM rollout_files f LEFT JOIN file_usage u ON u.path = f.path"
    " WHERE f.thread_id NOT NULL AND f.extractor_version = ? AND u.path IS NULL ORDER BY f.path"
)
_OF_FILE: Final = f"SELECT {', '.join(FIELDS)} FROM file_usage WHERE path = ?"

Rows = dict[int, set[tuple[Any, ...]]]


def usage_findings(index: IndexState) -> Iterator[Finding]:
    """Files whose counts are none, and threads that have not used what their files tell."""
    for path, thread_id, odd, odd_at in index.connection.execute(_ODD):
        lines = "1 line has" if odd == 1 else f"{odd} lines have"
        message = (
            f"{lines} invalid token counts (no number, negative, too large), which count as 0."
        )
        yield Finding(KINDS["token_counts_unreadable"], message, thread_id, path, odd_at)
    for path, thread_id in index.connection.execute(_NOT_COMPARED):
        message = "Tokens that only this copy has are not counted yet."
        yield Finding(KINDS["copies_not_compared"], message, thread_id, path)
    kind = KINDS["usage_differs"]
    for path, thread_id in index.connection.execute(_MISSING, [EXTRACTOR_VERSION]):
        message = "The index lacks the token counts of this file."
        yield Finding(kind, message, thread_id, path)
    for table, sql in ((thread_usage, USAGE_SQL), (thread_limits, LIMITS_SQL)):
        columns = ", ".join(column.name for column in table.c)
        both = f"SELECT {columns} FROM {table.name}", f"SELECT * FROM ({sql.format('1')})"
        held, told = (
            _by_thread(index.connection.execute(" EXCEPT ".join(order)))
            for order in (both, both[::-1])
        )
        wrong = held.keys() | told.keys()
        ids = {row["row_id"]: id_ for id_, row in index.threads.items() if row["row_id"] in wrong}
        for row_id in wrong:
            message = f"What {table.name} has of the thread does not match its files."
            measured, expected = _text(held[row_id]), _text(told[row_id])
            yield difference(kind, message, ids.get(row_id), None, measured, expected)


def compare_usage(connection: sqlite3.Connection, outcome: Extracted) -> Iterator[Finding]:
    """Where the index does not have of a file what reading it gives."""
    row = connection.execute(_OF_FILE, [outcome.path]).fetchone()
    held = stored_usage(*row) if row else None
    if held != outcome.usage:
        yield difference(
            KINDS["usage_differs"],
            "The tokens do not match the file.",
            outcome.metadata.id,
            outcome.path,
            held,
            outcome.usage,
            REPAIR_DEEP,
        )


def _by_thread(found: sqlite3.Cursor) -> Rows:
    rows: Rows = defaultdict(set)
    for row in found:
        rows[row[0]].add(tuple(row)[1:])
    return rows


def _text(rows: Iterable[tuple[Any, ...]]) -> str:
    return "; ".join(" ".join(map(str, row)) for row in sorted(rows, key=str)) or "nothing"
