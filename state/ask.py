"""Plain connections to an index that is there, and questions in SQL that can only read."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from state.engine import translate, translated
from state.errors import (
    IndexDamaged,
    IndexMissing,
    IndexTooNew,
    IndexUnavailable,
    InvalidSql,
    NotAnIndex,
)
from state.revision import HEAD, REVISIONS
from state.snapshot import reading

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
def readable(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that reads one state of the index at ``path``, which is not
    made, not migrated and not written.

    Raises:
        IndexMissing: there is none.
        IndexTooNew: its schema is from a newer program.
        IndexUnavailable: it cannot be read.
        NotAnIndex: it is a database of another program.
        sqlite3.Error: the file is no usable database; see :func:`state.engine.translated`.
    """
    _require(path)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(reading(path))
        except OSError as error:
            raise IndexUnavailable(path, error.strerror or str(error)) from error
        _check_revision(connection, path)
        yield connection


@contextmanager
def writable(path: Path, wait_s: float) -> Iterator[sqlite3.Connection]:
    """A connection to the index at ``path``, which is not made and not migrated. It waits
    ``wait_s`` seconds for another process's lock.

    Raises:
        IndexMissing: there is none.
        IndexTooNew: its schema is from a newer program.
        NotAnIndex: it is a database of another program.
        sqlite3.Error: the file is no usable database; see :func:`state.engine.translated`.
    """
    _require(path)
    uri = f"{path.absolute().as_uri()}?mode=rw"
    opened = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)
    with closing(opened) as connection:
        _check_revision(connection, path)
        yield connection


def _require(path: Path) -> None:
    if path.is_dir():
        raise IndexUnavailable(path, "it is a directory")
    if not path.exists() or not path.stat().st_size:
        raise IndexMissing(path)


def _check_revision(connection: sqlite3.Connection, path: Path) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables & {"alembic_version", "rollout_files"}:
        raise NotAnIndex(path, "it is a database, but not one of threadkeep's")
    if "alembic_version" not in tables:
        raise IndexDamaged(path, "its table alembic_version is missing")
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if revision and revision[0] not in REVISIONS:
        raise IndexTooNew(path, str(revision[0]), HEAD)


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
    with translated(path), readable(path) as connection:
        connection.execute("PRAGMA query_only = ON")
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
        # "yield from" would close the cursor, which fails when its connection has gone first.
        for row in cursor:  # noqa: UP028
            yield row
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
