"""What a thread begins with whose own file has no message: a thread that was reverted to nothing,
or a fork that has not gone on. It is what the file has that its history begins in.

The ledger keeps the first message of files that a revert left behind; of all others the row of
their thread has it. Sans-IO, as :mod:`state.listing` is: the same for whoever stores rows and for
whoever verifies them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.fold import BEGINS_ELSEWHERE
from rollout.paths import parse_name, parse_uuid, precedence
from state.listing import Facet, Steps
from state.rows import forget_titles, search_text, write_titles

_FIELDS: Final = ("rollout_path", "size_bytes", "history_base", "fold_flags", "preview")
_ROW: Final = f"SELECT {', '.join(_FIELDS)} FROM threads WHERE id = ?"
_SEGMENTS: Final = (
    "SELECT path, size_bytes, opening FROM rollout_files"
    " WHERE thread_id = ? AND bucket = 'segment' AND opening <> ''"
)
_OWNER: Final = (
    "SELECT thread_id FROM rollout_files WHERE thread_id IS NOT NULL AND path LIKE ? LIMIT 1"
)
_MOST_BASES: Final = 1000


def opening_steps(thread_id: str, row: Mapping[str, Any]) -> "Steps[str]":
    """The first message that the thread with this row shows: its own, else that of its newest file
    that a revert left behind, else what the thread begins with that its history begins in, as it
    does itself. Empty if none of these is here."""
    seen: set[str] = set()
    while thread_id not in seen and len(seen) < _MOST_BASES:
        seen.add(thread_id)
        if row["preview"] and not row["fold_flags"] & BEGINS_ELSEWHERE:
            return str(row["preview"])
        own = precedence(row["rollout_path"], row["size_bytes"], thread_id)
        left = yield _SEGMENTS, [thread_id]
        ranked = [(precedence(path, size, thread_id), opening) for path, size, opening in left]
        if older := [file for file in ranked if file[0] < own]:
            return str(max(older)[1])
        base = base_id(row["history_base"])
        rows = [] if base is None else (yield _ROW, [base])
        if not rows and base is not None:  # it may be the id of a file that a revert made
            owners = yield _OWNER, [f"%{base}.jsonl%"]
            base = owners[0][0] if owners else base
            rows = yield _ROW, [base]
        if not rows or base is None:
            break
        thread_id, row = base, dict(zip(_FIELDS, rows[0], strict=True))
    return ""


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
    names = (parse_name(path.rsplit("/", 1)[-1]) for path in paths)
    return {name.rollout_id for name in names if name and name.rollout_id}


async def settle_openings(connection: AsyncConnection, touched: set[str]) -> None:
    """Have rows show what their threads begin with, if that may have changed with threads or files
    of these ids."""
    waiting = await connection.exec_driver_sql(
        "SELECT id, row_id, name, title, fallback_preview, search_text, facet,"
        f" {', '.join(_FIELDS)} FROM threads WHERE fold_flags & {BEGINS_ELSEWHERE}"
    )
    rows = {row.id: dict(row._mapping) for row in waiting}
    bases = {id_: base_id(row["history_base"]) for id_, row in rows.items()}
    touched = set(touched)
    left = set(rows)
    while concerned := {id_ for id_ in left if id_ in touched or bases[id_] in touched}:
        left -= concerned
        for id_ in sorted(concerned):
            row = rows[id_]
            opening = await _run(connection, opening_steps(id_, row))
            if opening != row["preview"]:
                await _show(connection, row, opening)
        touched = concerned  # and those whose history begins in these


async def _show(connection: AsyncConnection, row: dict[str, Any], opening: str) -> None:
    await forget_titles(connection, [row])
    begin_elsewhere(row, opening)
    values = (row["preview"], row["search_text"], row["facet"], row["id"])
    await connection.exec_driver_sql(
        "UPDATE threads SET preview = ?, search_text = ?, facet = ? WHERE id = ?", values
    )
    await write_titles(connection, [row])


def begin_elsewhere(row: dict[str, Any], opening: str) -> None:
    """Have a row show what its thread begins with in another file, and all that follows from it."""
    shown = opening or row["fallback_preview"]
    facet = Facet.decode(row["facet"])._replace(empty=not shown and row["name"] is None)
    row["preview"], row["facet"] = opening, facet.encode()
    row["search_text"] = search_text(row["name"], row["title"], shown)


async def _run(connection: AsyncConnection, steps: "Steps[str]") -> str:
    try:
        sql, parameters = next(steps)
        while True:
            found = await connection.exec_driver_sql(sql, tuple(parameters))
            sql, parameters = steps.send(list(found.fetchall()))
    except StopIteration as done:
        return str(done.value)
