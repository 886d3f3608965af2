"""Threads of which a fleet has no messages, as their machines push at level *metadata*: they are
found by name, title and preview."""

import json
from collections.abc import Sequence
from typing import Final

from rollout.search.documents import header_of
from rollout.search.terms import Term
from state.db.steps import Steps
from state.fleet.reading.dialect import Native
from state.fleet.reading.fulltext.lookup import titled_rows_steps
from state.fleet.server.schema import METADATA
from state.query.choices import choice_steps, facets_steps
from state.query.listing import all_of, begin_of, children_of, row_filter
from state.query.model import MOST_COUNTED, Query

_MACHINES: Final = Native(f"SELECT machine_id FROM machines WHERE level = '{METADATA}'")
_HEADERS: Final = (
    "SELECT row_id, name, title, preview, fallback_preview FROM threads"
    f" WHERE row_id IN (SELECT value FROM json_each(?)) AND level = '{METADATA}'"
)


def headers_steps(row_ids: Sequence[int], terms: Sequence[Term]) -> Steps[dict[int, list[str]]]:
    """The names, titles and previews of those of some threads that hold all terms in them, as far
    as their letters tell, and of which there are no messages."""
    if not row_ids:
        return {}
    pieces = _pieces(terms)
    holding = " AND instr(search_text, ?) > 0" * len(pieces)
    rows = yield _HEADERS + holding, [json.dumps([*row_ids]), *pieces]
    return {
        row_id: header_of(name, title, preview or fallback).split("\0")
        for row_id, name, title, preview, fallback in rows
    }


def with_headers_steps(rows: list[int], terms: Sequence[Term]) -> Steps[list[int] | None]:
    """Rows, and those of the threads whose headers may hold all terms; None if these are too many,
    or the terms are too short to tell and there are threads without messages."""
    titled = yield from titled_rows_steps(_pieces(terms))
    if titled is not None:
        return [*dict.fromkeys([*rows, *titled])]
    return None if (yield _MACHINES, []) else rows


def unsaid_steps(query: Query) -> Steps[int]:
    """How many threads of a list have no messages in the fleet, counted up to one more than
    :data:`state.query.model.MOST_COUNTED`."""
    machines = [machine_id for (machine_id,) in (yield _MACHINES, [])]
    facets = yield from facets_steps(query)
    choices = yield from choice_steps(query)
    if not (machines and facets) or any(choice.values == [] for choice in choices):
        return 0
    where, parameters = row_filter(query, choices, begin_of(query), "+")
    if query.parent_id or query.ancestor_id:
        children, values = children_of(query)
        where.append(f"id IN ({children})")
        parameters += values
    among = "IN (SELECT value FROM json_each(?))"
    conditions = [f"facet {among}", f"machine_id {among}", f"level = '{METADATA}'", *where]
    limited = f"SELECT 1 FROM threads WHERE {all_of(conditions)} LIMIT ?"
    given = [json.dumps(facets), json.dumps(machines), *parameters, MOST_COUNTED + 1]
    return int((yield (f"SELECT count(*) FROM ({limited}) c", given))[0][0])


def _pieces(terms: Sequence[Term]) -> list[str]:
    return [*dict.fromkeys(piece for term in terms for piece in term.pieces)]
