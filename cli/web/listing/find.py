"""Find the threads of a list, a part at a time: each part says how to go on.

Pinned threads come first where nothing is searched for. Where words are, those come first that have
them in their title, then those in whose messages they were said, best first. Where no thread has
all of the words, those come that have some of them.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from cli.filter.wanted import Wanted
from state.errors import InvalidCursor
from state.fulltext.changed_files import LastChange, all_changing_steps
from state.fulltext.hits import Hit
from state.fulltext.search import Found as Hits
from state.fulltext.search import Search, search
from state.fulltext.sentence import SentenceFound, search_sentence
from state.query.model import MOST_INCLUDED, Query
from state.query.rows import Row
from state.thread_index import ThreadIndex

PART: Final = 50
"""Threads of a part, about."""
_MOST_HITS: Final = 2
"""Messages of a thread that are shown."""
_SAID: Final = "said"
_SOME: Final = "some"
_MOST_LEFT_OUT: Final = 1_000
"""Threads that are left out for what was said in them."""


TO_SAID: Final = f"{_SAID}."
"""The cursor behind the threads that have the words in their titles."""


class Found(NamedTuple):
    """A thread of the list, and why it is there."""

    row: Row
    hit: Hit | None = None
    """What was said in it."""
    change: LastChange | None = None
    """The file that it has changed."""


@dataclass(slots=True)
class Part:
    """Some threads of a list, one after the other."""

    found: list[Found] = field(default_factory=list)
    cursor: str = ""
    """Where the list goes on; empty at its end."""
    left_out: frozenset[str] = frozenset()
    """The ids of threads in whose messages was said what is not wanted."""
    some: bool = False
    """Whether no thread has all of the words, and these have some."""
    pending: int = 0
    """Threads that were not searched, because they are not indexed yet."""
    unreadable: int = 0
    """Threads that may match, with a file that could not be read."""

    @property
    def said(self) -> int:
        """How many threads are here for what was said in them."""
        return sum(each.hit is not None for each in self.found)


async def find(index: ThreadIndex, wanted: Wanted, cursor: str = "", count: int = PART) -> Part:
    """The part of a list behind a cursor. Raises InvalidCursor if it is not one of this list."""
    ways = _ways(wanted)
    name, _, place = cursor.partition(".")
    name = name or next(iter(ways))
    if name not in ways:
        raise InvalidCursor(cursor[:80], "it belongs to a list with other filters")
    part = Part()
    part.left_out = await _left_out(index, wanted, part)
    names = [*ways]
    for way in names[names.index(name) :]:
        if way == _SOME and (part.found or (cursor and name != _SOME)):
            break
        if len(part.found) >= count:
            part.cursor = f"{way}."
            return part
        asked = _Asked(index, wanted, place or None, count - len(part.found), part)
        more, following = await ways[way](asked)
        part.found += more
        part.some = way == _SOME and bool(more)
        if following is not None:
            part.cursor = f"{way}.{following}"
            return part
        place = ""
    return part


@dataclass(frozen=True, slots=True)
class _Asked:
    index: ThreadIndex
    wanted: Wanted
    cursor: str | None
    count: int
    part: Part
    """What there is by now."""


_Way = Callable[[_Asked], Awaitable[tuple[list[Found], str | None]]]
"""Gives the next threads that are found in one way, and the cursor behind them; None at the end."""


def _ways(wanted: Wanted) -> dict[str, _Way]:
    """How the threads of a list are found, one way after the other, by the names that cursors
    have for them."""
    if wanted.file:
        return {"changed": _changed}
    if len(wanted.terms) > 1 and not wanted.unwanted:
        return {"titled": _listed, _SAID: _said, _SOME: _some}
    if wanted.terms:
        return {"titled": _listed, _SAID: _said}
    if wanted.text:
        return {"listed": _listed}
    return {"pinned": _pinned, "other": _others}


async def _pinned(asked: _Asked) -> tuple[list[Found], str | None]:
    return await _rows(asked, replace(asked.wanted.query, pinned=True))


async def _others(asked: _Asked) -> tuple[list[Found], str | None]:
    return await _rows(asked, replace(asked.wanted.query, pinned=False))


async def _listed(asked: _Asked) -> tuple[list[Found], str | None]:
    return await _rows(asked, asked.wanted.query)


async def _rows(asked: _Asked, query: Query) -> tuple[list[Found], str | None]:
    found: list[Found] = []
    cursor = asked.cursor
    while True:
        page = await asked.index.stored_page(replace(query, cursor=cursor, limit=asked.count))
        found += [Found(row) for row in page.rows if row["id"] not in asked.part.left_out]
        cursor = page.next_cursor
        if cursor is None or len(found) >= asked.count:
            return found, cursor


async def _said(asked: _Asked) -> tuple[list[Found], str | None]:
    """Those whose messages hold all terms, without those that have them in their title."""
    wanted, found = asked.wanted, list[Found]()
    cursor = asked.cursor
    while True:
        among = replace(wanted.among, cursor=cursor)  # which has more than a part shows
        searched = Search(wanted.terms, among, ranked=True, most_hits=_MOST_HITS)
        hits = await search(asked.index, searched)
        _note(asked.part, hits)
        ids = [hit.row["id"] for hit in hits.hits]
        passed = asked.part.left_out.union(await _of_list(asked.index, wanted.query, ids))
        found += [Found(hit.row, hit) for hit in hits.hits if hit.row["id"] not in passed]
        if len(found) > asked.count:
            last = hits.hits[ids.index(found[asked.count - 1].row["id"])]
            return found[: asked.count], searched.cursor(last.matches, last.row["id"])
        cursor = hits.next_cursor
        if cursor is None or len(found) == asked.count:
            return found, cursor


async def _some(asked: _Asked) -> tuple[list[Found], str | None]:
    """Those that hold some of the terms, if none holds all of them."""
    among = replace(asked.wanted.among, cursor=asked.cursor, limit=asked.count)
    hits = await search_sentence(asked.index, asked.wanted.terms, among)
    _note(asked.part, hits)
    return [Found(each.hit.row, each.hit) for each in hits.hits], hits.next_cursor


async def _changed(asked: _Asked) -> tuple[list[Found], str | None]:
    """Those that have changed the file; with words, those of the newest of them that hold these,
    best first."""
    index, wanted = asked.index, asked.wanted
    most = MOST_INCLUDED if wanted.terms else asked.count
    among = replace(wanted.among, cursor=asked.cursor)
    page = await index.database.query(all_changing_steps(wanted.file, among, most))
    asked.part.pending = max(asked.part.pending, page.unindexed)
    found = [Found(row, change=change) for row, change in page.threads]
    if wanted.terms:
        return await _holding(asked, found), None
    return found, page.next_cursor


async def _holding(asked: _Asked, found: Sequence[Found]) -> list[Found]:
    wanted = asked.wanted
    changes = {each.row["id"]: each.change for each in found}
    among = replace(wanted.among, included_ids=tuple(changes))
    holding = Search(wanted.terms, among, ranked=True, most_hits=_MOST_HITS)
    hits = await search(asked.index, holding)
    _note(asked.part, hits)
    return [Found(hit.row, hit, changes[hit.row["id"]]) for hit in hits.hits]


def _note(part: Part, hits: Hits | SentenceFound) -> None:
    """Note what could not be searched."""
    part.pending = max(part.pending, hits.pending)
    part.unreadable = max(part.unreadable, len(hits.unreadable))


async def _left_out(index: ThreadIndex, wanted: Wanted, part: Part) -> frozenset[str]:
    """The threads in whose messages was said what is not wanted."""
    ids: set[str] = set()
    for term in wanted.unwanted if wanted.searches_messages else ():
        found = await search(index, Search((term,), wanted.among), _MOST_LEFT_OUT)
        _note(part, found)
        ids.update(hit.row["id"] for hit in found.hits)
    return frozenset(ids)


async def _of_list(index: ThreadIndex, query: Query, ids: Sequence[str]) -> set[str]:
    """Those of some ids whose threads a list has."""
    found: set[str] = set()
    for start in range(0, len(ids), MOST_INCLUDED):
        some = tuple(ids[start : start + MOST_INCLUDED])
        keys = await index.keys(replace(query, included_ids=some), None, len(some))
        found.update(id_ for _, id_, _ in keys)
    return found


async def count_of_list(index: ThreadIndex, query: Query, ids: frozenset[str]) -> int:
    """How many of some threads a list has."""
    return len(await _of_list(index, query, sorted(ids)))
