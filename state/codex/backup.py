"""Codex's database, open for us alone; copies of it beside our index, and the way back to one."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from state.codex.processes import processes_using
from state.codex_db.database import quick_check, writable
from state.db.connect import connect
from state.errors import CodexChangedSince, CodexInUse, CodexUnusable, NoCodexBackup

_KEPT_BACKUPS: Final = 3


@contextmanager
def exclusively_open(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to Codex's database that keeps everybody else out. Raises CodexInUse if another
    process has it open, even if idle, and CodexUnusable if it is damaged or cannot be written."""
    # In a rollback journal an idle connection holds no lock, so the processes are looked at too.
    who = processes_using(database)
    if who:
        raise CodexInUse(database, who)
    with writable(
        database, lambda path: CodexInUse(path, processes_using(path) or [])
    ) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")  # the lock outlives the transaction
        connection.execute("COMMIT")
        yield connection


def digest(connection: sqlite3.Connection) -> str:
    """A hash of the whole database: its schema and every row."""
    texts, connection.text_factory = connection.text_factory, bytes
    found = hashlib.blake2b(digest_size=16)
    schema = connection.execute(
        "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
    ).fetchall()
    found.update(repr(schema).encode())
    for kind, name, _ in schema:
        if kind == b"table":
            quoted = name.decode().replace('"', '""')
            for row in connection.execute(f'SELECT * FROM "{quoted}"'):
                found.update(repr(row).encode())
    connection.text_factory = texts
    return found.hexdigest()


def copy_database(connection: sqlite3.Connection, folder: Path) -> Path:
    """Copy the database of ``connection`` into ``folder`` and compare the two. Gives the path of
    the copy. Raises CodexUnusable if the copy cannot be made, or differs."""
    database = _path_of(connection)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = folder / f"codex-state-{stamp}.sqlite3"
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(connect(target)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # it must not need a -wal of its own
            damage = quick_check(copy)
            if damage != "ok" or digest(copy) != digest(connection):
                raise CodexUnusable(database, f"its copy {target} differs: {damage}")
    except OSError as error:
        raise CodexUnusable(database, f"no copy can be made: {error.strerror}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def note_fix(connection: sqlite3.Connection, backup: Path) -> None:
    """Note beside ``backup``, before the fix is committed, what the database holds after it. Raises
    OSError if the note cannot be written."""
    note = {"v": 1, "database": str(_path_of(connection)), "after": digest(connection)}
    with _note(backup).open("x", encoding="utf-8") as file:
        json.dump(note, file)
        file.flush()
        os.fsync(file.fileno())


def remove_old_copies(folder: Path, database: Path) -> None:
    """Keep only the newest few backups of a database."""
    for old in _backups(folder, database)[_KEPT_BACKUPS:]:
        discard(old)


def discard(backup: Path) -> None:
    """Remove a backup with its note."""
    _note(backup).unlink(missing_ok=True)
    backup.unlink(missing_ok=True)


def restore_latest_copy(folder: Path, database: Path) -> Path:
    """Put the newest backup in ``folder`` back into ``database``, in one transaction, and remove
    it. Gives the path that it had.

    Raises:
        NoCodexBackup: this database has none.
        CodexChangedSince: the database is not as the fix left it.
        CodexInUse, CodexUnusable: see :func:`exclusively_open`.
    """
    found = _backups(folder, database)
    if not found:
        raise NoCodexBackup(database)
    backup = found[0]
    with exclusively_open(database) as connection:
        if digest(connection) != _read_note(backup)["after"]:
            raise CodexChangedSince(database, backup)
        with closing(connect(backup, "ro")) as source:
            source.backup(connection)
            if digest(source) != digest(connection):
                raise CodexUnusable(database, f"it differs from {backup}")
    discard(backup)
    return backup


def _backups(folder: Path, database: Path) -> list[Path]:
    """The backups of a database that belong to a finished fix, the newest first."""
    found = sorted(folder.glob("codex-state-*Z.sqlite3"), reverse=True)
    real = str(database.resolve())
    return [backup for backup in found if _read_note(backup).get("database") == real]


def _read_note(backup: Path) -> dict[str, str]:
    try:
        note = json.loads(_note(backup).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # the fix did not finish: it changed nothing
    return note if isinstance(note, dict) and isinstance(note.get("after"), str) else {}


def _note(backup: Path) -> Path:
    return backup.with_suffix(".json")


def _path_of(connection: sqlite3.Connection) -> Path:
    return Path(os.fsdecode(connection.execute("PRAGMA database_list").fetchone()[2])).resolve()
