"""What PostgreSQL finds by trigrams, of the tenant of the login, and of the machine that is named.

Its functions look past row security, as no index on trigrams serves below it: the row ids that they
give are read again as far as the reader may see them.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from state.db.derived_columns import searchable
from state.db.steps import Steps
from state.fleet.reading.dialect import Binary, Native, text
from state.query.model import Query

MOST_ROWS: Final = 30_000
"""So many threads that may match are put in order. What more have is walked to in as short a
time."""
_MOST_TITLES: Final = 2_000
"""Titles are compared in the walk itself."""
_SHORTEST: Final = 3
_OWN: Final = (
    "threadkeep.my_tenant(), nullif(current_setting('threadkeep.machine_id', true), '')::integer"
)
_TEXT_ROWS: Final = Native(f"SELECT threadkeep.text_rows({_OWN}, %s, %s)")
_TITLE_ROWS: Final = Native(f"SELECT threadkeep.title_rows({_OWN}, %s, %s)")
_MATCHES: Final = Native(
    'SELECT row_id, month::text, "position", held'
    " FROM threadkeep.text_matches(threadkeep.my_tenant(), %s, %s)"
)
_COUNTS: Final = Native(f"SELECT documents, holding FROM threadkeep.text_counts({_OWN}, %s, %s)")
_SCORES: Final = Native(
    'SELECT row_id, month::text, "position", score'
    f" FROM threadkeep.text_scores({_OWN}, %s, %s::integer[], %s)"
)
_DOCUMENTS: Final = Binary(
    'SELECT w.row_id, w.month::text, w."position", d.messages'
    ' FROM unnest(%s::bigint[], %s::date[], %s::integer[]) AS w (row_id, month, "position")'
    " CROSS JOIN LATERAL (SELECT messages FROM documents WHERE row_id = w.row_id"
    ' AND month = w.month AND "position" = w."position" OFFSET 0) d'
)
"""Joined one by one, whatever PostgreSQL expects of tables that nobody has analyzed yet."""


class Place(NamedTuple):
    """Where a document is."""

    row_id: int
    month: str
    """As PostgreSQL writes it: a machine may have written one that Python has no date for."""
    position: int


def text_rows_steps(patterns: Sequence[str]) -> Steps[list[int] | None]:
    """The rows of the threads that may hold all patterns, of which the rarest comes first; None if
    there are more than :data:`MOST_ROWS`, or the patterns are too short to tell."""
    rows: list[int] | None = (yield (_TEXT_ROWS, [[*patterns], MOST_ROWS]))[0][0]
    return rows


def matches_steps(
    row_ids: Sequence[int], patterns: Sequence[str]
) -> Steps[list[tuple[Place, int]]]:
    """The documents of some threads that hold some patterns, each with a bit for each pattern."""
    rows = yield _MATCHES, [[*row_ids], [*patterns]]
    return [(Place(*place), held) for *place, held in rows]


def counts_steps(patterns: Sequence[str], most: int) -> Steps[tuple[int, list[int]]]:
    """How many documents there are, up to five times ``most``, and how many may hold each pattern,
    up to ``most``; none of a pattern that is too short to tell."""
    documents, holding = (yield (_COUNTS, [[*patterns], most]))[0]
    return documents, holding or []


def scores_steps(
    patterns: Sequence[str], weights: Sequence[int], most: int
) -> Steps[list[tuple[Place, int]]]:
    """The documents with the highest sums of the weights of the patterns that they may hold."""
    rows = yield _SCORES, [[*patterns], [*weights], most]
    return [(Place(*place), score) for *place, score in rows]


def documents_steps(places: Sequence[Place]) -> Steps[dict[Place, bytes]]:
    """The messages of documents, as they are stored."""
    if not places:
        return {}
    row_ids, months, positions = map(list, zip(*places, strict=True))
    rows = yield _DOCUMENTS, [row_ids, months, positions]
    return {Place(*place): bytes(data) for *place, data in rows}


def title_rows_steps(query: Query) -> Steps[list[int] | None]:
    """The rows of the threads whose titles may hold what ``query`` searches for; None if there are
    many, or it searches for nothing that an index has."""
    return (yield from titled_rows_steps([searchable(term) for term in query.terms]))


def titled_rows_steps(searched: Sequence[str]) -> Steps[list[int] | None]:
    """The same for texts without case and accents."""
    terms = [text(term) for term in searched if len(term) >= _SHORTEST]
    if not terms:
        return None
    rows: list[int] | None = (yield (_TITLE_ROWS, [terms, _MOST_TITLES]))[0][0]
    return rows
