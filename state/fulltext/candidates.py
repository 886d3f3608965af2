"""Which threads may match a search, by their trigrams, and in the order of a list."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from rollout.search.terms import Term
from state.db.steps import Steps
from state.query.cursor import Cursor
from state.query.listing import key_steps
from state.query.model import LARGEST_PAGE, Query

CHUNK: Final = 32
"""How many threads are read at once, at most."""
_FEW: Final = 500
"""So many rows are looked up one by one; of more, the list is walked in its order."""
_READ_US: Final = 100.0
_FETCH_US: Final = 1.5
"""What it costs to read a thread and to fetch a candidate, in microseconds (measured)."""
_USUAL_HITS: Final = 25


class ThreadKey(NamedTuple):
    """A thread in a list."""

    sort_key: int
    id: str
    row_id: int


def candidate_steps(terms: Sequence[Term]) -> Steps[set[int] | None]:
    """The rows of threads that may hold all terms; None if that may be almost any."""
    documents = (yield ("SELECT max(document_id) FROM fulltext_documents", []))[0][0] or 0
    rows: set[int] | None = None
    counted: list[tuple[int, str]] = []
    for term in terms:
        match = match_of(term)
        if match:
            answer = yield (
                "SELECT count(*) FROM fulltext_trigrams WHERE fulltext_trigrams MATCH ?",
                [match],
            )
            counted.append((answer[0][0], match))
    # How many threads of the walked ones match, if the terms are independent of each other.
    # In whole numbers: the share of many terms is too small for others.
    matching = math.prod(max(count, 1) for count, _ in counted)
    among = max(documents, 1) ** len(counted)
    for count, match in sorted(counted):
        walked = min(_USUAL_HITS * among // matching, documents if rows is None else len(rows))
        if count * _FETCH_US > walked * _READ_US:
            break
        matching //= max(count, 1)
        among //= max(documents, 1)
        holding = yield (
            "SELECT row_id FROM fulltext_documents WHERE document_id IN"
            " (SELECT rowid FROM fulltext_trigrams WHERE fulltext_trigrams MATCH ?)",
            [match],
        )
        held = {row_id for (row_id,) in holding}
        rows = held if rows is None else rows & held
    return rows


def match_of(term: Term) -> str:
    """An FTS5 expression that matches wherever a term occurs; empty if there is none."""
    pieces = (piece.replace('"', '""') for piece in term.trigrams())
    return " AND ".join(f'"{piece}"' for piece in pieces)


class KeysetWalk:
    """Walks the threads that may match in the order of the list."""

    def __init__(self, query: Query, place: Cursor | None, rows: set[int] | None) -> None:
        self._query = query
        self._place = place
        self._rows = rows
        self._few = sorted(rows) if rows is not None and len(rows) <= _FEW else None
        self._ahead: list[ThreadKey] = []
        self._done = False

    def more(self, count: int) -> Steps[list[ThreadKey]]:
        """The next few; none at the end."""
        while not self._ahead and not self._done:
            size = _FEW if self._few is not None else LARGEST_PAGE
            keys = yield from key_steps(self._query, self._place, size, self._few)
            self._done = len(keys) < size
            if not keys:
                break
            key_ms, id_ = keys[-1]
            query = self._query
            self._place = Cursor(query.sort_key, query.descending, "", key_ms, id_)
            ids = orjson.dumps([id_ for _, id_ in keys]).decode()
            found = yield (
                "SELECT id, row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))",
                [ids],
            )
            row_ids = dict(found)
            self._ahead = [
                ThreadKey(key, id_, row_ids[id_])
                for key, id_ in keys
                if id_ in row_ids and (self._rows is None or row_ids[id_] in self._rows)
            ]
        size = min(CHUNK, count + 2)
        chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        return chunk
