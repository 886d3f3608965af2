"""The opening of a thread, its first message, where its own file has none: after a revert to
nothing, or in a fork that has not gone on. Then the opening is that of the file in which the
history of the thread begins.

The ledger keeps the opening of files that a revert left behind; the row of a thread has that of its
own file. A read as steps, so that the same rule serves storing and verifying.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from rollout.files.layout import best_file, parse_name, parse_uuid, precedence
from rollout.metadata.model import BEGINS_ELSEWHERE
from state.db.derived_columns import Facet
from state.db.sql import AMONG, dicts, listed
from state.db.steps import Steps, run_steps
from state.rows.ledger import NAMED_SQL
from state.rows.thread_rows import forget_titles, search_text, write_titles

_FIELDS: Final = ("rollout_path", "size_bytes", "history_base", "flags", "preview")
_ROW: Final = f"SELECT {', '.join(_FIELDS)} FROM threads WHERE id = ?"
_LEFT_BEHIND: Final = (
    "SELECT path, size_bytes, opening FROM rollout_files"
    " WHERE thread_id = ? AND opening <> '' AND (bucket = 'segment' OR path = ?)"
)


def opening_steps(
    thread_id: str, row: Mapping[str, Any], known: dict[str, str] | None = None
) -> "Steps[str]":
    """The opening of the thread with this row: its own first message, else that of the newest file
    that a revert left behind, else that of the file in which its history begins. Empty if none is
    here.

    ``known`` holds the openings found so far, by path and by rollout id, and gets those found on
    the way, so that each file of a chain of forks is looked at once.
    """
    known = {} if known is None else known
    path, size = row["rollout_path"], row["size_bytes"]
    passed: dict[str, None] = {}
    opening = ""
    while path not in passed:
        if path in known:
            opening = known[path]
            break
        passed[path] = None
        is_own = path == row["rollout_path"]
        if is_own and row["preview"] and not row["flags"] & BEGINS_ELSEWHERE:
            opening = str(row["preview"])
            break
        last = precedence(path, size, thread_id)
        left = yield _LEFT_BEHIND, [thread_id, path]
        ranked = [(precedence(path, size, thread_id), text) for path, size, text in left]
        if older := [file for file in ranked if file[0] <= last]:
            opening = str(max(older)[1])
            break
        rollout_id = base_id(row["history_base"])
        if rollout_id is None or rollout_id in known:
            opening = known.get(rollout_id or "", "")
            break
        passed[rollout_id] = None
        base = yield from _named_steps(rollout_id)
        rows = [] if base is None else (yield _ROW, [base[2]])
        if base is None or not rows:
            break
        path, size, thread_id = base
        row = dict(zip(_FIELDS, rows[0], strict=True))
    known |= dict.fromkeys(passed, opening)
    return opening


def _named_steps(rollout_id: str) -> "Steps[tuple[str, int, str] | None]":
    """The file with this rollout id: its path, its size and its thread."""
    for sql in NAMED_SQL:
        files = {row[0]: row for row in (yield sql, [rollout_id]) if row[2] is not None}
        if best := best_file([row[:2] for row in files.values()], rollout_id):
            path, size, thread_id = files[best]
            return path, size, thread_id
    return None


def base_id(history_base: str | None) -> str | None:
    """The rollout id in a ``history_base``."""
    if not history_base:
        return None
    try:
        value = orjson.loads(history_base)
    except orjson.JSONDecodeError:
        return None
    return parse_uuid(value.get("thread_id")) if isinstance(value, dict) else None


def ids_in(paths: Iterable[str]) -> set[str]:
    """The rollout ids that the names of files have."""
    names = (parse_name(path) for path in paths)
    return {name.rollout_id for name in names if name and name.rollout_id}


def update_openings(
    connection: sqlite3.Connection, changed_ids: set[str], paths: Iterable[str] = ()
) -> None:
    """Update the rows whose openings may depend on threads or files of the ids ``changed_ids``, or
    on the files at ``paths``."""
    waiting = connection.execute(_WAITING).fetchall()
    if not waiting:
        return
    changed_ids = changed_ids | ids_in(paths)
    names: dict[str, set[str]] = {}
    dependents: defaultdict[str | None, list[str]] = defaultdict(list)
    reverted: set[str] = set()
    for id_, history_base, path, bucket in waiting:
        if id_ not in names:
            names[id_] = {id_}
            dependents[base_id(history_base)].append(id_)
        names[id_] |= ids_in([path])
        if bucket == "segment":
            reverted.add(id_)
    known: dict[str, str] = {}
    visited: set[str] = set()
    while changed_ids:
        concerned = changed_ids & names.keys()
        concerned.update(id_ for what in changed_ids for id_ in dependents.get(what, ()))
        concerned -= visited
        visited |= concerned
        # The opening of one of several files may change where that of the thread does not.
        changed = concerned & reverted
        for shown in dicts(connection.execute(_SHOWN, [listed(sorted(concerned))])):
            opening = run_steps(opening_steps(shown["id"], shown, known), connection)
            if opening != shown["preview"]:
                _show(connection, shown, opening)
                changed.add(shown["id"])
        changed_ids = {name for id_ in changed for name in names[id_]}


_WAITING: Final = (
    "SELECT t.id, t.history_base, f.path, f.bucket FROM threads t"
    f" CROSS JOIN rollout_files f ON f.thread_id = t.id WHERE t.flags & {BEGINS_ELSEWHERE}"
    " UNION SELECT t.id, t.history_base, f.path, f.bucket FROM rollout_files f"
    " CROSS JOIN threads t ON t.id = f.thread_id"
    " WHERE f.bucket <> 'indexed' AND f.bucket = 'segment'"
)
"""Threads that show the opening of another file, and those on the way to it. By partial indexes,
in this order: there are few of them."""
_SHOWN: Final = (
    "SELECT id, row_id, name, title, fallback_preview, search_text, facet,"
    f" {', '.join(_FIELDS)} FROM threads WHERE flags & {BEGINS_ELSEWHERE}"
    f" AND id {AMONG}"
)


def _show(connection: sqlite3.Connection, row: dict[str, Any], opening: str) -> None:
    forget_titles(connection, [row])
    show_opening(row, opening)
    values = (row["preview"], row["search_text"], row["facet"], row["id"])
    connection.execute(
        "UPDATE threads SET preview = ?, search_text = ?, facet = ? WHERE id = ?", values
    )
    write_titles(connection, [row])


def show_opening(row: dict[str, Any], opening: str) -> None:
    """Set the opening in a row, with all columns that follow from it."""
    shown = opening or row["fallback_preview"]
    facet = Facet.decode(row["facet"])._replace(empty=not shown and row["name"] is None)
    row["preview"], row["facet"] = opening, facet.encode()
    row["search_text"] = search_text(row["name"], row["title"], shown)
