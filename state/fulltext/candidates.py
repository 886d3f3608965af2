"""Which threads may match a search, by their trigrams, and in the order of a list."""

import math
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson

from rollout.search.terms import Term
from state.db.sql import AMONG, listed
from state.db.steps import Steps
from state.query.cursor import Cursor
from state.query.listing import Key, key_steps
from state.query.model import LARGEST_PAGE, Query

CHUNK: Final = 128
"""How many threads are read at once, at most."""
_FEW: Final = 1000
"""The threads of so many documents are looked up one by one; of more, the list is walked in its
order, unless all of it would have to be."""
_READ_US: Final = 60.0
_FETCH_US: Final = 0.3
"""What it costs to read a thread and to fetch a candidate, in microseconds (measured)."""
_HOLDING: Final = (  # one text: SQLite makes it faster than Python does rows
    "SELECT json_group_array(rowid) FROM (SELECT rowid FROM fulltext_trigrams"
    " WHERE fulltext_trigrams MATCH ? LIMIT ?)"
)
_DOCUMENTS: Final = "SELECT row_id, document_id FROM fulltext_documents WHERE row_id IN ({})"


class Candidates(NamedTuple):
    """Which threads may match."""

    holding: list[set[int]]
    """Of some terms the documents that may hold them: a thread has one of each of these."""
    rows: list[int] | None
    """The rows of these threads, if they are few, or all threads have to be looked at."""


class Held(NamedTuple):
    """The documents that may hold a term."""

    number: int
    """About how many."""
    match: str
    """See :func:`match_of`."""
    first: list[int]
    """All of them if they are few, else some."""

    @property
    def few(self) -> bool:
        """Whether :attr:`first` is all of them."""
        return len(self.first) <= _FEW

    def steps(self) -> Steps[list[int]]:
        """All of them."""
        if self.few:
            return self.first
        return orjson.loads((yield (_HOLDING, [self.match, -1]))[0][0])  # type: ignore[no-any-return]


def held_steps(terms: Sequence[Term]) -> Steps[tuple[int, list[Held | None]]]:
    """How many documents there are, and which of them hold each term; None for a term that is too
    short to tell."""
    documents = (yield ("SELECT max(document_id) FROM fulltext_documents", []))[0][0] or 1
    found: list[Held | None] = []
    for match in map(match_of, terms):
        if not match:
            found.append(None)
            continue
        first = orjson.loads((yield (_HOLDING, [match, _FEW + 1]))[0][0])
        # Of more, those seen tell about how many there are.
        count = len(first) if len(first) <= _FEW else len(first) * documents // first[-1]
        found.append(Held(count, match, first))
    return documents, found


def candidate_steps(terms: Sequence[Term], most: int) -> Steps[Candidates]:
    """The threads that may hold all terms, of which ``most`` are wanted; terms that nearly all of
    them have leave none out."""
    documents, every = yield from held_steps(terms)
    counted = sorted(filter(None, every))
    # How many threads of the walked ones match, if the terms are independent of each other.
    # In whole numbers: the share of many terms is too small for others.
    matching = math.prod(max(each.number, 1) for each in counted)
    among = documents ** len(counted)
    walks_all = most * among >= documents * matching
    found: list[set[int]] = []
    left, both = float(documents), set[int]()
    for each in counted:
        # So many threads are left, if the terms are independent of each other, or these documents.
        walked = min(most * among // matching, max(int(left), len(both)))
        left *= each.number / documents
        matching //= max(each.number, 1)
        among //= documents
        if not each.few and each.number * _FETCH_US > walked * _READ_US:
            break
        found.append({*(yield from each.steps())})
        both = both & found[-1] if len(found) > 1 else found[-1]
    if not found or (len(found[0]) > _FEW and not walks_all):
        return Candidates(found, None)
    those = f"SELECT row_id FROM fulltext_documents WHERE document_id {AMONG}"
    pairs = yield (_DOCUMENTS.format(those), [listed(found[0])])
    return Candidates(found, [*_fitting(pairs, found)])


def _fitting(documents: Sequence[Any], holding: Sequence[set[int]]) -> set[int]:
    """The rows of threads that hold all, from all their documents, (row, document)."""
    return set.intersection(
        *({row_id for row_id, document_id in documents if document_id in each} for each in holding)
    )


def match_of(term: Term) -> str:
    """An FTS5 expression that matches wherever a term occurs; empty if there is none."""
    pieces = (piece.replace('"', '""') for piece in term.trigrams())
    return " AND ".join(f'"{piece}"' for piece in pieces)


class KeysetWalk:
    """Walks the threads that may match in the order of the list."""

    def __init__(
        self,
        query: Query,
        place: Cursor | None,
        candidates: Candidates,
        pending: Collection[int],
    ) -> None:
        """``pending`` are rows of threads that may match as well."""
        self._query = query
        self._place = place
        self._holding, rows = candidates
        self._few = None if rows is None else [*{*rows, *pending}]
        self._pending = pending
        self._ahead: list[Key] = []
        self._done = False

    def more(self, count: int) -> Steps[list[Key]]:
        """The next few; none at the end."""
        while not self._ahead and not self._done:
            size = max(LARGEST_PAGE, count) if self._few is None else len(self._few)
            keys = yield from key_steps(self._query, self._place, size, self._few)
            self._done = self._few is not None or len(keys) < size
            if keys:
                query, last = self._query, keys[-1]
                self._place = Cursor(query.sort_key, query.descending, "", *last[:2])
            if keys and self._holding and self._few is None:
                given = listed(row_id for _, _, row_id in keys)
                documents = yield (_DOCUMENTS.format("SELECT value FROM json_each(?)"), [given])
                fitting = _fitting(documents, self._holding).union(self._pending)
                keys = [key for key in keys if key[2] in fitting]
            self._ahead = keys
        size = min(CHUNK, count + 2)
        chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        return chunk
