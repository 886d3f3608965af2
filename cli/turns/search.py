"""Find a text in all of a thread, also where it is not in memory."""

import re
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from operator import attrgetter
from typing import Final

from cli.turns.heads import Hit, TurnHead
from cli.turns.source import TurnSource
from rollout.search.terms import Matcher, Term

MOST_HITS: Final = 10_000
_PLAIN: Final = re.compile(r'[^\x00-\x20"\\/\x7f]*')
"""What JSON has as it is."""
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
        at = bisect_right(self.hits, place, key=attrgetter("place"))
        self.hits[at:at] = hits

    def has(self, place: int) -> bool:
        """Whether a turn was searched."""
        return place in self._places

    @property
    def fullest(self) -> Hit | None:
        """The first match in a block that has the most of the terms."""
        return max(self.hits, key=attrgetter("terms"), default=None)

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
    await _search_turns(source, heads, first, matcher, found)
    yield 0.0
    if len(heads) > len(first):
        async for places, part in source.turns_with(quick_look(matcher.terms), heads):
            await _search_turns(source, heads, places, matcher, found)
            yield part
            if found.full:
                break
    found.done = True
    yield 1.0


async def _search_turns(
    source: TurnSource,
    heads: Sequence[TurnHead],
    places: Sequence[int],
    matcher: Matcher,
    found: Found,
) -> None:
    new = [place for place in places if not found.has(place)]
    if new:
        every = await source.matches([heads[place] for place in new], matcher)
        for place, hits in zip(new, every, strict=True):
            found.add(place, [Hit(place, *hit) for hit in hits])


def quick_look(terms: Sequence[Term]) -> Callable[[bytes], bool]:
    """Tells whether a text in a line of JSON may hold one of the terms; of a phrase the line has to
    hold all words."""
    wanted = [
        [max(_PLAIN.findall(piece), key=len).encode() for piece in term.pieces] for term in terms
    ]

    def may_hold(line: bytes) -> bool:
        # Letters that are casefolded to others, invisible ones and escape sequences.
        if not line.isascii() or b"\\u" in line:
            return True
        line = line.lower()
        return any(all(piece in line for piece in pieces) for pieces in wanted)

    return may_hold
