"""Search with a sentence, as people and agents ask: the threads that hold all of its terms, and if
they are few, those that hold some of them, the best first."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from rollout.search.terms import Term
from state.errors import InvalidCursor
from state.fulltext.hits import Hit
from state.fulltext.relevance import Place, rank_steadily, weights_steps
from state.fulltext.search import Search, search
from state.query.cursor import Cursor, decode
from state.query.model import Query

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

RELEVANCE: Final = "relevance"
"""The sort of the threads that hold some of the terms."""
_BEFORE_ALL: Final = (2**62, "")
"""A place before all others."""


class SentenceHit(NamedTuple):
    """A thread that matches."""

    hit: Hit
    terms: frozenset[int]
    """Which of the terms it holds, or its best document, if not all."""


class SentenceFound(NamedTuple):
    """A page of hits."""

    hits: list[SentenceHit]
    """Those with all terms in the order of the list, then those with some, the best first."""
    complete: int
    """How many of them hold all terms."""
    terms: tuple[Term, ...]
    """What was searched for, with any endings."""
    weights: list[int]
    """What each of the terms counts."""
    next_cursor: str | None
    pending: int
    """Threads that were not searched, because they are not indexed yet."""
    unreadable: frozenset[str]
    """Files that exist and may match, but could not be read."""


async def search_sentence(
    index: "ThreadIndex", terms: tuple[Term, ...], among: Query
) -> SentenceFound:
    """The page of hits that ``among`` asks for. Threads with some of the terms follow if those with
    all of them fit on the first page. Raises InvalidCursor if the cursor is not one of this search,
    EmptySearch for no terms, and InvalidQuery for too many."""
    wanted = Search(terms, among)
    first = replace(among, cursor=None)
    after = _place_behind(wanted)
    found = await search(index, wanted if after is None else replace(wanted, among=first))
    loose = tuple(dict.fromkeys(term.loosened for term in terms))
    every = frozenset(range(len(loose)))
    hits = [SentenceHit(hit, every) for hit in found.hits] if after is None else []
    complete, following, unreadable = len(hits), found.next_cursor, found.unreadable
    if following is None and (after is not None or among.cursor is None):
        known = (hit.row["id"] for hit in found.hits)
        room = among.limit - complete
        others = replace(first, limit=max(room, 1), excluded_ids=(*among.excluded_ids, *known))
        read = index.database.query_here
        ranking = partial(rank_steadily, index.home, read, loose, others, after)
        ranked, weights, unread = await index.database.workers.run(ranking)
        hits += [SentenceHit(each.hit, each.terms) for each in ranked[:room]]
        unreadable |= unread
        if len(ranked) > room:
            place = ranked[room - 1].place if room else _BEFORE_ALL
            following = Cursor(RELEVANCE, True, wanted.digest, *place).encode()
    else:
        weights = await index.database.query(weights_steps(loose))
    return SentenceFound(hits, complete, loose, weights, following, found.pending, unreadable)


def _place_behind(wanted: Search) -> Place | None:
    """The place in the ranking that the cursor names; None if it is in the list, or there is none.
    Raises InvalidCursor if it is neither."""
    try:
        wanted.decoded_cursor()
    except InvalidCursor:
        at = decode(wanted.among.cursor or "", RELEVANCE, True, wanted.digest)
        return at.key_ms, at.thread_id
    return None
