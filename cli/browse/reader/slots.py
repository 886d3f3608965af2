"""Where each turn of a thread is on one long page, of which only what is near is here."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

from cli.browse.reader.pieces import Laid, Line
from cli.turns.heads import Chunk, Key, TurnHead

HEADING: Final = 2
"""Lines of the heading of a turn: itself, and one that is blank."""
_GUESS: Final = {"short": 5, "full": 12, "off": 1}
"""Lines of an item that was not looked at yet."""


class Spot(NamedTuple):
    """A line of the page that stays the same while others come and go."""

    slot: int
    chunk: int
    """-1 for the heading."""
    line: int


@dataclass(slots=True)
class Slot:
    """A turn on the page."""

    head: TurnHead
    heights: list[int]
    """Of each of its chunks; a guess for those that were never here."""
    counted: bool = False
    """Whether it is known how many chunks it has."""
    here: dict[int, tuple[int, Laid]] = field(default_factory=dict)
    """The chunks that are in memory, each with the look of which it is."""
    unfolded: frozenset[Key] = frozenset()

    @property
    def height(self) -> int:
        return HEADING + sum(self.heights)

    def begin(self, chunk: int) -> int:
        """The line of the slot where a chunk begins."""
        return 0 if chunk < 0 else HEADING + sum(self.heights[:chunk])

    def locate(self, line: int) -> tuple[int, int]:
        """The chunk of a line of the slot, and the line of that."""
        if line < HEADING:
            return -1, line
        line -= HEADING
        for chunk, height in enumerate(self.heights):
            if line < height:
                return chunk, line
            line -= height
        last = len(self.heights) - 1
        return last, max(self.heights[last] - 1, 0)

    def laid(self, chunk: int) -> Laid | None:
        found = self.here.get(chunk)
        return None if found is None else found[1]

    def put(self, number: int, chunk: Chunk[Laid], look: int) -> int:
        """Have a chunk here; gives its number."""
        number = chunk.of - 1 if number < 0 else min(number, chunk.of - 1)
        if len(self.heights) != chunk.of:
            each = max(sum(self.heights) // chunk.of, 1)
            self.heights = (self.heights + [each] * chunk.of)[: chunk.of]
            if not self.counted:
                self.heights = [each] * chunk.of
            self.here = {at: laid for at, laid in self.here.items() if at < chunk.of}
        self.counted = True
        self.here[number] = (look, chunk.made)
        self.heights[number] = len(chunk.made.lines)
        return number


class Page:
    """All turns of a thread, below each other."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self._starts: list[int] | None = None

    def show(self, heads: Sequence[TurnHead], tools: str) -> dict[int, int]:
        """Have these turns, and keep what is known of those that were here; gives the new place of
        each slot that is left."""
        before = {slot.head.key: (at, slot) for at, slot in enumerate(self.slots)}
        self.slots, kept = [], {}
        for at, head in enumerate(heads):
            known = before.get(head.key)
            if known is None:
                self.slots.append(Slot(head, [1 + head.size * _GUESS[tools]]))
                continue
            slot = known[1]
            kept[known[0]] = at
            if slot.head.version != head.version:
                slot.here = {chunk: (-1, laid) for chunk, (_, laid) in slot.here.items()}
            slot.head = head
            self.slots.append(slot)
        self._starts = None
        return kept

    def moved(self) -> None:
        """The height of a slot has changed."""
        self._starts = None

    @property
    def starts(self) -> list[int]:
        """The line where each slot begins, and the end."""
        if self._starts is None:
            self._starts = [0, *accumulate(slot.height for slot in self.slots)]
        return self._starts

    @property
    def height(self) -> int:
        return self.starts[-1]

    def spot(self, y: int) -> Spot:
        """What is in a line of the page, which has some."""
        y = min(max(y, 0), self.height - 1)
        at = min(bisect_right(self.starts, y) - 1, len(self.slots) - 1)
        return Spot(at, *self.slots[at].locate(y - self.starts[at]))

    def y(self, spot: Spot) -> int:
        """The line of the page where a spot is."""
        slot = self.slots[spot.slot]
        chunk = min(spot.chunk, len(slot.heights) - 1)
        most = HEADING if chunk < 0 else slot.heights[chunk]
        return self.starts[spot.slot] + slot.begin(chunk) + min(spot.line, max(most - 1, 0))

    def line(self, spot: Spot) -> Line | None:
        """What is in a spot; None if it is not here, or in a heading."""
        laid = self.slots[spot.slot].laid(spot.chunk)
        return laid.lines[spot.line] if laid and spot.line < len(laid.lines) else None

    def around(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The chunks of the lines from ``first`` to ``last``: slots and numbers. Of a turn of which
        it is not known how many it has, the first or (-1) the last one."""
        if not self.slots:
            return
        first, last = max(first, 0), min(last, self.height - 1)
        at = self.spot(first).slot
        while at < len(self.slots) and self.starts[at] <= last:
            slot, begin = self.slots[at], self.starts[at]
            if not slot.counted:
                yield at, 0 if begin >= first else -1
                at += 1
                continue
            top = begin + HEADING
            for chunk, height in enumerate(slot.heights):
                if top <= last and top + max(height, 1) > first:
                    yield at, chunk
                top += height
            at += 1

    def forget(self, keep: Iterable[tuple[int, int]], most: int) -> None:
        """Drop what is here besides ``keep`` if all together has more than ``most`` lines."""
        here = [(at, chunk) for at, slot in enumerate(self.slots) for chunk in slot.here]
        if sum(self.slots[at].heights[chunk] for at, chunk in here) <= most:
            return
        for at, chunk in {*here} - {*keep}:
            del self.slots[at].here[chunk]
