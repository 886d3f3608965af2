"""User data, which rollouts do not hold: in the index, and first in a journal beside it.

The journal ``facts.jsonl`` is append-only, one JSON object a line, of two kinds:
``{"v":1,"thread_id":…,"key":…,"value":…,"set_at_ms":…}`` for a thread, and
``{"v":1,"alias":…,"value":…,"set_at_ms":…}`` for a folder that moved. The last line for a
thread and key, or for a folder, wins. It outlives the database, so user data survives a lost index.
A null value takes a setting back.
"""

import sqlite3
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rollout.metadata.model import ThreadMetadata
from rollout.metadata.session_index import ThreadName
from rollout.schema.modes import PAGINATED
from state.clock import now_ms
from state.db.connect import BUSY_TIMEOUT_S
from state.db.database import Database, open_database
from state.db.location import JOURNAL_KEY, NO_JOURNAL, journal_state
from state.db.lock import locked
from state.db.sql import AMONG, Put, forget_inputs, listed, meta, set_meta
from state.db.steps import Result, Work
from state.userdata.folders import cwd_key
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import (
    LATEST_MS,
    NAME,
    USER_SET_COLUMNS,
    FolderAlias,
    Setting,
    UserValue,
)


@asynccontextmanager
async def open_with_user_data(
    path: Path, *, patience_s: float = BUSY_TIMEOUT_S
) -> AsyncGenerator[Database]:
    """The index database at ``path``; see :func:`state.db.database.open_database`. One that is
    created or migrated holds what the journal has from the start: the journal of an older index may
    hold what its program did not know. Raises FileUnusable if the journal cannot be read."""

    def migrated(connection: sqlite3.Connection) -> None:
        put_settings(connection, read_settings(path))
        note_journal(connection, path)

    async with open_database(path, patience_s=patience_s, migrated=migrated) as database:
        yield database


async def change_user_data(database: Database, work: Work[Result]) -> Result:
    """A transaction for changes of user data. It also holds the index's lock, so that a reindex
    swaps in its new index before or after it, and first applies what a killed process left in the
    journal alone. Raises FileUnusable if the journal cannot be read."""

    def following(connection: sqlite3.Connection) -> Result:
        follow_journal(connection, database.path)
        result = work(connection)
        note_journal(connection, database.path)
        return result

    async with locked(database.path):
        return await database.transact(following)


def follows_journal(connection: sqlite3.Connection, index: Path) -> bool:
    """Whether the index has applied the journal in its present state."""
    return (meta(connection, JOURNAL_KEY) or NO_JOURNAL) == journal_state(index)


def follow_journal(connection: sqlite3.Connection, index: Path) -> None:
    """Apply what the journal has and the index may lack. Call this
    with the index's lock held. Raises FileUnusable if the journal cannot be read."""
    if follows_journal(connection, index):
        return
    apply_settings(connection, read_settings(index))
    note_journal(connection, index)


def apply_settings(connection: sqlite3.Connection, settings: Sequence[Setting]) -> None:
    """As :func:`put_settings`; the next sync applies names again."""
    put_settings(connection, settings)
    forget_inputs(connection)


def note_journal(connection: sqlite3.Connection, index: Path) -> None:
    """Record that the index has applied the journal in its present state."""
    set_meta(connection, {JOURNAL_KEY: journal_state(index)})


def put_settings(connection: sqlite3.Connection, settings: Sequence[Setting]) -> None:
    """Store settings in the index, and update the columns of rows that they decide, but for names.
    A setting older than the stored one changes nothing."""
    values = [given for given in settings if isinstance(given, UserValue)]
    aliases = [
        {
            "old_key": cwd_key(given.alias),
            "old": given.alias,
            "new": given.value,
            "new_key": None if given.value is None else cwd_key(given.value),
            "set_at_ms": given.set_at_ms,
        }
        for given in settings
        if isinstance(given, FolderAlias)
    ]
    _PUT_VALUE.rows(connection, map(asdict, values))
    _PUT_ALIAS.rows(connection, aliases)
    for key in USER_SET_COLUMNS:
        if ids := [given.thread_id for given in values if given.key == key]:
            _override(connection, key, listed(ids))


_PUT_VALUE: Final = Put("user_data", where="excluded.set_at_ms >= user_data.set_at_ms")
_PUT_ALIAS: Final = Put("path_aliases", where="excluded.set_at_ms >= path_aliases.set_at_ms")
_OF_USER: Final = (
    f"FROM user_data u JOIN threads t ON t.id = u.thread_id WHERE u.thread_id {AMONG}"
    f" AND t.history_mode = '{PAGINATED}' AND u.key = ?"
)


def _override(connection: sqlite3.Connection, key: str, ids: str) -> None:
    """Update a column of rows to what users set."""
    given = connection.execute(
        f"SELECT nullif(u.value, ''), u.thread_id {_OF_USER} AND u.value NOT NULL", [ids, key]
    )
    connection.executemany(f"UPDATE threads SET {key} = ? WHERE id = ?", given.fetchall())
    freed = connection.execute(f"SELECT u.thread_id {_OF_USER} AND u.value IS NULL", [ids, key])
    # What the file says is not in the row: it is to be read again.
    again = freed.fetchall()
    for table, column in (("threads", "id"), ("rollout_files", "thread_id")):
        sql = f"UPDATE {table} SET extractor_version = 0 WHERE {column} = ?"
        connection.executemany(sql, again)


async def set_values(
    database: Database, thread_ids: Sequence[str], values: Mapping[str, str | None]
) -> None:
    """Set values of threads by their keys, in the journal first; None takes one back. Raises
    FileUnusable if the journal cannot be read or written, and IndexBusy if another process holds
    the index; then nothing is changed."""

    def put(connection: sqlite3.Connection) -> None:
        _set_values(connection, database.path, thread_ids, values)

    await change_user_data(database, put)


async def take_back(database: Database, key: str) -> None:
    """Take the value of a key back from all threads, also from those that the index does not have.
    Raises what :func:`set_values` raises."""

    def put(connection: sqlite3.Connection) -> None:
        having = "SELECT thread_id FROM user_data WHERE key = ? AND value IS NOT NULL"
        held = [thread_id for (thread_id,) in connection.execute(having, [key])]
        _set_values(connection, database.path, held, {key: None})

    await change_user_data(database, put)


def _set_values(
    connection: sqlite3.Connection,
    index: Path,
    thread_ids: Sequence[str],
    values: Mapping[str, str | None],
) -> None:
    """What was never set is not taken back, so that this writes nothing."""
    known = {each.subject: each.set_at_ms for each in values_of_threads(connection, thread_ids)}
    now = max(now_ms(), 0)
    new = [
        # Newer than what it replaces, even if the clock was set back.
        UserValue(id_, key, value, min(max(now, known.get((id_, key), -1) + 1), LATEST_MS))
        for id_ in thread_ids
        for key, value in values.items()
        if value is not None or (id_, key) in known
    ]
    if new:
        append_settings(index, new)
        put_settings(connection, new)


def all_settings(connection: sqlite3.Connection) -> list[Setting]:
    """Every setting in the index."""
    return [*_values(connection.execute(_VALUES)), *all_aliases(connection)]


def values_of_threads(connection: sqlite3.Connection, thread_ids: Iterable[str]) -> list[UserValue]:
    """What users set for threads, including what they took back."""
    return _values(connection.execute(f"{_VALUES} WHERE thread_id {AMONG}", [listed(thread_ids)]))


def names_set(connection: sqlite3.Connection) -> list[UserValue]:
    """The names that users set, including those that they took back."""
    return _values(connection.execute(f"{_VALUES} WHERE key = '{NAME}'"))


_VALUES: Final = "SELECT thread_id, key, value, set_at_ms FROM user_data"


def _values(found: Iterable[tuple[Any, ...]]) -> list[UserValue]:
    return [UserValue(*row) for row in found]


def all_aliases(connection: sqlite3.Connection) -> list[FolderAlias]:
    """Every alias in the index, including those that were taken back."""
    found = connection.execute("SELECT old, new, set_at_ms FROM path_aliases ORDER BY old_key")
    return [FolderAlias(*row) for row in found]


def recorded_name(metadata: ThreadMetadata) -> ThreadName | None:
    """The name in a rollout itself, from a ``thread_name_updated`` event; None without one."""
    if metadata.rollout_name is None:
        return None
    return ThreadName(metadata.rollout_name, metadata.rollout_name_ms)


def newer_names(
    written: Mapping[str, ThreadName], recorded: Mapping[str, ThreadName]
) -> dict[str, ThreadName]:
    """The newer name of each thread, from ``session_index.jsonl`` or from its rollout; the former
    where it has no time."""
    names = dict(written)
    for thread_id, name in recorded.items():
        rival = written.get(thread_id)
        if rival is None or 0 < rival.set_at_ms < name.set_at_ms:
            names[thread_id] = name
    return names


def recorded_names(
    connection: sqlite3.Connection, thread_ids: Sequence[str] | None = None
) -> dict[str, ThreadName]:
    """The names in the rollouts of some threads or of all."""
    asked = "SELECT id, rollout_name, rollout_name_ms FROM threads WHERE rollout_name NOT NULL"
    if thread_ids is None:
        found = connection.execute(asked)
    else:
        found = connection.execute(f"{asked} AND id {AMONG}", [listed(thread_ids)])
    return {row[0]: ThreadName(row[1], row[2]) for row in found}
