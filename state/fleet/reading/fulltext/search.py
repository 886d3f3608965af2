"""Search the messages and headers of a fleet's threads: see :mod:`state.fulltext.search`, whose
results these are. What PostgreSQL finds is read again as far as the reader may see it, and decided
here, by the messages."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from rollout.search.messages import Message
from rollout.search.terms import Matcher
from state.db.steps import Steps
from state.fleet.reading.fulltext.candidates import Fitting, Walk
from state.fleet.reading.fulltext.lookup import documents_steps
from state.fleet.reading.lists.pages import rows_steps
from state.fleet.server.documents import NAME, BadDocument, Said, decoded
from state.fulltext.hits import Judge, Match
from state.fulltext.search import (
    MOST_RANKED,
    Found,
    Search,
    following_page,
    joined,
    page_of,
    ranked_of,
)

if TYPE_CHECKING:
    from state.fleet.reading.index import FleetIndex

_SPARE: Final = 2
"""So many threads more than are wanted are read at once, as some may not match after all."""
_MOST_IN_VAIN: Final = 3_000
"""So many threads that do not match after all are read for one page, at most: a second."""


async def search(index: "FleetIndex", wanted: Search, count: int | None = None) -> Found:
    """The page of hits that ``wanted`` asks for, or as many pages as have ``count`` hits. Raises
    InvalidCursor if the cursor is not one of this search."""
    wanted = replace(wanted, among=index.seen(wanted.among))
    scope = await index.scope(wanted.among)
    pages: list[Found] = []
    while (following := following_page(wanted, pages, count)) is not None:
        pages.append(await index.database.again(partial(page_steps, following), scope))
    return joined(pages)


def page_steps(wanted: Search) -> Steps[Found]:
    """One page of hits."""
    cursor = wanted.decoded_cursor()
    most = MOST_RANKED if wanted.ranked else wanted.among.limit + 1
    walk = Walk(wanted.among, None if wanted.ranked else cursor, wanted.terms)
    judge = Judge(Matcher(wanted.terms), wanted.most_hits, wanted.ranked)
    found: list[Match] = []
    unreadable: set[str] = set()
    in_vain = 0
    while len(found) < most and in_vain < _MOST_IN_VAIN:
        fitting = yield from walk.more(most - len(found))
        if fitting is None:
            break
        while fitting and len(found) < most:
            some = fitting[: most - len(found) + _SPARE]
            matches = yield from _match_steps(judge, some, unreadable)
            found += matches
            in_vain += len(some) - len(matches)
            del fitting[: len(some)]
    stopped = len(found) < most and (walk.stopped or in_vain >= _MOST_IN_VAIN)
    del found[most:]
    if wanted.ranked:
        found = ranked_of(wanted, found, cursor)
    rows = yield from rows_steps([match.key[1] for match in found[: wanted.among.limit]])
    page = page_of(wanted, found, rows, 0)
    if stopped and not wanted.ranked and walk.place is not None:
        page = page._replace(next_cursor=wanted.cursor(walk.place.key_ms, walk.place.thread_id))
    return page._replace(unreadable=frozenset(unreadable), stopped=stopped)


def _match_steps(
    judge: Judge, fitting: Sequence[Fitting], unreadable: set[str]
) -> Steps[list[Match]]:
    """Those of some threads that match."""
    stored = yield from documents_steps([place for each in fitting for place in each.documents])
    found = []
    for each in fitting:
        said: list[Said] = []
        for place in each.documents:
            try:
                said += decoded(stored.get(place, b"[]"))
            except BadDocument:
                unreadable.add(each.key[1])
        header, messages = parts_of(said)
        if match := judge.match(each.key, [*each.header, *header], messages):
            found.append(match)
    return found


def parts_of(said: Sequence[Said]) -> tuple[list[str], list[Message]]:
    """The parts of a header, and the messages, of some documents."""
    header = [each.text for each in said if each.kind == NAME]
    messages = [
        Message(0, number, each.text, each.kind, each.turn_id, each.item_id)
        for number, each in enumerate(said)
        if each.kind != NAME
    ]
    return header, messages
