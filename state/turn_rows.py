"""The turn index as rows: what of a long thread is kept, so that nobody has to fold it again.

A fold is stored in one transaction, and only says what some files held once: whoever loads it
looks whether they still do. So it does not matter who stores last, or who is killed meanwhile.
"""

import json
import logging
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from rollout.anchors import Anchors, Place
from rollout.history import Part
from rollout.persistence import PAGINATED
from rollout.shapes import Fields
from rollout.thread_turns import Outline
from rollout.turns import Turn
from state.engine import Database
from state.listing import Steps
from state.schema import threads, turn_folds, turns
from state.turn_folds import Folded, Seen, resumed

VERSION: Final = 1
"""Of the folds. One that is not of this version is as good as none: raise it when turns or their
anchors are found otherwise, or :data:`rollout.wire.KINDS` changes but for its end."""

SMALLEST_BYTES: Final = 256 * 1024
"""Threads with less than that are folded within a few milliseconds each time."""
_GREATEST: Final = 2**63 - 1
_log = logging.getLogger("threadkeep.turns")

_COLUMNS: Final = [column.name for column in turns.c if column.name != "thread_id"]
_LOAD_TURNS: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM turns WHERE thread_id = ? ORDER BY position"
)
_LOAD_FOLD: Final = "SELECT version, files, mode, state, turns FROM turn_folds WHERE thread_id = ?"
Rows = tuple[dict[str, Any], list[dict[str, Any]]]


def worth_storing(folded: Folded) -> bool:
    """Whether it took long enough to find since it was stored."""
    if folded.partial or folded.known.missing is not None:
        return False
    news = sum(seen.end for seen in folded.seen) - folded.stored_bytes
    whole = news + folded.stored_bytes
    return whole >= SMALLEST_BYTES and news >= max(whole // 16, SMALLEST_BYTES)


def dumped(thread_id: str, folded: Folded, home: Path) -> Rows | None:
    """The rows of a fold; None if it has a number that SQLite cannot hold."""
    fold = folded.fold
    head = {
        "thread_id": thread_id,
        "version": VERSION,
        "files": json.dumps([_seen_row(seen, home) for seen in folded.seen]),
        "mode": folded.known.mode,
        "state": json.dumps(fold.dump()),
        "turns": len(fold.turns) + len(fold.strays),
    }
    every = [(turn, 0) for turn in fold.turns] + [(turn, 1) for turn in fold.strays.values()]
    if any(turn.start.ordinal > _GREATEST for turn, _ in every):
        return None
    rows = [_turn_row(thread_id, at, turn, stray) for at, (turn, stray) in enumerate(every)]
    return head, rows


def _seen_row(seen: Seen, home: Path) -> dict[str, Any]:
    part = seen.part
    inside = part.path.is_relative_to(home)
    return {
        "path": str(part.path.relative_to(home) if inside else part.path),
        "rollout_id": part.rollout_id,
        "end_ordinal": part.end_ordinal,
        "end_offset": part.end_offset,
        "size": seen.size,
        "mtime_ns": seen.mtime_ns,
        "inode": seen.inode,
        "end": seen.end,
        "guard": seen.guard,
    }


def _turn_row(thread_id: str, position: int, turn: Turn, stray: int) -> dict[str, Any]:
    end = turn.end or (None, None, None)
    return {
        "thread_id": thread_id,
        "position": position,
        "stray": stray,
        "id": turn.id,
        "root_id": turn.root_id,
        "status": turn.status,
        "error": None if turn.error is None else json.dumps(turn.error),
        "started_at": turn.started_at,
        "completed_at": turn.completed_at,
        "duration_ms": turn.duration_ms,
        "explicit": int(turn.explicit),
        "start_file": turn.start.file,
        "start_offset": turn.start.offset,
        "start_ordinal": turn.start.ordinal,
        "end_file": end[0],
        "end_offset": end[1],
        "end_ordinal": end[2],
        "first_user": turn.first_user,
        "final_agent": turn.final_agent,
        "last_agent": turn.last_agent,
        "anchors": turn.items.dump(),
    }


async def store(database: Database, rows: Rows) -> None:
    """Have the rows of a fold in the place of those that its thread had, if the thread is still
    there.

    Raises:
        StateError: the index cannot be written.
    """
    head, found = rows
    thread_id = head["thread_id"]
    async with database.write() as connection:
        there = sa.select(threads.c.id).where(threads.c.id == thread_id)
        if await connection.scalar(there) is None:
            return
        await connection.execute(sa.delete(turn_folds).where(turn_folds.c.thread_id == thread_id))
        await connection.execute(sa.insert(turn_folds), head)
        if found:
            await connection.execute(sa.insert(turns), found)


def load_steps(thread_id: str, home: Path) -> Steps[Folded | None]:
    """The fold that is stored for a thread; None if there is none of this version, or its rows
    are not as they were written."""
    heads = yield _LOAD_FOLD, [thread_id]
    if not heads:
        return None
    version, files, mode, state, count = heads[0]
    rows = yield _LOAD_TURNS, [thread_id]
    if version != VERSION or len(rows) != count:
        return None
    try:
        found = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        seen = [_seen(row, home) for row in json.loads(files)]
        return _folded(mode, json.loads(state), seen, found) if seen else None
    except (KeyError, TypeError, ValueError) as error:
        _log.warning("the index has no use for its turns of %s: %s", thread_id, error)
        return None


def _folded(mode: str, state: Fields, seen: list[Seen], rows: list[dict[str, Any]]) -> Folded:
    kept = [_turn(row) for row in rows if not row["stray"]]
    strays = [_turn(row) for row in rows if row["stray"]]
    shown_from = int(state["shown_from"]) if mode == PAGINATED else 0
    known = Outline(mode, [one.part for one in seen], None, shown_from)
    fold = resumed(mode, state, kept, strays)
    return Folded(known, seen, fold, stored_bytes=sum(one.end for one in seen))


def _seen(row: dict[str, Any], home: Path) -> Seen:
    part = Part(home / row["path"], row["rollout_id"], row["end_ordinal"], row["end_offset"])
    return Seen(part, row["size"], row["mtime_ns"], row["inode"], row["end"], row["guard"])


def _turn(row: dict[str, Any]) -> Turn:
    end = (row["end_file"], row["end_offset"], row["end_ordinal"])
    return Turn(
        row["id"],
        Place(row["start_file"], row["start_offset"], row["start_ordinal"]),
        bool(row["explicit"]),
        row["root_id"],
        row["started_at"],
        row["completed_at"],
        row["duration_ms"],
        row["status"],
        None if row["error"] is None else json.loads(row["error"]),
        None if end[0] is None else Place(*end),
        row["first_user"],
        row["final_agent"],
        row["last_agent"],
        Anchors.load(row["anchors"]),
    )


def path_steps(thread_id: str) -> Steps[str | None]:
    """Where a thread has its file, relative to the home, as the index has it."""
    rows = yield "SELECT rollout_path FROM threads WHERE id = ?", [thread_id]
    return str(rows[0][0]) if rows else None


def known_steps() -> Steps[dict[str, tuple[int, int, int]]]:
    """Size, modification time and inode of the own files of all stored threads, as they were."""
    rows = yield f"SELECT thread_id, files FROM turn_folds WHERE version = {VERSION}", []
    own = {thread_id: json.loads(files)[-1] for thread_id, files in rows}
    return {id_: (seen["size"], seen["mtime_ns"], seen["inode"]) for id_, seen in own.items()}
