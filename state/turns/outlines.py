"""The outlines of the turns of a thread, kept with its turns: of a thread that grows, only the new
turns are read again, and the last one.

An outline depends on the items of its turn and on the lines up to the next one. Both are in its
*digest*: whatever becomes of the turns, an outline whose digest is that of its turn is right, as
long as the files have only grown. Else the turns are found anew, and nothing of before is kept.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rollout.files.digest import blake2b
from rollout.history.thread import bare_if_empty
from rollout.history.transcript import Transcript
from rollout.history.turn_outline import ListedTurn, OutlinePass, TurnOutline, UsageMark
from rollout.turns.item_refs import ItemRefs
from rollout.turns.turn import Turn
from state.db.steps import Steps

if TYPE_CHECKING:
    from state.turns.checkpoint import TurnState

_INSERT: Final = (
    "INSERT INTO turn_outlines (thread_id, position, digest, prompt, files, failures, tokens)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_LOAD: Final = (
    "SELECT position, digest, prompt, files, failures, tokens FROM turn_outlines"
    " WHERE thread_id = ? ORDER BY position"
)
_LOAD_MARK: Final = "SELECT outlines FROM turn_checkpoints WHERE thread_id = ?"


class OutlineRow(NamedTuple):
    """The outline of a turn, as :meth:`rollout.history.turn_outline.TurnOutline.dump` gives it."""

    digest: int
    prompt: str
    files: str | None
    failures: str | None
    tokens: int | None

    def outline(self) -> TurnOutline:
        """Raises ValueError or TypeError if it is not as it was written."""
        if not (
            type(self.prompt) is str
            and isinstance(self.files, str | None)
            and isinstance(self.failures, str | None)
            and isinstance(self.tokens, int | None)
        ):
            raise TypeError("a value is of the wrong type")
        return TurnOutline.load(*self[1:])


@dataclass(eq=False)
class KnownOutlines:
    """The outlines that are known of a thread."""

    rows: dict[int, OutlineRow] = field(default_factory=dict)
    """By the places of the turns. Of a turn that has another digest by now it is out of date."""
    mark: UsageMark | None = None
    """Where the next pass goes on counting tokens."""
    covered_bytes: int = 0
    """How many bytes of all files had been read when the outlines of all turns were known."""
    stored_bytes: int = 0
    """The same of those that are stored."""

    def copy(self) -> "KnownOutlines":
        return replace(self, rows=dict(self.rows))

    def take(self, other: "KnownOutlines") -> None:
        """Know what a copy has found meanwhile."""
        self.rows |= other.rows
        self.mark = other.mark
        self.covered_bytes = max(self.covered_bytes, other.covered_bytes)


def digests(state: "TurnState") -> list[int]:
    """What the outlines of all turns depend on."""
    turns, own = state.turns, len(state.files) - 1
    found = []
    for at, turn in enumerate(turns):
        file = turn.start.file
        following = turns[at + 1].start if at + 1 < len(turns) else None
        if following is not None and following.file == file:
            end = following.offset
        else:
            end = state.own.resume.end if file == own else -1
        found.append(_digest(turn, end))
    return found


def _digest(turn: Turn, end: int) -> int:
    facts = (*turn.start, *(turn.end or (-1, -1, -1)), turn.first_user, end)
    text = b"%d,%d,%d,%d,%d,%d,%d,%d" % facts
    digest = blake2b(text + turn.items.dump(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def complete(state: "TurnState", pause: Callable[[], None] | None = None) -> None:
    """Find the outlines that are not known of the turns of a state. Raises OSError if a file cannot
    be read, and what ``pause`` raises, which is called before each turn."""
    known, now = state.outlines, digests(state)
    if state.outline.mode == bare_if_empty(state.history).mode:
        missing = [
            at
            for at, digest in enumerate(now)
            if (row := known.rows.get(at)) is None or row.digest != digest
        ]
        if missing:
            with Transcript(state.history) as transcript:
                end = state.own.resume.end
                reading = OutlinePass(transcript, mark=known.mark, end=end, pause=pause)
                for at, found in reading.outlines(missing[0], frozenset(missing)):
                    known.rows[at] = OutlineRow(now[at], *found.dump())
                known.mark = reading.mark
    known.covered_bytes = state.read_bytes


def listed(state: "TurnState") -> list[ListedTurn]:
    """The outline of a thread whose outlines are :func:`complete`. Raises OSError if a file cannot
    be read."""
    history = bare_if_empty(state.history)
    if history.mode != state.outline.mode:
        with Transcript(history) as transcript:
            every = [found for _, found in OutlinePass(transcript).outlines()]
    else:
        every = [state.outlines.rows[at].outline() for at in range(len(history.turns))]
    return [
        ListedTurn(number, replace(turn, items=ItemRefs()), found)
        for number, (turn, found) in enumerate(zip(history.turns, every, strict=True), 1)
    ]


def outlined(state: "TurnState", pause: Callable[[], None] | None = None) -> list[ListedTurn]:
    """Both of :func:`complete` and :func:`listed`."""
    complete(state, pause)
    return listed(state)


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A thread with many outlines to find: a copy of its turns, and where to put them."""

    state: "TurnState"
    known: KnownOutlines


def quick_outline(at_once_bytes: int, state: "TurnState") -> list[ListedTurn] | Unlisted:
    """The outline of a thread, unless more bytes than these have to be read for it."""
    if state.read_bytes - state.outlines.covered_bytes > at_once_bytes:
        return Unlisted(state.copy(), state.outlines)
    return outlined(state)


def outline_rows(thread_id: str, state: "TurnState") -> Iterator[tuple[Any, ...]]:
    """What is stored of the outlines that are right of the turns of a state."""
    rows = state.outlines.rows
    for at, digest in enumerate(digests(state) if rows else ()):
        if (row := rows.get(at)) is not None and row.digest == digest:
            yield thread_id, at, *row


def dumped_mark(state: "TurnState") -> str | None:
    """Where the next pass goes on counting tokens, as JSON; None if some outlines are not known."""
    known = state.outlines
    return json.dumps(known.mark) if known.covered_bytes == state.read_bytes else None


def insert_outlines(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Store what :func:`outline_rows` gave, with the checkpoint of the turns."""
    connection.executemany(_INSERT, rows)


def outlines_steps(thread_id: str, turns: int, read_bytes: int) -> Steps[KnownOutlines]:
    """The outlines that are stored with a checkpoint of so many turns."""
    rows = yield _LOAD, [thread_id]
    marks = yield _LOAD_MARK, [thread_id]
    found = KnownOutlines({at: OutlineRow(*row) for at, *row in rows})
    if not marks or not all(map(_is_fit, found.rows.values())):
        return KnownOutlines()
    if marks[0][0] is not None and len(found.rows) == turns:
        try:
            mark = json.loads(marks[0][0])
            found.mark = None if mark is None else UsageMark(*mark)
        except (TypeError, ValueError):
            return KnownOutlines()
        found.covered_bytes = found.stored_bytes = read_bytes
    return found


def _is_fit(row: OutlineRow) -> bool:
    """Whether a row can have been written here."""
    try:
        row.outline()
    except (TypeError, ValueError):
        return False
    return type(row.digest) is int


def stored_outlines(connection: sqlite3.Connection, thread_id: str) -> dict[int, OutlineRow]:
    """The outlines that are stored of a thread, by the places of its turns."""
    return {at: OutlineRow(*row) for at, *row in connection.execute(_LOAD, [thread_id])}
