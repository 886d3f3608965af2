"""The last turns of a thread without the rest of its files: the reducer of paginated ones can begin
at any line, and that of legacy ones at any that begins a turn, but for the numbers in the ids of
items. So only the end of a gigabyte is read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.history.segments import Part
from rollout.history.thread import Outline, reduce_part
from rollout.schema.modes import LEGACY
from rollout.turns.bare import BARE
from rollout.turns.item_refs import UNCOUNTED, ItemRef
from rollout.turns.legacy import LegacyReducer
from rollout.turns.paginated import PaginatedReducer
from rollout.turns.turn import Turn

_READ_BYTES: Final = 64 * 1024


class LastTurns(NamedTuple):
    """The turns that begin after some line of a history, without those that began before."""

    turns: list[Turn]
    last_item: ItemRef | None
    """The last item of all, whichever turn it is of."""


def last_turns(
    known: Outline, size: int, pause: Callable[[], None] | None = None
) -> LastTurns | None:
    """The turns that begin within about the last ``size`` bytes of a history.

    None if these bytes do not determine them: a file is compressed, or of the first versions, the
    beginning of a turn is not recorded there, or a line of a legacy thread names another turn than
    the one that is open. Raises OSError if a file cannot be read.
    """
    start = None if known.mode == BARE else _begin(known.parts, size)
    if start is None:
        return None
    reducer: PaginatedReducer | LegacyReducer = PaginatedReducer(shown_from=known.shown_from)
    if known.mode == LEGACY:
        reducer = LegacyReducer(before=UNCOUNTED)
    first, offset = start
    for number in range(first, len(known.parts)):
        reduce_part(known.parts[number], number, reducer, offset=offset, pause=pause)
        offset = 0
    whole = 0
    while whole < len(reducer.turns) and not reducer.turns[whole].explicit:
        whole += 1  # begun before
    turns = reducer.turns[whole:]
    if not all(turn.explicit for turn in turns):
        return None
    if isinstance(reducer, LegacyReducer) and (
        not turns or reducer.looked_back > turns[0].start.offset
    ):
        return None
    every = (ref for turn in (*reducer.turns, *reducer.orphans.values()) for ref in turn.items)
    return LastTurns(turns, max(every, key=lambda ref: ref.ordinal, default=None))


def _begin(parts: Sequence[Part], size: int) -> tuple[int, int] | None:
    """The part and the byte in it where a line begins, about ``size`` bytes before the end."""
    for number in range(len(parts) - 1, -1, -1):
        part = parts[number]
        if part.path.name.endswith(COMPRESSED_SUFFIX):
            return None
        end = part.path.stat().st_size
        if part.end_ordinal is not None:
            if part.end_offset is None:
                return None
            end = min(part.end_offset, end)
        if size < end:
            return number, _next_line(part.path, end - size, end)
        size -= end
    return 0, 0


def _next_line(path: Path, offset: int, end: int) -> int:
    """The first byte of a line at or after ``offset``; ``end`` if none begins before it."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset - 1)
        at = offset - 1
        while data := file.read(_READ_BYTES):
            newline = data.find(b"\n")
            if newline >= 0:
                return min(at + newline + 1, end)
            at += len(data)
    return end
