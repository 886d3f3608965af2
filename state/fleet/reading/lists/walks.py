"""How PostgreSQL finds the first threads of a list: those that a filter leaves, sorted, where they
are few; else by walking what an index has in the order of the list, behind a place."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from state.db.steps import Steps
from state.fleet.reading.dialect import BY_VALUES
from state.fleet.reading.lists.filters import (
    FACETS,
    MOST_SORTED,
    Filter,
    Plan,
    of_row,
    other_filters,
)
from state.query.listing import Key, Place, all_of, order_by, row_filter
from state.query.model import Query

_MOST_BRANCHES: Final = 100
"""So many places of an index are read at once for one list ..."""
_MOST_MERGED: Final = 24
"""... and so many thread by thread, which takes as long to plan as ten threads of each."""


def few_keys(
    query: Query,
    plan: Plan,
    facets: Sequence[str],
    place: Place | None,
    count: int,
    is_sure: bool = True,
) -> Steps[list[Key] | None]:
    """The first keys of what the first filter of a plan leaves, sorted; None if it is not
    sure that these are few, and they are many."""
    conditions, values = plan.conditions()
    where, parameters = row_filter(other_filters(query), [], place)
    # Facets are looked for in an index of values, one by one, unless these are many; no other index
    # is to be read by them.
    of = plan.first.branches if plan.first else None
    facet = FACETS if of and len(of) <= _MOST_BRANCHES else of_row(FACETS)
    # What has no order, PostgreSQL does not look for in the order of the list.
    limit = "" if is_sure else f" LIMIT {MOST_SORTED + 1}"
    chosen = all_of([facet, *conditions, *where])
    found = yield (
        f"{BY_VALUES}WITH few AS MATERIALIZED"
        f" (SELECT {query.sort_key}_ms AS k, id, row_id FROM threads WHERE {chosen}{limit})"
        f" SELECT k, id, row_id, (SELECT count(*) FROM few) FROM few"
        f" {order_by(query, 'k')} LIMIT {count}",
        [json.dumps(facets), *values, *parameters],
    )
    if not is_sure and found and found[0][3] > MOST_SORTED:
        return None
    return [(key, id_, row_id) for key, id_, row_id, _ in found]


def marked_keys(
    query: Query,
    mark: Filter,
    others: Sequence[Filter],
    facets: Sequence[str],
    place: Place | None,
    count: int,
) -> Steps[list[Key]]:
    """The first keys of the threads with a mark, from the index on user data: in the usual order as
    it has them, in another one sorted."""
    key = f"{query.sort_key}_ms"
    times = Query(
        sort_key=query.sort_key,
        descending=query.descending,
        since_ms=query.since_ms,
        until_ms=query.until_ms,
    )
    left = replace(other_filters(query), since_ms=None, until_ms=None)
    span, moments = row_filter(times, [], place)
    where, values = row_filter(left, [], None)
    where += (each.row for each in others)
    values += (value for each in others for value in each.parameters)
    # Rows of threads are looked up in the order of the list, and no further than the page goes.
    fence = "" if query.sort_key == "recency_at" else f" {order_by(query, key)} OFFSET 0"
    marked = (
        f"SELECT {key}, id, machine_id FROM (SELECT *, thread_id AS id FROM copied_data"
        f" WHERE {mark.marks}) m WHERE {all_of([FACETS, *span])}{fence}"
    )
    rest = all_of(["id = d.id", "machine_id = d.machine_id", *where])
    return (
        yield (
            f"SELECT d.{key}, d.id, t.row_id FROM ({marked}) d CROSS JOIN LATERAL"
            f" (SELECT row_id FROM threads WHERE {rest}) t"
            f" {order_by(query, f'd.{key}', 'd.id')} LIMIT {count}",
            [*mark.parameters, json.dumps(facets), *moments, *values],
        )
    )


def is_served(query: Query, each: Filter, facets: int) -> bool:
    """Whether an index has the threads of each value and facet in the order of the list, and these
    are few enough to be merged."""
    few = each.branches is not None and len(each.branches) * facets <= _MOST_BRANCHES
    return few and query.sort_key == "recency_at"


def walked_keys(
    query: Query,
    served: Filter | None,
    others: Sequence[Filter],
    facets: Sequence[str],
    place: Place | None,
    count: int,
) -> Steps[list[Key]]:
    """The merge of the first keys of all facets, and values of ``served``."""
    where, parameters = row_filter(other_filters(query), [], place)
    is_filtered = len(where) > (place is not None) or bool(others)
    where += (each.row for each in others)
    parameters += (value for each in others for value in each.parameters)
    # Only of values that it knows does PostgreSQL make a table to look into, for each row.
    plans = BY_VALUES if any(len(each.branches or ()) > _MOST_BRANCHES for each in others) else ""
    values: Sequence[str | int] = [""] if served is None else served.branches or []
    chosen = ["facet = f.value", *([] if served is None else [served.branch])]
    first = (
        f"SELECT {query.sort_key}_ms AS k, id, row_id FROM threads WHERE"
        f" {all_of([*chosen, *where])} {order_by(query, f'{query.sort_key}_ms')} LIMIT {count}"
    )
    if is_filtered and len(facets) * len(values) <= _MOST_MERGED:
        # Of each no more is read than is needed: threads that are looked at in vain cost most.
        first = first.replace("f.value", "?").replace("v.value", "?")
        branches = [
            [facet, *([] if served is None else [str(v)])] for facet in facets for v in values
        ]
        union = " UNION ALL ".join([f"({first})"] * len(branches))
        return (
            yield (
                f"{plans}SELECT k, id, row_id FROM ({union}) w"
                f" {order_by(query, 'k')} LIMIT {count}",
                [each for some in branches for each in (*some, *parameters)],
            )
        )
    merged, of = "json_each(?) f", [json.dumps(facets)]
    if served is not None:
        merged, of = f"{merged} CROSS JOIN json_each(?) v", [*of, json.dumps([*map(str, values)])]
    return (
        yield (
            f"{plans}SELECT w.k, w.id, w.row_id FROM {merged} CROSS JOIN LATERAL ({first}) w"
            f" {order_by(query, 'w.k', 'w.id')} LIMIT {count}",
            [*of, *parameters],
        )
    )
