"""The threads of a fleet that hold some of many terms, the best first: see
:mod:`state.fulltext.relevance`, by whose rules this goes.

How many documents hold a term is estimated for those that many of the newest threads have:
counting them takes longer than all else.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from rollout.search.terms import Matcher, Term
from state.db.steps import Steps
from state.fleet.reading.fulltext.lookup import (
    Place,
    counts_steps,
    documents_steps,
    matches_steps,
    scores_steps,
)
from state.fleet.reading.fulltext.search import parts_of
from state.fleet.reading.lists.pages import key_steps, rows_steps
from state.fleet.server.documents import BadDocument, decoded, spelled
from state.fulltext import relevance
from state.fulltext.hits import Hit
from state.fulltext.relevance import Ranked, RankedMatch, Ranking, Shortlist, matched, weights_of
from state.query.listing import Key
from state.query.model import Query

if TYPE_CHECKING:
    from state.fleet.reading.index import FleetIndex

_SAMPLE: Final = 128
_COMMON: Final = 0.2
_MOST_COUNTED: Final = 20_000
"""More documents of a term are estimated, too."""


class _Weighed(NamedTuple):
    """What there is to know of terms before any is looked up."""

    patterns: list[str]
    weights: list[int]
    counts: list[int]
    """About how many documents hold each."""
    documents: int


class _Candidate(NamedTuple):
    score: int
    key: Key
    place: Place


async def rank(
    index: "FleetIndex",
    terms: tuple[Term, ...],
    among: Query | None = None,
    after: relevance.Place | None = None,
) -> Ranking:
    """As :func:`state.fulltext.relevance.rank_steadily`; without ``among``, what the terms count
    alone."""
    among = among and index.seen(among)
    scope = await index.scope(among or Query())
    return await index.database.again(partial(_rank_steps, terms, among, after), scope)


def _rank_steps(
    terms: Sequence[Term], among: Query | None, after: relevance.Place | None
) -> Steps[Ranking]:
    weighed = yield from _weighed_steps(terms)
    if among is None:
        return Ranking([], weighed.weights, set(), 0)
    candidates, others = yield from _candidate_steps(weighed, among)
    matcher, unreadable = Matcher(terms), set[str]()
    best = Shortlist(among.limit + 1, after)
    for start in range(0, len(candidates), relevance.READ_AT_ONCE):
        some = candidates[start : start + relevance.READ_AT_ONCE]
        if best.is_settled(some[0].score + others):
            break
        stored = yield from documents_steps([each.place for each in some])
        matches: list[RankedMatch] = []
        for each in some:
            try:
                said = decoded(stored.get(each.place, b"[]"))
            except BadDocument:
                unreadable.add(each.key[1])
            else:
                matches.append(matched(each.key, *parts_of(said), matcher, weighed.weights))
        best.add(matches)
    rows = yield from rows_steps([match.place[1] for match in best.found])
    threads = [
        Ranked(Hit(row, match.header, match.messages, 1), match.place, match.terms)
        for match in best.found
        if (row := rows.get(match.place[1]))
    ]
    return Ranking(threads, weighed.weights, unreadable, 0)


def _weighed_steps(terms: Sequence[Term]) -> Steps[_Weighed]:
    patterns = [spelled(term.normalized) for term in terms]
    newest = Query(all_sources=True, sort_key="recency_at")
    keys = yield from key_steps(newest, None, _SAMPLE)
    holding: list[set[int]] = [set() for _ in terms]
    for place, held in (yield from matches_steps([key[2] for key in keys], patterns)):
        for number, rows in enumerate(holding):
            if held >> number & 1:
                rows.add(place.row_id)
    shares = [len(rows) / max(len(keys), 1) for rows in holding]
    rare = [number for number, share in enumerate(shares) if share <= _COMMON]
    documents, found = yield from counts_steps([patterns[each] for each in rare], _MOST_COUNTED)
    counts = [round(share * documents) for share in shares]
    for number, count in zip(rare, found, strict=True):
        counts[number] = max(count, counts[number]) if count == _MOST_COUNTED else count
    return _Weighed(patterns, weights_of(documents, counts), counts, documents)


def _candidate_steps(weighed: _Weighed, among: Query) -> Steps[tuple[list[_Candidate], int]]:
    """The threads of a list that have the best documents, each with its best one; and what the
    terms count together by which none was looked up."""
    numbers = sorted(range(len(weighed.counts)), key=lambda number: weighed.counts[number])
    chosen: list[int] = []
    counted = others = 0
    for number in numbers:
        count = weighed.counts[number]
        if chosen and (2 * count > weighed.documents or counted + count > relevance.MOST_HELD):
            others += weighed.weights[number]
        elif count:
            counted += count
            chosen.append(number)
    scored = yield from scores_steps(
        [weighed.patterns[number] for number in chosen],
        [weighed.weights[number] for number in chosen],
        relevance.LOOKED_UP[-1],
    )
    best: dict[int, tuple[Place, int]] = {}
    for place, score in scored:
        best.setdefault(place.row_id, (place, score))
    keys = yield from key_steps(among, None, len(best), [*best])
    found = [_Candidate(best[key[2]][1], key, best[key[2]][0]) for key in keys]
    return sorted(found, reverse=True)[: relevance.MOST_READ], others
