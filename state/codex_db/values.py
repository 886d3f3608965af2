"""What users set in Codex that may be in its own database alone: names of paginated threads, and
pins (docs/schema.md#codexs-own-database)."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from rollout.files.layout import parse_uuid
from rollout.files.stamp import FileStamp
from rollout.files.text import printable_path
from state.codex_db.database import NotComparable, codex_errors, columns, pinned_sql
from state.db.snapshot import snapshot
from state.db.sql import AMONG, listed

_WAIT_S: Final = 0.1
_FILES: Final = ("", "-wal")


class CodexValues(NamedTuple):
    """What Codex's database holds of a thread."""

    name: str | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class CodexLook:
    """Codex's database at one moment."""

    identity: str
    """Another one for a database that was made anew, or has been replaced."""
    values: dict[str, CodexValues]
    """Of the threads that have any."""
    without: frozenset[str]
    """Those of the threads asked for that have a row and no value."""


def database_stamp(database: Path) -> str | None:
    """Changes whenever Codex writes its database; None if there is none. Raises OSError if that
    cannot be seen."""
    stamps = [_stamp(database, suffix) for suffix in _FILES]
    if stamps[0] is None or not stamps[0].size:
        return None
    return " ".join([printable_path(str(database)), *map(str, stamps)])


def read_values(database: Path, asked: Collection[str]) -> CodexLook:
    """The names and pins that Codex's database has now, and which of the threads ``asked`` for have
    none.

    Raises:
        CodexLocked, CodexUnusable: it cannot be read.
        NotComparable: its threads are not those that we know.
        OSError: it cannot be read, or was being written.
    """
    before = database_stamp(database)
    with codex_errors(database), _readable(database) as (connection, settled):
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        look = CodexLook(_identity(connection, database), *_values(connection, asked))
    if not settled and database_stamp(database) != before:
        raise OSError(f"{database} was written while it was read")
    return look


@contextmanager
def _readable(database: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """A connection that creates and changes no file, and whether what it reads is one state of the
    database for certain.

    A copy of the database of 20,000 threads takes four times as long as to read it. So it is read
    in place where Codex has it open, or has left its ``-wal`` and ``-shm``.
    """
    with ExitStack() as stack:
        if all(_stamp(database, suffix) for suffix in ("-wal", "-shm")):
            uri = f"{database.absolute().as_uri()}?mode=ro&readonly_shm=1"
            opened = closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None))
            try:
                connection = stack.enter_context(opened)
                connection.execute("BEGIN")
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:
                stack.pop_all().close()  # it has just been closed, or is being recovered
            else:
                yield connection, True
                return
        yield stack.enter_context(snapshot(database)), False


def _values(
    connection: sqlite3.Connection, asked: Collection[str]
) -> tuple[dict[str, CodexValues], frozenset[str]]:
    known = columns(connection, "threads")
    if "id" not in known:
        raise NotComparable("its table threads has no id")
    name = "name" if "name" in known else "NULL"
    pinned = pinned_sql(known)
    found = connection.execute(
        f"SELECT id, CAST({name} AS TEXT), {pinned} FROM threads"
        f" WHERE {name} IS NOT NULL OR {pinned}"
    )
    values = {
        id_: given
        for id_, text, is_pinned in found
        if parse_uuid(str(id_)) == id_
        and any(given := CodexValues((text or "").strip() or None, bool(is_pinned)))
    }
    rows = connection.execute(
        f"SELECT id FROM threads WHERE id {AMONG}", [listed(set(asked) - values.keys())]
    )
    return values, frozenset(id_ for (id_,) in rows)


def _identity(connection: sqlite3.Connection, database: Path) -> str:
    """A copy of the file has another inode, a new database another time of its first migration."""
    made = None
    if "installed_on" in columns(connection, "_sqlx_migrations"):
        made = connection.execute("SELECT min(installed_on) FROM _sqlx_migrations").fetchone()[0]
    return f"{printable_path(str(database))} {database.stat().st_ino} {made}"


def _stamp(database: Path, suffix: str) -> FileStamp | None:
    try:
        return FileStamp.of(database.with_name(f"{database.name}{suffix}").stat())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a NUL in its path
        return None
