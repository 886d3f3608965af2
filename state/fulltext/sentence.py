"""Search with a sentence, as people and agents ask: the threads that hold all of its terms, and if
these are few, those that hold some of them, the best first."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from rollout.search.terms import Term
from state.errors import InvalidCursor
from state.fulltext.hits import Hit
from state.fulltext.relevance import Place, Ranking, rank_steadily, weights_steps
from state.fulltext.search import MOST_TERMS, Found, Search, search
from state.query.cursor import Cursor, decode
from state.query.model import LARGEST_PAGE, Query

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

RELEVANCE: Final = "relevance"
"""The sort of the threads that hold some of the terms."""
_FEW: Final = LARGEST_PAGE
"""If more threads hold all terms, no others follow."""
_BEFORE_ALL: Final = (2**62, "")
"""A place before all others."""


class SentenceHit(NamedTuple):
    """A thread that matches."""

    hit: Hit
    terms: frozenset[int]
    """Which of the terms it holds, or its best document, if not all."""
    cursor: str
    """Continues behind it."""


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
    """The page of hits that ``among`` asks for. Raises InvalidCursor if the cursor is not one of
    this search, EmptySearch for no terms, and InvalidQuery for too many."""
    wanted = Search(terms, among)
    first = replace(among, cursor=None)
    after = _place_behind(wanted)
    found = Found([]) if after else await search(index, wanted)
    loose = tuple(dict.fromkeys(each for term in terms for each in term.loosened))[:MOST_TERMS]
    every = frozenset(range(len(loose)))
    hits = [
        SentenceHit(hit, every, wanted.cursor(hit.row[f"{among.sort_key}_ms"], hit.row["id"]))
        for hit in found.hits
    ]
    complete, room = len(hits), among.limit - len(hits)
    unreadable, following, pending = found.unreadable, found.next_cursor, found.pending
    weights: list[int] | None = None
    if following is None:
        whole = replace(wanted, among=replace(first, limit=_FEW))
        known = await search(index, whole) if among.cursor else found
        if known.next_cursor is None:
            ids = (hit.row["id"] for hit in known.hits)
            others = replace(first, limit=max(room, 1), excluded_ids=(*among.excluded_ids, *ids))
            ranking = await _ranking(index, loose, others, after)
            ranked, weights = ranking.threads, ranking.weights
            cursor = _ranking_cursor(wanted)
            hits += [
                SentenceHit(each.hit, each.terms, cursor(each.place)) for each in ranked[:room]
            ]
            unreadable |= ranking.unreadable
            pending = max(pending, ranking.pending)
            if len(ranked) > room:
                following = hits[-1].cursor if room else cursor(_BEFORE_ALL)
    if weights is None:
        weights = await _weights(index, loose)
    return SentenceFound(hits, complete, loose, weights, following, pending, unreadable)


async def _ranking(
    index: "ThreadIndex", terms: tuple[Term, ...], among: Query, after: Place | None
) -> Ranking:
    if index.rank is not None:
        elsewhere: Ranking = await index.rank(terms, among, after)
        return elsewhere
    read = index.database.query_here
    work = partial(rank_steadily, index.home, read, terms, among, after)
    return await index.database.workers.run(work)


async def _weights(index: "ThreadIndex", terms: tuple[Term, ...]) -> list[int]:
    if index.rank is not None:
        elsewhere: Ranking = await index.rank(terms)
        return elsewhere.weights
    return await index.database.query(weights_steps(terms))


def _ranking_cursor(wanted: Search) -> Callable[[Place], str]:
    """Makes the cursor behind a place in the ranking."""
    return lambda place: Cursor(RELEVANCE, True, wanted.digest, *place).encode()


def _place_behind(wanted: Search) -> Place | None:
    """The place in the ranking that the cursor names; None if it is in the list, or there is none.
    Raises InvalidCursor if it is neither."""
    try:
        wanted.decoded_cursor()
    except InvalidCursor:
        at = decode(wanted.among.cursor or "", RELEVANCE, True, wanted.digest)
        return at.key_ms, at.thread_id
    return None
