"""The outlines of the turns of a thread, kept with its turns: of a thread that grows, only the new
turns are read again, and the last one.

An outline depends on the items of its turn and on the lines up to the next one. Both are in its
*digest*: whatever becomes of the turns, an outline whose digest is that of its turn is right, as
long as the files have only grown. Else the turns are found anew, and nothing of before is kept.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rollout.files.digest import blake2b
from rollout.history.thread import bare_if_empty
from rollout.history.transcript import Transcript
from rollout.history.turn_outline import ListedTurn, OutlinePass
from rollout.turns.item_refs import ItemRefs
from rollout.turns.turn import Turn
from state.turns.checkpoint import TurnState
from state.turns.outline_rows import KnownOutlines, OutlineRow


def digests(state: TurnState) -> list[int]:
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


def complete(state: TurnState, pause: Callable[[], None] | None = None) -> None:
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


def listed(state: TurnState) -> list[ListedTurn]:
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


def outlined(state: TurnState, pause: Callable[[], None] | None = None) -> list[ListedTurn]:
    """Both of :func:`complete` and :func:`listed`."""
    complete(state, pause)
    return listed(state)


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A thread with many outlines to find: a copy of its turns, and where to put them."""

    state: TurnState
    known: KnownOutlines


def quick_outline(at_once_bytes: int, state: TurnState) -> list[ListedTurn] | Unlisted:
    """The outline of a thread, unless more bytes than these have to be read for it."""
    if state.read_bytes - state.outlines.covered_bytes > at_once_bytes:
        return Unlisted(state.copy(), state.outlines)
    return outlined(state)


def rows_of(thread_id: str, state: TurnState) -> Iterator[tuple[Any, ...]]:
    """What is stored of the outlines that are right of the turns of a state."""
    rows = state.outlines.rows
    for at, digest in enumerate(digests(state) if rows else ()):
        if (row := rows.get(at)) is not None and row.digest == digest:
            yield thread_id, at, *row


def dumped_mark(state: TurnState) -> str | None:
    """Where the next pass goes on counting tokens, as JSON; None if some outlines are not known."""
    known = state.outlines
    return json.dumps(known.mark) if known.covered_bytes == state.read_bytes else None
