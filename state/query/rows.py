"""Rows of threads by their ids, and whether they are still true to their files."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from rollout.files.scan import is_away, stat_file
from state.db.steps import MalformedRow, Steps
from state.errors import ThreadNotFound
from state.query.marks import NO_MARKS, marks_steps
from state.rows.ledger import stamp_of
from state.userdata.folders import ALIASES_SQL, cwd_key, moved_to, shown_folder

COLUMNS: Final = (
    "id, rollout_path, created_at_ms, updated_at_ms, recency_at_ms, source, source_kind, "
    "thread_source, originator, model_provider, model, reasoning_effort, cwd, title, name, "
    "preview, fallback_preview, first_user_message, tokens_used, archived, git_sha, git_branch, "
    "git_origin_url, cli_version, agent_nickname, agent_role, history_mode, session_id, "
    "forked_from_id, parent_thread_id, attached_thread_parent_id, size_bytes, mtime_ns, inode"
)
"""The columns that a list needs."""
_COLUMN_NAMES: Final = tuple(COLUMNS.split(", "))
_NUMBERS: Final = frozenset(
    {
        *("created_at_ms", "updated_at_ms", "recency_at_ms", "tokens_used", "archived"),
        *("size_bytes", "mtime_ns", "inode"),
    }
)
_NUMBER: Final = (int,)
_TEXT: Final = (str, type(None))
_FILE_COLUMNS: Final = (
    "path, bucket, size_bytes, reason, reason_offset, bad_lines, left_out, left_out_at"
)
_DETAILS: Final = (
    ("files", _FILE_COLUMNS, "rollout_files", "path"),
    ("tools", "namespace, name, description", "thread_dynamic_tools", "position"),
)
"""Other rows of a thread: what they are called, their columns, table and order."""
Row = dict[str, Any]


def is_fresh(home: Path, row: Row) -> bool:
    """Whether the file of a row is as it was when the row was written, or cannot be accessed."""
    file = stat_file(home, row["rollout_path"])
    if file is None:
        return False
    return is_away(file) or file.stamp == stamp_of(row)


def rows_steps(
    ids: Sequence[str] | Sequence[int], column: Literal["id", "row_id"] = "id"
) -> "Steps[dict[str, Row]]":
    """The rows of the threads that the index has of some ids, or row ids; by id."""
    asked = f"SELECT {COLUMNS} FROM threads WHERE {column} IN (SELECT value FROM json_each(?))"
    rows = yield asked, [json.dumps(ids)]
    if not all(_is_fit(tuple(map(type, row))) for row in rows):
        raise MalformedRow("a row of threads")
    return {row[0]: dict(zip(_COLUMN_NAMES, row, strict=True)) for row in rows}


def existing_steps(ids: Sequence[str]) -> "Steps[set[str]]":
    """Those of some ids that the index has."""
    asked = "SELECT id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    return {row[0] for row in (yield asked, [json.dumps(ids)])}


def row_ids_steps(ids: Sequence[str]) -> "Steps[dict[str, int]]":
    """The row ids of the threads that the index has of some ids, by id."""
    asked = "SELECT id, row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    return dict((yield asked, [json.dumps(ids)]))


def ids_steps(row_ids: Sequence[int]) -> "Steps[dict[int, str]]":
    """The ids of the threads that the index has of some row ids, by row id."""
    asked = "SELECT row_id, id FROM threads WHERE row_id IN (SELECT value FROM json_each(?))"
    return dict((yield asked, [json.dumps([*row_ids])]))


def flags_steps(ids: Sequence[str]) -> "Steps[dict[str, int]]":
    """The flags of the threads that the index has, by id."""
    asked = "SELECT id, flags FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    return dict((yield asked, [json.dumps(ids)]))


def details_steps(thread_id: str) -> "Steps[dict[str, Any]]":
    """Every column of a thread's row, with its files, its dynamic tools, its marks, and where its
    folder is now if it has moved. Raises ThreadNotFound if the index does not have it."""
    names = [name for (name,) in (yield "SELECT name FROM pragma_table_info('threads')", [])]
    rows = yield f"SELECT {', '.join(names)} FROM threads WHERE id = ?", [thread_id]
    if not rows:
        raise ThreadNotFound(thread_id)
    found = dict(zip(names, rows[0], strict=True))
    folder = moved_to(found["cwd"], dict((yield ALIASES_SQL, [])))
    found["moved_to"] = shown_folder(folder) if cwd_key(folder) != found["cwd_key"] else None
    found["marks"] = (yield from marks_steps([thread_id])).get(thread_id, NO_MARKS)
    for key, columns, of, order in _DETAILS:
        asked = f"SELECT {columns} FROM {of} WHERE thread_id = ? ORDER BY {order}"
        rows = yield asked, [thread_id]
        found[key] = [dict(zip(columns.split(", "), row, strict=True)) for row in rows]
    return found


@cache
def _is_fit(types: tuple[type, ...]) -> bool:
    """Whether values of these types can be a row's; few combinations of types occur."""
    named = zip(_COLUMN_NAMES, types, strict=True)
    return all(type_ in (_NUMBER if name in _NUMBERS else _TEXT) for name, type_ in named)
