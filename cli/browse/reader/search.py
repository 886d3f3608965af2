"""Find a text in all of a thread, also where it is not in memory."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from typing import Final

from cli.browse.reader.drawing import Hit
from cli.browse.reader.pieces import spans_of
from cli.browse.reader.source import TurnSource
from cli.browse.reader.turns import TurnHead
from rollout.search.terms import Matcher

MOST_HITS: Final = 10_000
_NEAR: Final = 5
"""Turns on both sides of the cursor that are searched first."""


class Found:
    """The matches in a thread, in order; more come as long as it is searched."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self._places: set[int] = set()
        self.done = False

    @property
    def full(self) -> bool:
        """Whether there are more than are kept."""
        return len(self.hits) >= MOST_HITS

    def add(self, place: int, hits: Sequence[Hit]) -> None:
        """Add those of a turn."""
        if place in self._places:
            return
        self._places.add(place)
        at = bisect_right([hit.place for hit in self.hits], place) if self.hits else 0
        self.hits[at:at] = hits

    def has(self, place: int) -> bool:
        """Whether a turn was searched."""
        return place in self._places

    def nearest(self, order: tuple[int, ...]) -> Hit | None:
        """The first match at or behind a position, or else the last one."""
        found = next((hit for hit in self.hits if order_of(hit) >= order), None)
        return found or (self.hits[-1] if self.hits else None)

    def beside(self, order: tuple[int, ...], by: int) -> tuple[Hit, bool] | None:
        """The next match behind (1) or before (-1) a position, and whether the search went round
        the end."""
        if not self.hits:
            return None
        if by > 0:
            found = next((hit for hit in self.hits if order_of(hit) > order), None)
            return (found, False) if found else (self.hits[0], True)
        found = next((hit for hit in reversed(self.hits) if order_of(hit) < order), None)
        return (found, False) if found else (self.hits[-1], True)


def order_of(hit: Hit) -> tuple[int, ...]:
    """Matches are in the order of these."""
    return (hit.place, *hit.key, hit.at)


async def search(
    source: TurnSource, heads: Sequence[TurnHead], matcher: Matcher, near: int, found: Found
) -> AsyncIterator[float]:
    """Look for matches in turns, those ``near`` a place first; they are in ``found`` each time that
    this says how much was searched, from 0 to 1. Raises as :meth:`TurnSource.known` does."""
    first = sorted(range(len(heads)), key=lambda at: abs(at - near))[: 2 * _NEAR + 1]
    for at in first:
        await _search_turn(source, heads[at], at, matcher, found)
    yield 0.0
    if len(heads) > len(first):
        async for at, part in source.turns_with(matcher.may_be_in, heads):
            if not found.has(at):
                await _search_turn(source, heads[at], at, matcher, found)
            yield part
            if found.full:
                break
    found.done = True
    yield 1.0


async def _search_turn(
    source: TurnSource, head: TurnHead, place: int, matcher: Matcher, found: Found
) -> None:
    blocks = await source.blocks(head)

    def hits() -> list[Hit]:
        return [
            Hit(place, chunk, key, start)
            for key, chunk, block in blocks
            for start, _ in spans_of(block, matcher)
        ]

    found.add(place, await source.run(hits))
