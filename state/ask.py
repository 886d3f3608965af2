"""Plain connections to an index that is there, and questions in SQL that can only read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from state.engine import BUSY_TIMEOUT_S, translate, translated
from state.errors import IndexDamaged, IndexMissing, IndexTooNew, InvalidSql
from state.revision import HEAD, REVISIONS

LARGEST_VALUE: Final = 64 * 2**20
"""The largest text or blob that a question may make, in bytes."""

_PRAGMAS: Final = frozenset(
    {
        *("table_info", "table_xinfo", "table_list", "foreign_key_list"),
        *("index_info", "index_xinfo", "index_list"),
        "data_version",  # FTS5 asks for it
    }
)
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
# A virtual table can only be met first where making tables is allowed.
_VIRTUAL_TABLES: Final = (
    *("thread_titles", "json_each('')", "json_tree('')"),
    *("pragma_table_info('')", "pragma_table_list", "pragma_index_list('')"),
)
_REFUSED: Final = ("SQLITE_ERROR", "SQLITE_AUTH", "SQLITE_TOOBIG", "SQLITE_MISMATCH")


@contextmanager
def existing(
    path: Path, *, mode: str = "ro", wait_s: float = BUSY_TIMEOUT_S
) -> Iterator[sqlite3.Connection]:
    """A connection to the index at ``path``, which is not made and not migrated.

    Waits ``wait_s`` seconds for another process's lock.

    Raises:
        IndexMissing: there is none.
        IndexTooNew: its schema is from a newer program.
        sqlite3.Error: the file is no usable database; see :func:`state.engine.translated`.
    """
    if not path.exists():
        raise IndexMissing(path)
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)) as opened:
        found = opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        if found.fetchone() is None:
            raise IndexDamaged(path, "not an index of threadkeep's")
        revision = opened.execute("SELECT version_num FROM alembic_version").fetchone()
        if revision and revision[0] not in REVISIONS:
            raise IndexTooNew(path, str(revision[0]), HEAD)
        yield opened


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question gives: the names of the columns, and the rows as they come."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def ask(path: Path, sql: str) -> Iterator[Answer]:
    """The answer of the index at ``path`` to one statement that only reads.

    Rows are read as they are taken: what fails then is raised then.

    Raises:
        InvalidSql: it is no such statement, or SQLite refuses it.
        KeyboardInterrupt: also in the middle of a long statement.
    """
    with translated(path), existing(path) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")  # one state of the index for all that follows
        for table in _VIRTUAL_TABLES:
            connection.execute(f"SELECT 1 FROM {table} LIMIT 0").fetchall()
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        connection.set_authorizer(_authorized)
        # Python can only look at signals while it runs: here, in the middle of a statement.
        connection.set_progress_handler(lambda: None, 10_000)
        try:
            cursor = connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise _told(path, error) from error
        if cursor.description is None:
            raise InvalidSql("there is no statement in it")
        yield Answer([column[0] for column in cursor.description], _rows(path, cursor))


def _rows(path: Path, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
    try:
        yield from cursor
    except sqlite3.Error as error:
        raise _told(path, error) from error


def _told(path: Path, error: Exception) -> BaseException:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_INTERRUPT":
        return KeyboardInterrupt()
    if name == "SQLITE_AUTH":
        return InvalidSql(f"only reading is allowed here ({error})")
    known = None if name.startswith(_REFUSED) or not name else translate(path, error)
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
