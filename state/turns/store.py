"""Checkpoints of the turns of long threads, as rows: later passes reduce only what was added.

A checkpoint is stored in one transaction and says what some files held at one time. Each
use checks whether they still do, so it does not matter which process stores last or is killed.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from rollout.files.stamp import FileStamp
from rollout.history.segments import Part
from rollout.history.thread import AnyReducer, Outline, ThreadTurns, bare_if_empty
from rollout.jsonl.resume import ResumePoint
from rollout.schema.modes import PAGINATED
from rollout.schema.strict import Fields
from rollout.turns.item_refs import ItemRefs, Position
from rollout.turns.turn import Turn
from state.db.steps import Steps, run_steps
from state.rows import resume_points
from state.turns.checkpoint import ReadFile, TurnState, is_current, resumed
from state.turns.outline_rows import insert_outlines, outlines_steps
from state.turns.outlines import dumped_mark, rows_of

if TYPE_CHECKING:
    from state.db.database import Database

VERSION: Final = 2
"""Of checkpoints: raise it when a change finds other turns, items or outlines, or when
:data:`rollout.items.thread_item.KINDS` changes anywhere but at its end. Checkpoints of another
version are not used. The other two numbers of this kind are ``EXTRACTOR_VERSION`` in
:mod:`rollout.metadata.version` (rows) and ``VERSION`` in :mod:`state.fulltext.due` (messages)."""

SMALLEST_BYTES: Final = 256 * 1024
"""Threads with less are reduced within a few milliseconds each time."""
_GREATEST: Final = 2**63 - 1
_UNFIT: Final = (KeyError, TypeError, ValueError)
"""What rows raise that are not as they were written."""

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("position", "orphan"), (int,)),
    "id": (str,),
    "root_id": (str, type(None)),
    "status": (str,),
    "error": (str, type(None)),
    **dict.fromkeys(("started_at", "completed_at", "duration_ms"), (int, type(None))),
    **dict.fromkeys(("explicit", "start_file", "start_offset", "start_ordinal"), (int,)),
    **dict.fromkeys(("end_file", "end_offset", "end_ordinal"), (int, type(None))),
    **dict.fromkeys(("first_user", "final_agent", "last_agent"), (int,)),
    "item_refs": (bytes,),
}
"""The columns of ``turns`` behind the thread's id, in their order."""
_COLUMNS: Final = [*_TYPES]
INSERT_TURNS: Final = (
    f"INSERT INTO turns (thread_id, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"
)
_SELECT_TURNS: Final = f"SELECT {', '.join(_COLUMNS)} FROM turns WHERE thread_id = ?"
_INSERT_HEAD: Final = (
    "INSERT INTO turn_checkpoints (thread_id, version, files, mode, state, turns, outlines)"
    " VALUES (:thread_id, :version, :files, :mode, :state, :turns, :outlines)"
)
_ORPHAN: Final = _COLUMNS.index("orphan")
_LOAD_TURNS: Final = f"{_SELECT_TURNS} ORDER BY position"
_LOAD_SOME: Final = f"{_SELECT_TURNS} AND position BETWEEN ? AND ? ORDER BY position"
_LOAD_IDS: Final = "SELECT id, orphan FROM turns WHERE thread_id = ? ORDER BY position"
_LOAD_CHECKPOINT: Final = (
    "SELECT version, files, mode, state, turns FROM turn_checkpoints WHERE thread_id = ?"
)
_LOAD_POINTS: Final = (
    "SELECT size_bytes, mtime_ns, inode, end_offset, guard FROM resume_points WHERE pass = 'turns'"
    " AND row_id = (SELECT row_id FROM threads WHERE id = ?) ORDER BY part"
)
_OWN_STAMPS: Final = (
    "SELECT c.thread_id, max(r.part), r.size_bytes, r.mtime_ns, r.inode FROM turn_checkpoints c"
    " JOIN threads t ON t.id = c.thread_id JOIN resume_points r ON r.pass = 'turns'"
    f" AND r.row_id = t.row_id WHERE c.version = {VERSION} AND c.outlines IS NOT NULL"
    " GROUP BY c.thread_id"
)


class Rows(NamedTuple):
    """A checkpoint as rows."""

    head: dict[str, Any]
    """Of ``turn_checkpoints``."""
    points: list[ResumePoint]
    """Of each file of the history."""
    turns: list[tuple[Any, ...]]
    outlines: list[tuple[Any, ...]]


def worth_storing(state: TurnState) -> bool:
    """Whether reading what was added since it was stored took long enough, or finding outlines."""
    if state.partial or state.damage or state.outline.missing is not None:
        return False
    whole, outlines = state.read_bytes, state.outlines
    added = max(whole - state.stored_bytes, outlines.covered_bytes - outlines.stored_bytes)
    return added >= max(whole // 16, SMALLEST_BYTES)


def dumped(thread_id: str, state: TurnState, home: Path) -> Rows | None:
    """The rows of a checkpoint; None if it has a number that SQLite cannot hold."""
    every = [*state.turns, *state.orphans]
    if any(turn.start.ordinal > _GREATEST for turn in every):
        return None
    head = {
        "thread_id": thread_id,
        "version": VERSION,
        "files": json.dumps([_file(file.part, home) for file in state.files]),
        "mode": state.outline.mode,
        "state": json.dumps(state.reducer.dump()),
        "turns": len(every),
        "outlines": dumped_mark(state),
    }
    points = [file.resume for file in state.files]
    turns = [*_turn_rows(thread_id, state.reducer)]
    return Rows(head, points, turns, [*rows_of(thread_id, state)])


def _turn_rows(thread_id: str, reducer: AnyReducer) -> Iterator[tuple[Any, ...]]:
    every = [(turn, 0) for turn in reducer.turns]
    every += [(turn, 1) for turn in reducer.orphans.values()]
    for at, (turn, orphan) in enumerate(every):
        yield _turn_row(thread_id, at, turn, orphan)


def _file(part: Part, home: Path) -> dict[str, Any]:
    inside = part.path.is_relative_to(home)
    return {
        "path": str(part.path.relative_to(home) if inside else part.path),
        "rollout_id": part.rollout_id,
        "end_ordinal": part.end_ordinal,
        "end_offset": part.end_offset,
    }


def _turn_row(thread_id: str, position: int, turn: Turn, orphan: int) -> tuple[Any, ...]:
    """In the order of the table: a thread may have so many turns that names for each value would
    take more memory than all else."""
    return (
        thread_id,
        position,
        orphan,
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


async def store(database: "Database", rows: Rows) -> None:
    """Replace the checkpoint of a thread, if the thread is still there. Raises StateError if the
    index cannot be written."""
    await database.transact(partial(_store, rows))


def _store(rows: Rows, connection: sqlite3.Connection) -> None:
    thread_id = rows.head["thread_id"]
    found = connection.execute("SELECT row_id FROM threads WHERE id = ?", [thread_id]).fetchone()
    if found is None:
        return
    (row_id,) = found
    connection.execute("DELETE FROM turn_checkpoints WHERE thread_id = ?", [thread_id])
    resume_points.forget_resume_points(connection, [resume_points.TURNS], [row_id])
    connection.execute(_INSERT_HEAD, rows.head)
    points = [(row_id, part, point) for part, point in enumerate(rows.points)]
    resume_points.put_resume_points(connection, resume_points.TURNS, points)
    connection.executemany(INSERT_TURNS, rows.turns)
    insert_outlines(connection, rows.outlines)


def load_steps(thread_id: str, home: Path) -> Steps[TurnState | None]:
    """The checkpoint of a thread; None if there is none of this version, or its rows are not as
    they were written."""
    checkpoint = yield from checkpoint_steps(thread_id)
    if checkpoint is None:
        return None
    _, files, mode, state, count, *points = checkpoint
    rows = yield _LOAD_TURNS, [thread_id]
    if len(rows) != count:
        return None
    try:
        read = files_of(files, points, home)
        found = _loaded(mode, json.loads(state), read, rows) if read else None
    except _UNFIT as error:
        import logging

        logging.getLogger("threadkeep.turns").warning(
            "the stored turns of %s are damaged and will be read anew: %s", thread_id, error
        )
        return None
    if found is not None:
        turns = len(found.turns)
        found.outlines = yield from outlines_steps(thread_id, turns, found.read_bytes)
    return found


def stored_outline(
    connection: sqlite3.Connection, thread_id: str, home: Path
) -> tuple[Outline, list[ReadFile], Fields] | None:
    """What a checkpoint was made of, and its state; None if there is none that would be used."""
    checkpoint = run_steps(checkpoint_steps(thread_id), connection)
    if checkpoint is None:
        return None
    _, files, mode, dump, _, *points = checkpoint
    try:
        state = json.loads(dump)
        read = files_of(files, points, home)
        outline = _outline(mode, state, read)
    except _UNFIT:
        return None
    used = read and all(file.is_same() or file.has_grown() for file in read)
    return (outline, read, state) if used else None


def has_rows_of(connection: sqlite3.Connection, thread_id: str, reducer: AnyReducer) -> bool:
    """Whether the rows that are stored for a thread are those of a reducer."""
    rows = connection.execute(_LOAD_TURNS, [thread_id])
    stored = (tuple(row) for row in rows)  # one by one: a thread may have very many
    given = (row[1:] for row in _turn_rows(thread_id, reducer))
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


def checkpoint_steps(thread_id: str) -> Steps[tuple[Any, ...] | None]:
    """The checkpoint of a thread as it is stored, without its turns; None if there is none of this
    version."""
    heads = yield _LOAD_CHECKPOINT, [thread_id]
    if not heads or heads[0][0] != VERSION:
        return None
    points = yield _LOAD_POINTS, [thread_id]
    return (*heads[0], *points)


def is_checkpoint_of(checkpoint: tuple[Any, ...], path: Path, home: Path) -> bool:
    """Whether the files are as they were, and the thread's own one is at ``path``."""
    try:
        read = files_of(checkpoint[1], checkpoint[5:], home)
        return bool(read) and read[-1].part.path == path and is_current(read)
    except (*_UNFIT, OSError):
        return False  # a request for all turns logs or raises it


def current_steps(
    thread_id: str, path: Path, home: Path, choose: Callable[[Sequence[str]], Sequence[int]]
) -> Steps[tuple[ThreadTurns, Sequence[int]] | None]:
    """Those turns of a thread for which ``choose``, called with the ids of all, gives the places,
    each with the one behind it; and these places. Others are not looked at. None if they are not
    stored as the files are now."""
    checkpoint = yield from checkpoint_steps(thread_id)
    if checkpoint is None or not is_checkpoint_of(checkpoint, path, home):
        return None
    _, files, mode, _, count = checkpoint[:5]
    rows = yield _LOAD_IDS, [thread_id]
    ids = [id_ for id_, orphan in rows if not orphan]
    if len(rows) != count:
        return None
    places = choose(ids) if ids else ()
    if len(places) == len(ids):
        state = yield from load_steps(thread_id, home)
        if state is None:
            return None
        history = bare_if_empty(state.history)
        return history, choose([turn.id for turn in history.turns])
    found = yield _LOAD_SOME, [thread_id, min(places), min(max(places) + 1, len(ids) - 1)]
    try:
        here = SomeTurns(len(ids), {row[0]: _turn(row) for row in found})
    except _UNFIT:
        return None
    parts = [file.part for file in files_of(files, checkpoint[5:], home)]
    return ThreadTurns(mode, parts, here, [], None), places


def _loaded(
    mode: str, dump: Fields, files: list[ReadFile], rows: list[tuple[Any, ...]]
) -> TurnState:
    kept: list[Turn] = []
    orphans: list[Turn] = []
    for row in rows:
        (orphans if row[_ORPHAN] else kept).append(_turn(row))
    state = TurnState(_outline(mode, dump, files), files, resumed(mode, dump, kept, orphans))
    state.stored_bytes = state.read_bytes
    return state


def _outline(mode: str, dump: Fields, files: Sequence[ReadFile]) -> Outline:
    shown_from = int(dump["shown_from"]) if mode == PAGINATED else 0
    return Outline(mode, [file.part for file in files], None, shown_from)


def files_of(files: str, points: Sequence[Sequence[Any]], home: Path) -> list[ReadFile]:
    return [
        ReadFile(
            Part(home / row["path"], row["rollout_id"], row["end_ordinal"], row["end_offset"]),
            ResumePoint(FileStamp(*point[:3]), *point[3:]),
        )
        for row, point in zip(json.loads(files), points, strict=True)
    ]


@cache
def _is_fit(types: tuple[type, ...]) -> bool:
    """Whether values of these types can be a turn's; turns have few combinations of them."""
    return all(type_ in fit for type_, fit in zip(types, _TYPES.values(), strict=True))


def _turn(values: Sequence[Any]) -> Turn:
    if not _is_fit(tuple(map(type, values))):
        raise TypeError("a value is of the wrong type")
    row = dict(zip(_COLUMNS, values, strict=True))
    end = (row["end_file"], row["end_offset"], row["end_ordinal"])
    return Turn(
        row["id"],
        Position(row["start_file"], row["start_offset"], row["start_ordinal"]),
        bool(row["explicit"]),
        row["root_id"],
        row["started_at"],
        row["completed_at"],
        row["duration_ms"],
        row["status"],
        None if row["error"] is None else json.loads(row["error"]),
        None if end[0] is None else Position(*end),
        row["first_user"],
        row["final_agent"],
        row["last_agent"],
        ItemRefs.load(row["item_refs"]),
    )


def own_stamp_steps() -> Steps[dict[str, FileStamp]]:
    """The stamps of the own files of all threads that are stored with all outlines, as they
    were."""
    rows = yield _OWN_STAMPS, []
    return {id_: FileStamp(*stamp) for id_, _, *stamp in rows}
