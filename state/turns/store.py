"""The turn index as rows: what of a long thread is kept, so that nobody has to fold it again.

A fold is stored in one transaction, and only says what some files held once: whoever loads it
looks whether they still do. So it does not matter who stores last, or who is killed meanwhile.
"""

import itertools
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, overload

import sqlalchemy as sa

from rollout.files.stamp import FileStamp
from rollout.history.item_refs import Anchors, Place
from rollout.history.segments import Part
from rollout.history.thread import AnyReducer, Outline, ThreadTurns
from rollout.history.turn import Turn
from rollout.jsonl.resume import ResumePoint
from rollout.schema.modes import PAGINATED
from rollout.schema.strict import Fields
from state.db.database import Database
from state.db.schema import threads, turn_checkpoints, turns
from state.db.steps import Steps
from state.turns.checkpoint import Seen, TurnState, resumed, settled

VERSION: Final = 2
"""Of the folds. One that is not of this version is as good as none: raise it when turns or their
anchors are found otherwise, or :data:`rollout.items.thread_item.KINDS` changes but for its end."""

SMALLEST_BYTES: Final = 256 * 1024
"""Threads with less than that are folded within a few milliseconds each time."""
_GREATEST: Final = 2**63 - 1
_UNFIT: Final = (KeyError, TypeError, ValueError)
"""What rows raise that are not as they were written."""
_log = logging.getLogger("threadkeep.turns")

_COLUMNS: Final = [column.name for column in turns.c if column.name != "thread_id"]
INSERT_TURNS: Final = (
    f"INSERT INTO turns (thread_id, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"
)
_SELECT_TURNS: Final = f"SELECT {', '.join(_COLUMNS)} FROM turns WHERE thread_id = ?"
_STRAY: Final = _COLUMNS.index("stray")
_LOAD_TURNS: Final = f"{_SELECT_TURNS} ORDER BY position"
_LOAD_SOME: Final = f"{_SELECT_TURNS} AND position BETWEEN ? AND ? ORDER BY position"
_LOAD_IDS: Final = "SELECT id, stray FROM turns WHERE thread_id = ? ORDER BY position"
_LOAD_FOLD: Final = (
    "SELECT version, files, mode, state, turns FROM turn_checkpoints WHERE thread_id = ?"
)
Rows = tuple[dict[str, Any], list[tuple[Any, ...]]]


def worth_storing(folded: TurnState) -> bool:
    """Whether it took long enough to find since it was stored."""
    if folded.partial or folded.damage or folded.known.missing is not None:
        return False
    news = sum(seen.resume.end for seen in folded.seen) - folded.stored_bytes
    whole = news + folded.stored_bytes
    return whole >= SMALLEST_BYTES and news >= max(whole // 16, SMALLEST_BYTES)


def dumped(thread_id: str, folded: TurnState, home: Path) -> Rows | None:
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
    if any(turn.start.ordinal > _GREATEST for turn in (*fold.turns, *fold.strays.values())):
        return None
    return head, [*_turn_rows(thread_id, fold)]


def _turn_rows(thread_id: str, fold: AnyReducer) -> Iterator[tuple[Any, ...]]:
    every = [(turn, 0) for turn in fold.turns] + [(turn, 1) for turn in fold.strays.values()]
    for at, (turn, stray) in enumerate(every):
        yield _turn_row(thread_id, at, turn, stray)


def _seen_row(seen: Seen, home: Path) -> dict[str, Any]:
    part = seen.part
    inside = part.path.is_relative_to(home)
    return {
        "path": str(part.path.relative_to(home) if inside else part.path),
        "rollout_id": part.rollout_id,
        "end_ordinal": part.end_ordinal,
        "end_offset": part.end_offset,
        **seen.resume.stamp._asdict(),
        "end": seen.resume.end,
        "guard": seen.resume.guard,
    }


def _turn_row(thread_id: str, position: int, turn: Turn, stray: int) -> tuple[Any, ...]:
    """In the order of the table: a thread may have so many turns that names for each value would
    take more memory than all else."""
    return (
        thread_id,
        position,
        stray,
        turn.id,
        turn.root_id,
        turn.status,
        None if turn.error is None else json.dumps(turn.error),
        turn.started_at,
        turn.completed_at,
        turn.duration_ms,
        int(turn.explicit),
        *turn.start,
        *(turn.end or (None, None, None)),
        turn.first_user,
        turn.final_agent,
        turn.last_agent,
        turn.items.dump(),
    )


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
        await connection.execute(
            sa.delete(turn_checkpoints).where(turn_checkpoints.c.thread_id == thread_id)
        )
        await connection.execute(sa.insert(turn_checkpoints), head)
        if found:
            await connection.exec_driver_sql(INSERT_TURNS, found)


def load_steps(thread_id: str, home: Path) -> Steps[TurnState | None]:
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
        seen = [_seen(row, home) for row in json.loads(files)]
        return _folded(mode, json.loads(state), seen, rows) if seen else None
    except _UNFIT as error:
        _log.warning("the index has no use for its turns of %s: %s", thread_id, error)
        return None


def stored_outline(
    connection: sqlite3.Connection, thread_id: str, home: Path
) -> tuple[Outline, list[Seen], Fields] | None:
    """What a stored fold was made of, and its state; None if there is none that would be used."""
    heads = connection.execute(_LOAD_FOLD, [thread_id]).fetchall()
    if not heads or heads[0][0] != VERSION:
        return None
    _, files, mode, held, _ = heads[0]
    try:
        state = json.loads(held)
        seen = [_seen(row, home) for row in json.loads(files)]
        known = _outline(mode, state, seen)
    except _UNFIT:
        return None
    used = seen and all(one.is_same() or one.has_grown() for one in seen)
    return (known, seen, state) if used else None


def has_rows_of(connection: sqlite3.Connection, thread_id: str, fold: AnyReducer) -> bool:
    """Whether the rows that are stored for a thread are those of a fold."""
    rows = connection.execute(_LOAD_TURNS, [thread_id])
    stored = (tuple(row) for row in rows)  # one by one: a thread may have very many
    given = (row[1:] for row in _turn_rows(thread_id, fold))
    return all(one == other for one, other in itertools.zip_longest(stored, given))


class SomeTurns(Sequence[Turn]):
    """The turns of a thread of which only some are here."""

    def __init__(self, count: int, here: dict[int, Turn]) -> None:
        self._count = count
        self._here = here

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Turn: ...
    @overload
    def __getitem__(self, at: slice) -> list[Turn]: ...
    def __getitem__(self, at: int | slice) -> Turn | list[Turn]:
        if isinstance(at, slice):
            return [self._here[each] for each in range(*at.indices(self._count))]
        return self._here[range(self._count)[at]]


def some_steps(
    thread_id: str, path: Path, home: Path, choose: Callable[[Sequence[str]], Sequence[int]]
) -> Steps[tuple[ThreadTurns, Sequence[int]] | None]:
    """Those turns of a stored fold for which ``choose``, called with the ids of all, gives the
    places, each with the one behind it; and these places. None if the files, of which the
    thread's own is at ``path``, are not as they were; or if there is no turn, or all are chosen.
    """
    heads = yield _LOAD_FOLD, [thread_id]
    if not heads or heads[0][0] != VERSION:
        return None
    _, files, mode, _, count = heads[0]
    try:
        seen = [_seen(row, home) for row in json.loads(files)]
    except _UNFIT:
        return None  # whoever asks for all of them is told
    if not seen or seen[-1].part.path != path or not settled(seen):
        return None
    rows = yield _LOAD_IDS, [thread_id]
    ids = [id_ for id_, stray in rows if not stray]
    if len(rows) != count or not ids:
        return None
    places = choose(ids)
    if len(places) == len(ids):
        return None
    found = yield _LOAD_SOME, [thread_id, min(places), min(max(places) + 1, len(ids) - 1)]
    try:
        here = SomeTurns(len(ids), {row[0]: _turn(row) for row in found})
    except _UNFIT:
        return None
    return ThreadTurns(mode, [one.part for one in seen], here, [], None), places


def _folded(mode: str, state: Fields, seen: list[Seen], rows: list[tuple[Any, ...]]) -> TurnState:
    kept: list[Turn] = []
    strays: list[Turn] = []
    for row in rows:
        (strays if row[_STRAY] else kept).append(_turn(row))
    known = _outline(mode, state, seen)
    fold = resumed(mode, state, kept, strays)
    return TurnState(known, seen, fold, stored_bytes=sum(one.resume.end for one in seen))


def _outline(mode: str, state: Fields, seen: Sequence[Seen]) -> Outline:
    shown_from = int(state["shown_from"]) if mode == PAGINATED else 0
    return Outline(mode, [one.part for one in seen], None, shown_from)


def _seen(row: dict[str, Any], home: Path) -> Seen:
    part = Part(home / row["path"], row["rollout_id"], row["end_ordinal"], row["end_offset"])
    return Seen(part, ResumePoint(_stamp(row), row["end"], row["guard"]))


def _stamp(row: dict[str, Any]) -> FileStamp:
    return FileStamp(row["size"], row["mtime_ns"], row["inode"])


@cache
def _is_fit(types: tuple[type, ...]) -> bool:
    """Whether values of these types can be a turn's; turns have few combinations of them."""
    return all(
        type_ is column.type.python_type or (column.nullable and type_ is type(None))
        for column, type_ in zip((turns.c[name] for name in _COLUMNS), types, strict=True)
    )


def _turn(values: Sequence[Any]) -> Turn:
    if not _is_fit(tuple(map(type, values))):
        raise TypeError("a value is of the wrong type")
    row = dict(zip(_COLUMNS, values, strict=True))
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
        Anchors.load(row["item_refs"]),
    )


def known_steps() -> Steps[dict[str, FileStamp]]:
    """The stamps of the own files of all stored threads, as they were."""
    rows = yield f"SELECT thread_id, files FROM turn_checkpoints WHERE version = {VERSION}", []
    own = {thread_id: json.loads(files)[-1] for thread_id, files in rows}
    return {id_: _stamp(seen) for id_, seen in own.items()}
