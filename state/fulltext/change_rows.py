"""Write which files the patches of threads have changed, and where their rollouts say so."""

import json
import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from rollout.items.patches import ChangeKind
from rollout.schema.strict import Fields
from rollout.search.changed_files import Change, ChangesIn
from rollout.search.documents import location_word
from rollout.search.extract import state_with
from rollout.search.normalize import casefold
from rollout.turns.item_refs import words_to_bytes
from state.db.sql import AMONG, listed
from state.db.steps import Steps
from state.fulltext.due import VERSION, WITHOUT_CHANGES
from state.rows.resume_points import FULLTEXT

LETTERS: Final[dict[ChangeKind, str]] = {
    "added": "A",
    "changed": "M",
    "deleted": "D",
    "moved": "R",
}
"""Kinds of changes as they are stored: the letters that Git has for them."""
_NEW_FILE: Final = (
    "INSERT INTO changed_files (path, casefolded) VALUES (?, ?) ON CONFLICT DO NOTHING"
)
_FILE_IDS: Final = f"SELECT path, file_id FROM changed_files WHERE path {AMONG}"
_PUT: Final = (
    "INSERT INTO file_changes (row_id, file_id, kind, at_ms, locations) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (row_id, file_id) DO UPDATE SET kind = excluded.kind, at_ms = excluded.at_ms,"
    " locations = CAST(locations || excluded.locations AS BLOB)"
)
_READ_FILES: Final = "iif(mode = '', '[]', files)"
"""A thread without a history that can be shown has no changes either."""
_UNLISTED: Final = (
    f"SELECT row_id, {_READ_FILES}, end_offset, guard FROM fulltext_threads"
    f" JOIN resume_points USING (row_id) WHERE version = ? AND pass = '{FULLTEXT}' AND part = 0"
    " AND row_id NOT IN (SELECT row_id FROM fulltext_pending)"
)
_STILL: Final = (
    f"SELECT row_id, {_READ_FILES}, state FROM fulltext_threads"
    f" WHERE version = ? AND row_id {AMONG} AND json_valid(state)"
)
_LISTED: Final = "UPDATE fulltext_threads SET version = ?, state = ? WHERE row_id = ?"
_FORGET: Final = f"DELETE FROM file_changes WHERE row_id {AMONG}"


def forget_changes(connection: sqlite3.Connection, row_ids: Iterable[int]) -> None:
    """Remove what threads have changed, in the caller's transaction."""
    connection.execute(_FORGET, [listed(row_ids)])


def add_changes(connection: sqlite3.Connection, changes: Mapping[int, Sequence[Change]]) -> None:
    """Add changes, in the order of their lines, to those of threads, by row, in the caller's
    transaction."""
    files: dict[tuple[int, str], tuple[Change, array[int]]] = {}
    for row_id, each in changes.items():
        for change in each:
            key = row_id, change.path
            locations = files[key][1] if key in files else array("Q")
            locations.append(location_word(change.file, change.offset))
            files[key] = change, locations
    if not files:
        return
    paths = {path for _, path in files}
    known = dict(connection.execute(_FILE_IDS, [listed(paths)]))
    new = paths - known.keys()
    connection.executemany(_NEW_FILE, ((path, _casefolded(path)) for path in new))
    known.update(connection.execute(_FILE_IDS, [listed(new)]))
    connection.executemany(
        _PUT,
        (
            (row_id, known[path], LETTERS[change.kind], change.at_ms, words_to_bytes(locations))
            for (row_id, path), (change, locations) in files.items()
        ),
    )


class Unlisted(NamedTuple):
    """A thread that has documents, but not the files that it changed."""

    row_id: int
    files: str
    """JSON: the rollouts of the thread, relative to the home."""
    end: int | None
    """Up to here its own was read for the documents; None if all of it is read each time."""


def unlisted_steps() -> Steps[list[Unlisted]]:
    """The threads whose documents were made before changed files were indexed."""
    rows = yield (_UNLISTED, [WITHOUT_CHANGES])
    return [Unlisted(row_id, files, end if guard else None) for row_id, files, end, guard in rows]


def list_changes(
    connection: sqlite3.Connection, read: Sequence[tuple[Unlisted, ChangesIn | None]]
) -> None:
    """Store what was found of such threads in the caller's transaction: of those whose files could
    be read, and are the same."""
    there = {
        (row_id, files): state
        for row_id, files, state in connection.execute(
            _STILL, [WITHOUT_CHANGES, listed(thread.row_id for thread, _ in read)]
        )
    }
    found: dict[int, Sequence[Change]] = {}
    rows = []
    for thread, changes in read:
        state = there.get((thread.row_id, thread.files))
        if changes is not None and state is not None:
            found[thread.row_id] = changes.changes
            rows.append((VERSION, _state(state, changes.state), thread.row_id))
    forget_changes(connection, found)
    add_changes(connection, found)
    connection.executemany(_LISTED, rows)


def _state(text: str, changes: Fields) -> str:
    return json.dumps(state_with(orjson.loads(text), changes)) if changes else text


def _casefolded(path: str) -> str | None:
    """The path as searches compare it; None if that is the same."""
    found = casefold(path)
    return None if found == path else found
