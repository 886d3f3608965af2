"""The threads that hold some of many terms, the best first.

A term counts by how few documents hold it, so that *the* and *with* hardly count, in any language.
A thread counts by its best document, some 8 KB of its messages: a long thread holds most words
somewhere. As in :mod:`state.fulltext.search`, trigrams give candidates, and the messages, which are
read from the files, decide.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from rollout.errors import RolloutError
from rollout.files.scan import stat_file
from rollout.search.documents import locations_of
from rollout.search.messages import Location, Message, read_messages
from rollout.search.normalize import casefold
from rollout.search.terms import Matcher, Term
from state.db.sql import AMONG, listed
from state.db.steps import MalformedRow, Steps
from state.fulltext.candidates import Held, held_steps
from state.fulltext.hits import Hit, note_unread
from state.query.listing import Key, key_steps
from state.query.model import Query
from state.query.rows import rows_steps

MOST_READ: Final = 60
"""The messages of so many threads are read; what comes behind them is not told."""
READ_AT_ONCE: Final = 20
"""Then it is looked whether the others can be better."""
MOST_HELD: Final = 30_000
"""When so many documents were looked at for the rarer terms, the others count only in what is
read."""
_UNIT: Final = 16
"""What a term counts that half of the documents hold."""
LOOKED_UP: Final = (1_000, 8_000)
"""So many documents are looked up first, the best ones, until enough are of threads in the list."""
_POOR: Final = 4
"""A thread of which the best one ranks so many times as high is left out."""
_GOOD: Final = 5
"""So many threads that rank at least half as high again are enough without it, too."""
Place = tuple[int, str]
"""A rank, and the id of the thread; ids begin with the time when the thread began."""


class Ranked(NamedTuple):
    """A thread that holds some of the terms."""

    hit: Hit
    """With its best message, unless it is its name that holds the terms."""
    place: Place
    terms: frozenset[int]
    """Which of them are in its best document."""


class _Scores(NamedTuple):
    weights: list[int]
    """What each term counts."""
    documents: list[tuple[int, int]]
    """Those that may hold some of the terms, each with its score, the best first."""
    others: int
    """What the terms count together that no score has."""


class _Candidate(NamedTuple):
    score: int
    """If it holds all that its trigrams tell of."""
    key: Key
    document: int


class _Document(NamedTuple):
    files: tuple[str, ...]
    header: list[str]
    """The name, title and preview of the thread, unless they are in a message."""
    locations: list[Location]
    """Of its messages; the document of the header has none."""


class RankedMatch(NamedTuple):
    """A thread whose best document was read."""

    place: Place
    row_id: int
    header: list[str]
    messages: list[Message]
    terms: frozenset[int]


def weights_steps(terms: Sequence[Term]) -> Steps[list[int]]:
    """What each of some terms counts."""
    count, every = yield from held_steps(terms)
    return weights_of(count, _counts(every))


def weights_of(documents: int, counts: Sequence[int]) -> list[int]:
    """What terms count that so many of all documents hold: the more, the fewer these are; nothing
    if none does."""
    shares = [(max(documents - count, 0) + 0.5) / (count + 0.5) for count in counts]
    return [
        round(_UNIT * math.log2(1 + share)) if count else 0
        for count, share in zip(counts, shares, strict=True)
    ]


def _counts(every: Sequence[Held | None]) -> list[int]:
    return [0 if each is None else each.number for each in every]


class Ranking(NamedTuple):
    """Threads that hold some of the terms."""

    threads: list[Ranked]
    """The best first; one more than was asked for if there are more."""
    weights: list[int]
    """What each of the terms counts."""
    unreadable: set[str]
    """Files that could not be read."""
    pending: int
    """Threads that were not searched, because they are not indexed yet."""


def rank_steadily(
    home: Path,
    read: Callable[[Steps[Any]], Any],
    terms: Sequence[Term],
    among: Query,
    after: Place | None = None,
) -> Ranking:
    """The threads of a list that hold some of the terms, those behind a place, by the index as it
    is: without those that have so little of them that they are in the way."""
    pending, scores = read(_score_steps(terms))
    candidates: list[_Candidate] = read(_candidate_steps(scores.documents, among))
    matcher, unreadable = Matcher(terms), set[str]()
    best = Shortlist(among.limit + 1, after)
    for start in range(0, len(candidates), READ_AT_ONCE):
        some = candidates[start : start + READ_AT_ONCE]
        if best.is_settled(some[0].score + scores.others):
            break
        documents = read(_document_steps([each.document for each in some]))
        matches = []
        for candidate in some:
            document = documents.get(candidate.document)
            if document is None or stat_file(home, document.files[-1]) is None:
                continue
            try:
                matches.append(_matched(home, candidate.key, document, matcher, scores.weights))
            except (RolloutError, OSError) as error:
                note_unread(document.files[-1], error, unreadable)
        best.add(matches)
    found = best.found
    rows = read(rows_steps([match.row_id for match in found], "row_id"))
    threads = [
        Ranked(Hit(row, match.header, match.messages, 1), match.place, match.terms)
        for match in found
        if (row := rows.get(match.place[1]))
    ]
    return Ranking(threads, scores.weights, unreadable, pending)


class Shortlist:
    """The best of the threads whose documents were read."""

    def __init__(self, most: int, after: Place | None) -> None:
        """So many of those behind a place are wanted."""
        self._most, self._after = most, after
        self._found: list[RankedMatch] = []
        self._best: list[int] = []
        self._poor = 0
        """How high a thread ranks at least that is told, by the ranks of the best."""

    def is_settled(self, score: int) -> bool:
        """Whether documents with no higher score, or rather their threads, change nothing."""
        highest, found, most = 2 * score, self._found, self._most
        full = len(found) >= most and found[most - 1].place[0] > highest
        return highest < self._poor or full

    def add(self, matches: Iterable[RankedMatch]) -> None:
        """Take in what was read."""
        for match in matches:
            if match.terms:
                self._best.append(match.place[0])
                if self._after is None or match.place < self._after:
                    self._found.append(match)
        self._best = best = sorted(self._best, reverse=True)[:_GOOD]
        enough = -(-best[_GOOD - 1] * 2 // 3) if len(best) == _GOOD else 0
        self._poor = max(-(-best[0] // _POOR) if best else 0, enough)
        self._found.sort(key=attrgetter("place"), reverse=True)

    @property
    def found(self) -> list[RankedMatch]:
        """The best first."""
        return [match for match in self._found[: self._most] if match.place[0] >= self._poor]


def _score_steps(terms: Sequence[Term]) -> Steps[tuple[int, _Scores]]:
    """How many threads are not indexed yet, and what those documents count that are."""
    pending = yield ("SELECT count(*) FROM fulltext_pending", [])
    count, every = yield from held_steps(terms)
    weights = weights_of(count, _counts(every))
    scores: dict[int, int] = {}
    counted = others = 0
    known = [(each, own) for each, own in zip(every, weights, strict=True) if each and each.number]
    for each, own in sorted(known):
        # Of many documents, most of which hold a term, it leaves hardly any out.
        most = 2 * each.number > count or counted + each.number > MOST_HELD
        if scores and most and not each.few:
            others += own
            continue
        counted += each.number
        for document in (yield from each.steps()):
            scores[document] = scores.get(document, 0) + own
    best = sorted(scores.items(), key=itemgetter(1), reverse=True)
    return int(pending[0][0]), _Scores(weights, best, others)


def _candidate_steps(documents: Sequence[tuple[int, int]], among: Query) -> Steps[list[_Candidate]]:
    """The threads of a list that have the best of some documents, each with its best one."""
    found: list[_Candidate] = []
    seen: set[int] = set()
    begin = 0
    for end in (*LOOKED_UP, len(documents)):
        some, begin = dict(documents[begin:end]), end
        rows = yield (
            f"SELECT document_id, row_id FROM fulltext_documents WHERE document_id {AMONG}",
            [listed(some)],
        )
        row_of = dict(rows)
        best: dict[int, int] = {}
        for document in some:
            if (row_id := row_of.get(document)) is not None and row_id not in seen:
                best.setdefault(row_id, document)
        seen.update(best)
        keys = yield from key_steps(among, None, len(best), [*best])
        found += [_Candidate(some[best[key[2]]], key, best[key[2]]) for key in keys]
        if len(found) >= MOST_READ or end >= len(documents):
            break
    found.sort(reverse=True)
    return found[:MOST_READ]


def _document_steps(documents: Collection[int]) -> Steps[dict[int, _Document]]:
    rows = yield (
        "SELECT d.document_id, t.files, t.header, d.locations, d.item_ids"
        " FROM fulltext_documents d JOIN fulltext_threads t USING (row_id)"
        f" WHERE d.document_id {AMONG}",
        [listed(documents)],
    )
    try:
        found = {
            number: _Document(
                tuple(orjson.loads(files)),
                header.split("\0") if header else [],
                locations_of(locations, ids),
            )
            for number, files, header, locations, ids in rows
        }
    except (ValueError, TypeError, AttributeError):
        raise MalformedRow("a row of the full-text index") from None
    if any(at.file >= len(each.files) for each in found.values() for at in each.locations):
        raise MalformedRow("a row of fulltext_documents")
    return found


def _matched(
    home: Path, key: Key, document: _Document, matcher: Matcher, weights: Sequence[int]
) -> RankedMatch:
    """What a document holds. Raises RolloutError or OSError if a file cannot be read."""
    places = document.locations
    messages = read_messages(home, document.files, places, matcher.may_be_in)
    return matched(key, [] if places else document.header, messages, matcher, weights)


def matched(
    key: Key,
    header: Sequence[str],
    said: Iterable[Message],
    matcher: Matcher,
    weights: Sequence[int],
) -> RankedMatch:
    """What the header and the messages of a document hold. Where the terms are in one of them, they
    count twice."""

    def score(terms: Iterable[int]) -> int:
        return sum(weights[term] for term in terms)

    held: set[int] = set()
    best, messages = 0, list[Message]()
    for part in header:
        held |= (seen := matcher.found_in(casefold(part)))
        best = max(best, score(seen))
    for message in said:
        held |= (seen := matcher.found_in(casefold(message.text)))
        if (own := score(seen)) > best:
            best, messages = own, [message]
    place = score(held) + best, key[1]
    return RankedMatch(place, key[2], [*header], messages, frozenset(held))
