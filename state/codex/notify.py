"""Tell Codex's own database what became of a thread: a few columns of its row, or that it is gone.

Codex looks there first: it goes on showing what it had, and a thread whose
row names a file that was moved cannot be resumed, forked, archived or unarchived any more. All is
one transaction, begun before the first file is touched; a database that is not there, or has no
row of the thread, needs nothing: Codex reads the files then.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from rollout.files.layout import is_archived, logical_path, precedence
from rollout.files.move import Group, Move
from rollout.files.scan import stat_file
from state.codex.database import check_writable
from state.db.snapshot import snapshot
from state.errors import SQLITE_ERRORS, CodexLocked, CodexSchemaUnknown, CodexUnusable
from state.userdata.model import USER_SET_COLUMNS

CodexError = CodexLocked | CodexSchemaUnknown | CodexUnusable
"""Why Codex could not be told."""
CODEX_ERRORS: Final = (CodexLocked, CodexSchemaUnknown, CodexUnusable)

_PATIENCE_S: Final = 2.0
_NAME_COLUMNS: Final = {"paginated": "name", "legacy": "title"}
"""Where a name stands, by history mode."""
_HISTORY_FILE: Final = "thread_history_1.sqlite"
_HISTORY_TABLES: Final = ("thread_turns", "thread_items", "thread_history_projection_state")
"""What Codex has read out of paginated threads; it removes that with a thread."""


class CodexUpdates:
    """What can be told within one transaction."""

    def __init__(self, database: Path, connection: sqlite3.Connection | None) -> None:
        self._database = database
        self._connection = connection

    def change(self, thread_id: str, values: Mapping[str, str | None]) -> None:
        """Set ``name``, git facts or memory mode of a thread."""
        found = self._row("history_mode", thread_id)
        for key, value in values.items() if found else ():
            column = key if key in USER_SET_COLUMNS else _NAME_COLUMNS.get(str(found))
            if column:
                self._run(f"UPDATE threads SET {column} = ? WHERE id = ?", value, thread_id)

    def follow(self, home: Path, groups: Sequence[Group]) -> None:
        """Say where the files of threads are now, or that the threads are gone."""
        for group in groups:
            for thread_id in group.thread_ids:
                if group.trash is None:
                    self._move(home, group, thread_id)
                else:
                    self._delete(thread_id)
        deleted = [id_ for group in groups if group.trash for id_ in group.thread_ids]
        if deleted and self._connection:
            _forget_history(self._database.with_name(_HISTORY_FILE), deleted)

    def _move(self, home: Path, group: Group, thread_id: str) -> None:
        """As Codex's own archive and unarchive change the row (measured on 0.169 and 0.171)."""
        held = self._row("rollout_path", thread_id)
        if held is None:
            return
        ranks = [
            precedence(move.target, _size(home, move), thread_id)
            for move in group.moves
            if move.thread_id == thread_id
        ]
        # Of several files the one that the row had, if that is no copy of another.
        name = _name(str(held))
        same = [rank for rank in ranks if rank.regular and _name(rank.path) == name]
        path = max(same or ranks).path
        archived = is_archived(path)
        self._run(
            "UPDATE threads SET rollout_path = ?, archived = ?, archived_at = ? WHERE id = ?",
            f"{home.resolve()}/{path}",
            int(archived),
            int(time.time()) if archived else None,
            thread_id,
        )
        if group.touch_ns is not None:
            self._run(
                "UPDATE threads SET updated_at = ?, updated_at_ms = ? WHERE id = ?",
                group.touch_ns // 1_000_000_000,
                group.touch_ns // 1_000_000,
                thread_id,
            )

    def _delete(self, thread_id: str) -> None:
        self._run("DELETE FROM threads WHERE id = ?", thread_id)
        self._run("DELETE FROM thread_read_receipts WHERE thread_id = ?", thread_id)
        self._run(
            "DELETE FROM thread_spawn_edges WHERE parent_thread_id = ?1 OR child_thread_id = ?1",
            thread_id,
        )

    def _row(self, column: str, thread_id: str) -> object:
        """A column of a thread's row; None if there is no row."""
        if self._connection is None:
            return None
        sql = f"SELECT {column} FROM threads WHERE id = ?"
        found = self._connection.execute(sql, [thread_id]).fetchone()
        return found[0] if found else None

    def _run(self, sql: str, *values: str | int | None) -> None:
        if self._connection is not None:
            self._connection.execute(sql, values)


def _size(home: Path, move: Move) -> int:
    """Of a file, before or after it is moved."""
    for path in (move.source, move.target):
        if (file := stat_file(home, path)) is not None:
            return file.stamp.size
    return 0


@contextmanager
def codex_transaction(database: Path | None) -> Iterator[CodexUpdates]:
    """A transaction in Codex's database, which is committed on the way out. Nobody else writes
    there meanwhile.

    Raises:
        CodexLocked: another process is writing it.
        CodexSchemaUnknown: its tables are not as they are known.
        CodexUnusable: it is damaged, or cannot be written.
    """
    with ExitStack() as stack:
        connection = None
        if database is not None and _is_there(database):
            connection = stack.enter_context(_transaction(database))
            with _translated(database):
                check_writable(connection, database)
        yield CodexUpdates(database or Path(), connection)


def codex_refusal(database: Path, *, dry_run: bool) -> CodexError | None:
    """Why Codex cannot be told anything in ``database``; with ``dry_run`` as far as that can be
    seen without a lock there."""
    try:
        if not dry_run:
            with codex_transaction(database):
                pass
        elif _is_there(database):
            with _translated(database), snapshot(database) as connection:
                check_writable(connection, database)
    except CODEX_ERRORS as error:
        return error
    except OSError:
        pass  # of a snapshot: it is being written, or cannot be read
    return None


def notify_codex(
    database: Path, thread_id: str, values: Mapping[str, str | None]
) -> CodexError | None:
    """Set ``name``, git facts or memory mode of a thread in the database: None, or why Codex goes
    on with what it had."""
    try:
        with codex_transaction(database) as rows:
            rows.change(thread_id, values)
    except CODEX_ERRORS as error:
        return error
    return None


def _is_there(database: Path) -> bool:
    """Whether there is a database: Codex takes an empty file for none, and makes a new one."""
    try:
        return database.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a NUL in its path
        return False
    except OSError as error:
        raise CodexUnusable(database, error.strerror or str(error)) from error


@contextmanager
def _transaction(database: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that is committed unless there is an error. Not made if it is gone: mode=rw."""
    uri = f"{database.absolute().as_uri()}?mode=rw"
    with (
        _translated(database),
        closing(
            sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S, isolation_level=None)
        ) as connection,
    ):
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def _translated(database: Path) -> Iterator[None]:
    """Errors of SQLite and of the system as ours."""
    try:
        yield
    except SQLITE_ERRORS as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise CodexLocked(database) from error
        raise CodexUnusable(database, str(error)) from error


def _forget_history(database: Path, thread_ids: Sequence[str]) -> None:
    """Remove the turns and items that Codex has read out of threads."""
    if not _is_there(database):
        return
    with _transaction(database) as connection:
        for table in _HISTORY_TABLES:
            if not connection.execute(f"PRAGMA table_info({table})").fetchall():
                continue
            connection.executemany(
                f"DELETE FROM {table} WHERE thread_id = ?", [(id_,) for id_ in thread_ids]
            )


def _name(path: str) -> str:
    return logical_path(path.rsplit("/", 1)[-1])
