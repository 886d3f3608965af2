"""Codex's own index, ``state_5.sqlite``: where it is, how it is opened and what it says
(docs/schema.md#codexs-own-database)."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from state.db.connect import connect
from state.errors import SQLITE_ERRORS, CodexInUse, CodexLocked, CodexSchemaUnknown, CodexUnusable

STATE_FILE: Final = "state_5.sqlite"
PINNED_SECTION: Final = "01984de2-8f74-7c91-a3b2-5c5e937cf318"
"""The section of pinned threads, which every database with sections has."""
_PATIENCE_S: Final = 2.0
_NEEDED: Final = ("id", "rollout_path", "archived")
_DEFAULTS: Final = {
    "title": "''",
    "first_user_message": "''",
    "name": "NULL",
    "history_mode": "'legacy'",
}
"""The value of a column that older schemas do not have."""


class CodexThread(NamedTuple):
    """The columns of Codex's ``threads`` that are compared."""

    id: str
    rollout_path: str
    archived: bool
    title: str
    first_user_message: str
    name: str | None
    history_mode: str
    pinned: bool


class CodexBackfill(NamedTuple):
    """The one row of Codex's ``backfill_state``."""

    status: str
    watermark: str | None
    updated_at: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class CodexState:
    """One state of Codex's database."""

    threads: dict[str, CodexThread]
    backfill: CodexBackfill
    migrations: frozenset[int]
    unfinished: frozenset[int]
    """The migrations that began and did not end: Codex refuses such a database."""
    differences: tuple[str, ...]
    """How the tables that we write differ from the ones we know; empty if we may write them."""

    @property
    def known(self) -> bool:
        """Whether we may write the database."""
        return not self.differences


class NotComparable(Exception):
    """The database has no ``threads`` table with the columns that a comparison needs."""


def codex_database(home: Path, sqlite_home: Path | None = None) -> Path:
    """The path of the database of the Codex that uses ``home``, whether it exists or not.

    ``sqlite_home`` is the value of ``CODEX_SQLITE_HOME``; the one in ``config.toml`` wins.
    """
    import tomllib

    try:
        with (home / "config.toml").open("rb") as file:
            configured = tomllib.load(file).get("sqlite_home")
    except (OSError, ValueError, RecursionError):  # the last for thousands of brackets
        configured = None
    if isinstance(configured, str) and configured:
        return home / os.path.expanduser(configured) / STATE_FILE
    return (sqlite_home or home) / STATE_FILE


def has_database(database: Path) -> bool:
    """Whether there is a database. Codex takes an empty file for none, and makes a new one. Raises
    CodexUnusable if that cannot be seen."""
    try:
        return database.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a NUL in its path
        return False
    except OSError as error:
        raise CodexUnusable(database, error.strerror or str(error)) from error


@contextmanager
def codex_errors(
    database: Path, busy: Callable[[Path], CodexInUse | CodexLocked] = CodexLocked
) -> Iterator[None]:
    """Raises errors of SQLite as ours: ``busy`` if another process holds the database for too
    long, else :class:`CodexUnusable`."""
    try:
        yield
    except SQLITE_ERRORS as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise busy(database) from error
        raise CodexUnusable(database, str(error)) from error


@contextmanager
def writable(
    database: Path, busy: Callable[[Path], CodexInUse | CodexLocked] = CodexLocked
) -> Iterator[sqlite3.Connection]:
    """A connection to a database that exists; the caller begins and ends its transactions. Raises
    what :func:`codex_errors` raises."""
    # rw does not create a database that is gone
    with (
        codex_errors(database, busy),
        closing(connect(database, "rw", wait_s=_PATIENCE_S)) as opened,
    ):
        yield opened


def quick_check(connection: sqlite3.Connection) -> str:
    """``ok``, or what SQLite finds damaged."""
    return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])


def read_codex(connection: sqlite3.Connection) -> CodexState:
    """The state of the database that ``connection`` has open. Raises NotComparable if it has no
    ``threads`` that could be compared, and sqlite3.Error if it is damaged."""
    state = read_without_threads(connection)
    return replace(state, threads=_threads(connection, columns(connection, "threads")))


def read_without_threads(connection: sqlite3.Connection) -> CodexState:
    """As :func:`read_codex`, but without a look at the threads."""
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    known = columns(connection, "threads")
    missing = [name for name in _NEEDED if name not in known]
    if missing:
        raise NotComparable(f"its table threads has no {', '.join(missing)}")
    migrations = _migrations(connection)
    return CodexState(
        threads={},
        backfill=_backfill(connection),
        migrations=frozenset(migrations),
        unfinished=frozenset(version for version, ended in migrations.items() if not ended),
        differences=tuple(_differences(connection, migrations)),
    )


def check_writable(connection: sqlite3.Connection, database: Path) -> None:
    """Return if we may write the database that ``connection`` has open. Raises CodexSchemaUnknown
    if its tables are not the ones we know, and sqlite3.Error if it is damaged."""
    migrations = _migrations(connection)
    if different := _differences(connection, migrations):
        raise CodexSchemaUnknown(database, migrations, different)


def _differences(connection: sqlite3.Connection, migrations: Mapping[int, bool]) -> list[str]:
    if not migrations:
        return ["it has no table of migrations"]
    unfinished = [version for version, ended in migrations.items() if not ended]
    if unfinished:
        return [f"migration {min(unfinished)} began and did not end"]
    from state.codex_db.tables import differences  # it takes longer to load than all else here

    return differences(connection)


def _migrations(connection: sqlite3.Connection) -> dict[int, bool]:
    """The migrations that began, each with whether it ended."""
    if not {"version", "success"} <= set(columns(connection, "_sqlx_migrations")):
        return {}
    found = connection.execute("SELECT version, success FROM _sqlx_migrations")
    return {int(version): bool(success) for version, success in found}


def _threads(connection: sqlite3.Connection, known: list[str]) -> dict[str, CodexThread]:
    wanted = [name if name in known else _DEFAULTS[name] for name in CodexThread._fields[:-1]]
    found = connection.execute(
        f"SELECT {', '.join(wanted)}, {pinned_sql(known)} FROM threads ORDER BY id"
    )
    return {
        str(row[0]): CodexThread(
            id=str(row[0]),
            rollout_path=str(row[1]),
            archived=bool(row[2]),
            title=str(row[3]),
            first_user_message=str(row[4]),
            name=None if row[5] is None else str(row[5]),
            history_mode=str(row[6]),
            pinned=bool(row[7]),
        )
        for row in found
    }


def pinned_sql(known: Collection[str]) -> str:
    """Whether a row of ``threads``, which has these columns, is pinned. Where there are sections,
    ``is_pinned`` is what an earlier version has left."""
    if "thread_section_id" in known:
        return f"thread_section_id IS '{PINNED_SECTION}'"
    return "is_pinned" if "is_pinned" in known else "0"


def _backfill(connection: sqlite3.Connection) -> CodexBackfill:
    if {"status", "last_watermark", "updated_at"} <= set(columns(connection, "backfill_state")):
        row = connection.execute(
            "SELECT status, last_watermark, updated_at FROM backfill_state WHERE id = 1"
        ).fetchone()
        if row is not None:
            watermark = None if row[1] is None else str(row[1])
            return CodexBackfill(str(row[0]), watermark, row[2] if isinstance(row[2], int) else 0)
    return CodexBackfill("pending", None, 0)  # Codex makes the row at its next start


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table; none if there is no such table."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
