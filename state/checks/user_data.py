"""Check names and user data against the journal and the session index."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from rollout.jsonl.parse import BadLine, parse_line
from rollout.jsonl.reader import LineReader
from rollout.metadata.session_index import NAMES_FILE, ThreadName, read_names
from state.checks.findings import KINDS, Finding, IndexState, column_differs
from state.db.connect import connect
from state.db.location import INPUTS_KEY, journal_path
from state.errors import SQLITE_ERRORS
from state.rows.home_config import home_inputs
from state.userdata.folders import cwd_key
from state.userdata.journal import read_settings
from state.userdata.model import FolderAlias, Setting, UserValue, chosen_names, newest_settings
from state.userdata.store import newer_names


def follows_inputs_now(connection: sqlite3.Connection, home: Path) -> bool:
    """Whether the index has the names and the default provider of the home as they are now."""
    wanted = "SELECT value FROM index_meta WHERE key = ?"
    held = connection.execute(wanted, [INPUTS_KEY]).fetchone()
    return held is not None and held[0] == home_inputs(home)


def wanted_names(connection: sqlite3.Connection, home: Path) -> dict[str, str]:
    """The name that each thread should have: see :func:`state.userdata.model.chosen_names`. Raises
    OSError if the home's names cannot be read."""
    recorded = connection.execute(
        "SELECT id, rollout_name, rollout_name_ms FROM threads WHERE rollout_name IS NOT NULL"
    )
    names = newer_names(read_names(home), {row[0]: ThreadName(row[1], row[2]) for row in recorded})
    return chosen_names(names, indexed_user_data(connection))


def indexed_user_data(connection: sqlite3.Connection) -> Iterator[UserValue]:
    """The user data of threads in the index."""
    for row in connection.execute("SELECT thread_id, key, value, set_at_ms FROM user_data"):
        yield UserValue(*row)


def name_findings(index: IndexState) -> Iterator[Finding]:
    if not follows_inputs_now(index.connection, index.home):
        message = "session_index.jsonl or config.toml has changed since the last sync."
        yield Finding(KINDS["names_out_of_date"], message)
        return
    try:
        names = wanted_names(index.connection, index.home)
    except OSError as error:
        message = f"The names cannot be read: {error.strerror}."
        yield Finding(KINDS["cannot_look"], message, path=NAMES_FILE)
        return
    yield from _bad_lines(index.home / NAMES_FILE, NAMES_FILE, "names_line")
    for thread_id, row in index.threads.items():
        if row["name"] != names.get(thread_id):
            yield column_differs(
                thread_id, row["rollout_path"], "name", row["name"], names.get(thread_id)
            )


_MOMENT_S: Final = 0.2


def user_data_findings(index: IndexState) -> Iterator[Finding]:
    """The journal and the index have the same user data."""
    journal = journal_path(index.path)
    yield from _bad_lines(journal, str(journal), "journal_line")
    found = _unequal(index.path, index.connection)
    if found:
        found = _still_unequal(index.path, found)
    for in_journal, in_index in found:
        if in_journal and (in_index is None or in_index.set_at_ms <= in_journal.set_at_ms):
            yield _missing("user_data_not_indexed", "in the index", in_journal, in_index)
        elif in_index:
            place = f"in {journal}, so it would be lost with the index"
            yield _missing("user_data_not_in_journal", place, in_index, in_journal)


_Pair = tuple[Setting | None, Setting | None]
"""What the journal and the index have for one key."""


def _unequal(path: Path, connection: sqlite3.Connection) -> list[_Pair]:
    written = newest_settings(read_settings(path))
    stored = newest_settings(_stored_settings(connection))
    pairs = ((written.get(key), stored.get(key)) for key in sorted(written.keys() | stored.keys()))
    return [pair for pair in pairs if pair[0] != pair[1]]


def _still_unequal(path: Path, found: list[_Pair]) -> list[_Pair]:
    """The pairs that still differ a moment later: the journal is written before the index."""
    time.sleep(_MOMENT_S)
    try:
        with closing(connect(path, "ro")) as connection:
            connection.row_factory = sqlite3.Row
            again = _unequal(path, connection)
    except SQLITE_ERRORS:
        return found
    return [pair for pair in found if pair in again]


def _stored_settings(connection: sqlite3.Connection) -> Iterator[Setting]:
    yield from indexed_user_data(connection)
    for row in connection.execute("SELECT old, new, set_at_ms, old_key, new_key FROM path_aliases"):
        alias = FolderAlias(*row[:3])
        new_key = None if alias.value is None else cwd_key(alias.value)
        if (row["old_key"], row["new_key"]) == (cwd_key(alias.alias), new_key):
            yield alias  # lists look for the keys, so an alias with others does not count


def _missing(code: str, place: str, setting: Setting, other: Setting | None) -> Finding:
    thread_id, about = (
        (setting.thread_id, setting.key)
        if isinstance(setting, UserValue)
        else (None, setting.alias)
    )
    return Finding(
        KINDS[code],
        f"The value of {about} is not {place}.",
        thread_id=thread_id,
        measured=other.value if other else None,
        expected=setting.value,
    )


def _bad_lines(path: Path, name: str, code: str) -> Iterator[Finding]:
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with file:
        for line in LineReader().lines(file):
            value = line if isinstance(line, BadLine) else parse_line(line)
            if isinstance(value, BadLine):
                message = f"The line cannot be read: {value.reason}."
                yield Finding(KINDS[code], message, None, name, line.offset)
