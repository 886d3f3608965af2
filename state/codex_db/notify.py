"""Notify Codex's own database of a change to a thread: some columns of its row, or its removal.

Codex looks there first: it continues to show what the row has, and a thread whose row names a file
that was moved cannot be resumed, forked, archived or unarchived any more. All changes are one
transaction, which begins before the first file is touched. A database that does not exist, or has
no row of the thread, needs no change: Codex then reads the files.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout.files.layout import is_archived, logical_path, precedence
from rollout.files.move import Move, MoveGroup
from rollout.files.scan import stat_file
from rollout.schema.modes import LEGACY, PAGINATED
from state.codex_db.database import (
    PINNED_SECTION,
    check_writable,
    codex_errors,
    has_database,
    writable,
)
from state.db.snapshot import snapshot
from state.errors import CodexLocked, CodexSchemaUnknown, CodexUnusable
from state.userdata.marks import PINNED
from state.userdata.model import NAME, USER_SET_COLUMNS

CodexError = CodexLocked | CodexSchemaUnknown | CodexUnusable
"""Why Codex could not be notified."""
CODEX_ERRORS: Final = (CodexLocked, CodexSchemaUnknown, CodexUnusable)

_NAME_COLUMNS: Final = {PAGINATED: "name", LEGACY: "title"}
"""The column of a name, by history mode."""
_PIN: Final = (
    "UPDATE threads SET thread_section_id = ?1, section_entered_at_ms = ?2, section_position ="
    " (SELECT coalesce(max(section_position), 0) FROM threads WHERE thread_section_id = ?1)"
    " + 1000000 WHERE id = ?3 AND thread_section_id IS NOT ?1"
)
"""Puts a thread at the end of the section, also one of another section. What is in it stays."""
_UNPIN: Final = (
    "UPDATE threads SET thread_section_id = NULL, section_entered_at_ms = NULL,"
    " section_position = NULL WHERE id = ?2 AND thread_section_id = ?1"
)
_HISTORY_FILE: Final = "thread_history_1.sqlite"
_HISTORY_TABLES: Final = ("thread_turns", "thread_items", "thread_history_projection_state")
"""What Codex has read from paginated threads; it removes that with a thread."""


@dataclass(frozen=True, slots=True)
class CodexUpdates:
    """Changes to Codex's rows within one transaction."""

    _database: Path
    _connection: sqlite3.Connection | None

    def change(self, thread_id: str, values: Mapping[str, str | None]) -> None:
        """Set the name, the pin, git facts or the memory mode of a thread, as Codex does."""
        mode = self._row("history_mode", thread_id)
        for key, value in values.items() if mode else ():
            if key == PINNED:
                self._pin(thread_id, pinned=value is not None)
                continue
            column = key if key in USER_SET_COLUMNS else None
            if key == NAME:
                column = _NAME_COLUMNS.get(str(mode))
            if column:
                # The title of an unnamed thread is its first message.
                new = "coalesce(?, first_user_message)" if column == "title" else "?"
                self._run(f"UPDATE threads SET {column} = {new} WHERE id = ?", value, thread_id)

    def _pin(self, thread_id: str, *, pinned: bool) -> None:
        """A pin takes a thread out of the section that it is in; without one, it stays there."""
        if pinned:
            now_ms = time.time_ns() // 1_000_000
            self._run(_PIN, PINNED_SECTION, now_ms, thread_id)
        else:
            self._run(_UNPIN, PINNED_SECTION, thread_id)

    def follow(self, home: Path, groups: Sequence[MoveGroup]) -> None:
        """Set the new paths of threads that were moved; remove the rows of deleted ones."""
        for group in groups:
            for thread_id in group.thread_ids:
                if group.trash is None:
                    self._move(home, group, thread_id)
                else:
                    self._delete(thread_id)
        deleted = [id_ for group in groups if group.trash for id_ in group.thread_ids]
        if deleted and self._connection:
            _forget_history(self._database.with_name(_HISTORY_FILE), deleted)

    def _move(self, home: Path, group: MoveGroup, thread_id: str) -> None:
        """Change the row as Codex's own archive and unarchive do (seen in 0.169 and 0.171)."""
        old_path = self._row("rollout_path", thread_id)
        if old_path is None:
            return
        ranks = [
            precedence(move.target, _size(home, move), thread_id)
            for move in group.moves
            if move.thread_id == thread_id
        ]
        # Of several files, the one that the row had, unless that is a copy of another.
        name = _name(str(old_path))
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
    """The size of a file, before or after it is moved."""
    for path in (move.source, move.target):
        if (file := stat_file(home, path)) is not None:
            return file.stamp.size
    return 0


@contextmanager
def codex_transaction(database: Path | None) -> Iterator[CodexUpdates]:
    """A transaction in Codex's database, which is committed on the way out.

    Raises:
        CodexLocked: another process is writing it.
        CodexSchemaUnknown: its tables are not the ones we know.
        CodexUnusable: it is damaged, or cannot be written.
    """
    with ExitStack() as stack:
        connection = None
        if database is not None and has_database(database):
            connection = stack.enter_context(_transaction(database))
            check_writable(connection, database)
        yield CodexUpdates(database or Path(), connection)


def codex_refusal(database: Path, *, dry_run: bool) -> CodexError | None:
    """Why Codex cannot be notified in ``database``; with ``dry_run``, as far as that can be seen
    without a lock."""
    try:
        if not dry_run:
            with codex_transaction(database):
                pass
        elif has_database(database):
            with codex_errors(database), snapshot(database) as connection:
                check_writable(connection, database)
    except CODEX_ERRORS as error:
        return error
    except OSError:
        pass  # the snapshot failed: the database is being written, or cannot be read
    return None


def notify_codex(
    database: Path, changes: Mapping[str, Mapping[str, str | None]]
) -> CodexError | None:
    """Set names, pins, git facts or memory modes of threads in the database, by their ids and the
    keys of user data: None, or why Codex keeps what it has."""
    try:
        with codex_transaction(database) as rows:
            for thread_id, values in changes.items():
                rows.change(thread_id, values)
    except CODEX_ERRORS as error:
        return error
    return None


@contextmanager
def _transaction(database: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that is committed unless there is an error."""
    with writable(database) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _forget_history(database: Path, thread_ids: Sequence[str]) -> None:
    if not has_database(database):
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
