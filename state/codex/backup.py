"""Codex's database held for us alone; copies of it beside our index, and going back to one."""

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
from state.errors import SQLITE_ERRORS, CodexChangedSince, CodexInUse, CodexUnusable, NoCodexBackup

_PATIENCE_S: Final = 2.0
_KEPT_BACKUPS: Final = 3


@contextmanager
def exclusively_open(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to Codex's database that nobody else can open meanwhile.

    Raises:
        CodexInUse: somebody else has it open, even if idle.
        CodexUnusable: it is damaged or cannot be written.
    """
    # In a rollback journal an idle connection holds no lock, so the processes are looked at too.
    who = processes_using(database)
    if who:
        raise CodexInUse(database, who)
    try:
        # Not made if it is gone: mode=rw. A transaction is begun and ended by hand.
        uri = f"{database.absolute().as_uri()}?mode=rw"
        with closing(
            sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")  # the lock outlives the transaction
            connection.execute("COMMIT")
            yield connection
    except SQLITE_ERRORS as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise CodexInUse(database, processes_using(database) or []) from error
        raise CodexUnusable(database, str(error)) from error


def digest(connection: sqlite3.Connection) -> str:
    """Tells whether anything in a database has changed: its schema and every row of it."""
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
    """Copy the database that ``connection`` holds into ``folder``: where the copy is.

    The copy is checked to hold the same as the original.

    Raises:
        CodexUnusable: the copy cannot be made, or is not the same.
    """
    database = _path_of(connection)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = folder / f"codex-state-{stamp}.sqlite3"
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # it must not need a -wal of its own
            told = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            if told != "ok" or digest(copy) != digest(connection):
                raise CodexUnusable(database, f"its copy {target} is not the same: {told}")
    except OSError as error:
        raise CodexUnusable(database, f"no copy can be made: {error.strerror}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def note_fix(connection: sqlite3.Connection, backup: Path) -> None:
    """Write down beside ``backup`` what the database holds after the fix, before it is committed.

    Raises:
        OSError: it cannot be written.
    """
    note = {"v": 1, "database": str(_path_of(connection)), "after": digest(connection)}
    with _note(backup).open("x", encoding="utf-8") as file:
        json.dump(note, file)
        file.flush()
        os.fsync(file.fileno())


def keep_few(folder: Path, database: Path) -> None:
    """Remove all but the newest few backups of a database."""
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
        NoCodexBackup: there is none of this database.
        CodexChangedSince: the database is not as the fix left it.
        CodexInUse, CodexUnusable: as :func:`exclusively_open`.
    """
    found = _backups(folder, database)
    if not found:
        raise NoCodexBackup(database)
    backup = found[0]
    with exclusively_open(database) as connection:
        if digest(connection) != _read_note(backup)["after"]:
            raise CodexChangedSince(database, backup)
        with closing(sqlite3.connect(f"{backup.as_uri()}?mode=ro", uri=True)) as source:
            source.backup(connection)
            if digest(source) != digest(connection):
                raise CodexUnusable(database, f"it is not what {backup} holds")
    discard(backup)
    return backup


def _backups(folder: Path, database: Path) -> list[Path]:
    """The backups of a database that a fix has completed, the newest first."""
    found = sorted(folder.glob("codex-state-*Z.sqlite3"), reverse=True)
    real = str(database.resolve())
    return [backup for backup in found if _read_note(backup).get("database") == real]


def _read_note(backup: Path) -> dict[str, str]:
    try:
        note = json.loads(_note(backup).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # a fix that never came to its end: nothing was changed
    return note if isinstance(note, dict) and isinstance(note.get("after"), str) else {}


def _note(backup: Path) -> Path:
    return backup.with_suffix(".json")


def _path_of(connection: sqlite3.Connection) -> Path:
    return Path(os.fsdecode(connection.execute("PRAGMA database_list").fetchone()[2])).resolve()
