"""SQL statements that only read an index."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollout.files.cancellation import Cancelled, check_cancelled, is_cancelled
from state.db.snapshot import open_read_only
from state.db.translate import translate
from state.errors import SQLITE_ERRORS, InvalidSql

LARGEST_VALUE: Final = 64 * 2**20
"""The largest text or blob that a statement may produce, in bytes."""

_PRAGMAS: Final = frozenset(
    {
        *("table_info", "table_xinfo", "table_list", "foreign_key_list"),
        *("index_info", "index_xinfo", "index_list"),
        "data_version",  # FTS5 uses it
    }
)
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
# The first use of a virtual table needs the right to create tables.
_VIRTUAL_TABLES: Final = (
    *("thread_titles", "json_each('')", "json_tree('')"),
    *("pragma_table_info('')", "pragma_table_list", "pragma_index_list('')"),
)
_REFUSED: Final = ("SQLITE_ERROR", "SQLITE_AUTH", "SQLITE_TOOBIG", "SQLITE_MISMATCH")


@dataclass(frozen=True, slots=True)
class SqlResult:
    """The names of the columns, and the rows as they come."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def run_sql(path: Path, sql: str, largest: int = LARGEST_VALUE) -> Iterator[SqlResult]:
    """The result of one statement that only reads the index at ``path``, with no text or blob
    larger than ``largest``.

    Rows are read as they are taken, and errors of reading them are raised then.

    Raises:
        InvalidSql: the statement does more than read, or SQLite refuses it.
        StateError: the index cannot be read; see :func:`open_read_only`.
        KeyboardInterrupt: also in the middle of a long statement.
        Cancelled: nobody waits for it any more, also in the middle of a long statement.
    """
    with open_read_only(path) as connection:
        connection.execute("PRAGMA query_only = ON")
        for table in _VIRTUAL_TABLES:
            connection.execute(f"SELECT 1 FROM {table} LIMIT 0").fetchall()
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, largest)
        connection.set_authorizer(_authorized)
        # Python can only look at signals while it runs: here, in the middle of a statement.
        connection.set_progress_handler(is_cancelled, 10_000)
        try:
            cursor = connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise _translated(path, error) from error
        if cursor.description is None:
            raise InvalidSql("it contains no statement")
        with closing(_rows(path, cursor)) as rows:
            yield SqlResult([column[0] for column in cursor.description], rows)


def _rows(path: Path, cursor: sqlite3.Cursor) -> Generator[tuple[Any, ...]]:
    try:
        for row in cursor:
            check_cancelled()
            yield row
    except SQLITE_ERRORS as error:
        raise _translated(path, error) from error


def _translated(path: Path, error: Exception) -> BaseException:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_INTERRUPT":
        return Cancelled() if is_cancelled() else KeyboardInterrupt()
    if name == "SQLITE_AUTH":
        return InvalidSql(f"only reading is allowed here ({error})")
    ours = not name.startswith(_REFUSED) and (name or isinstance(error, UnicodeDecodeError))
    known = translate(path, error) if ours else None
    return known or InvalidSql(str(error))


def _authorized(action: int, first: str | None, second: str | None, *_place: str | None) -> int:
    allowed = (
        action in _ALLOWED
        or (
            action == sqlite3.SQLITE_FUNCTION and second not in ("load_extension", "fts3_tokenizer")
        )
        or (action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS)
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
