"""Search for any text by reading all rollouts, with a progress bar."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from cli.runtime.open_index import catch_up
from cli.terminal.progress import progress
from cli.terminal.text import plural
from rollout.errors import Damage
from rollout.search.grep import RawHits
from state.fulltext.grep import raw_search
from state.fulltext.hits import Hit, Passage
from state.fulltext.search import Search
from state.query.rows import Row
from state.thread_index import ThreadIndex

UNREADABLE: Final = "{} may match too, but cannot be read: threadkeep explain shows why."
STOPPED: Final = (
    "Too many threads had to be looked into, and the last ones were not: some matches may be"
    " missing. Add a word, or --since, --project or --machine."
)


@dataclass(slots=True)
class RawFound:
    """The first threads that match, in the order of the list."""

    hits: list[Hit] = field(default_factory=list)
    passages: list[list[Passage]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Why some may be missing."""
    damage: list[Damage] = field(default_factory=list)
    """Where files break off."""
    more: bool = False
    """Whether more threads match."""


async def search_raw(index: ThreadIndex, search: Search, count: int, sync: bool) -> RawFound:
    """The first ``count`` threads whose lines hold all terms."""
    found = RawFound([], [], [await catch_up(index)] if sync else [])
    unread: list[str] = []
    with progress("reading") as report:
        hits = raw_search(
            index,
            search.terms,
            search.among,
            most_hits=search.most_hits,
            damage=found.damage,
            unreadable=unread,
            report=report,
        )
        await _take(found, _of_lines(hits), count)
    if unread:
        found.notes.append(UNREADABLE.format(plural(len(unread), "thread")))
    return found


_Matches = AsyncGenerator[tuple[Row, int, Sequence[Passage]]]


async def _take(found: RawFound, matches: _Matches, count: int) -> None:
    async with aclosing(matches):
        async for row, number, passages in matches:
            if len(found.hits) == count:
                found.more = True
                break
            found.hits.append(Hit(row, [], [], number))
            found.passages.append([*passages])


async def _of_lines(hits: AsyncGenerator[tuple[Row, RawHits]]) -> _Matches:
    async with aclosing(hits):
        async for row, raw in hits:
            yield row, raw.matches, [Passage(each.kind, each.snippet) for each in raw.hits]
