"""Lists of a fleet: pages that cost the same among a million threads, and counts that end.

What a list holds and in which order is said once, in :mod:`state.query.listing`; here is how
PostgreSQL finds it. Where filters leave few threads, these are looked up and sorted. Where they
leave many, the list is walked in its order: each facet has an index in that order, and a page is
the merge of the first threads of each, behind a place. What is *few* is counted, and no further
than that.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from state.db.derived_columns import Facet
from state.db.steps import Steps, different_steps
from state.errors import ThreadNotFound
from state.fleet.reading.fulltext.lookup import title_rows_steps
from state.fleet.reading.lists.filters import (
    COUNTS_S,
    FACETS,
    MOST_SORTED,
    Filter,
    Known,
    Plan,
    filter_steps,
    key_of,
    of_rows,
    other_filters,
    plan_steps,
)
from state.fleet.reading.lists.walks import few_keys, is_served, marked_keys, walked_keys
from state.fleet.server.schema import THREADS
from state.query.choices import Reason, facets_steps, reason_of
from state.query.cursor import Cursor
from state.query.listing import (
    Key,
    Place,
    all_of,
    begin_of,
    counted,
    lineage_keys,
    page_of,
    row_filter,
)
from state.query.listing import count_steps as exact_count_steps
from state.query.marks import NO_MARKS, marks_steps
from state.query.model import MOST_COUNTED, Counted, Page, Query
from state.query.rows import COLUMNS, Row

_OF_OWN: Final = "FILTER (WHERE c.machine_id = threads.machine_id)"
_COPIES: Final = (
    f"SELECT min(m.name) {_OF_OWN} AS machine, min(m.user_name) {_OF_OWN} AS owner,"
    " array_agg(m.name ORDER BY c.updated_at_ms DESC, c.size_bytes DESC, c.machine_id DESC)"
    " AS machines FROM copies c JOIN machines m ON m.machine_id = c.machine_id"
    " WHERE c.id = threads.id"
)
_ROWS: Final = (
    f"SELECT {COLUMNS}, machine_id, machine, owner, machines FROM threads"
    f" CROSS JOIN LATERAL ({_COPIES}) c WHERE id IN (SELECT value FROM json_each(?))"
)
_NAMES: Final = (*COLUMNS.split(", "), "machine_id", "machine", "user", "machines")


def page_steps(query: Query, known: Known) -> Steps[Page]:
    """The page that ``query`` asks for. Raises what :func:`state.query.listing.page_steps` does."""
    after = query.decoded_cursor()
    more = yield from key_steps(query, after, query.limit + 1, known=known)
    by_id = yield from rows_steps([id_ for _, id_, _ in more[: query.limit]])
    return page_of(query, more, by_id)


def rows_steps(ids: Sequence[str]) -> Steps[dict[str, Row]]:
    """The rows of threads, by id, each with its ``machine`` and ``user``, and the names of all
    ``machines`` that have a copy, that with the newest first."""
    if not ids:
        return {}
    rows = yield _ROWS, [json.dumps(ids)]
    return {row[0]: dict(zip(_NAMES, row, strict=True)) for row in rows}


def details_steps(thread_id: str) -> Steps[dict[str, Any]]:
    """Every column of a thread's row that the fleet has, with its marks and machines. Raises
    ThreadNotFound."""
    rows = yield from rows_steps([thread_id])
    if thread_id not in rows:
        raise ThreadNotFound(thread_id)
    columns = ", ".join(name for name in THREADS if name not in rows[thread_id])
    more = yield f"SELECT {columns} FROM threads WHERE id = ?", [thread_id]
    marks = (yield from marks_steps([thread_id])).get(thread_id, NO_MARKS)
    others = dict(zip(columns.split(", "), more[0], strict=True))
    return {**rows[thread_id], **others, "moved_to": None, "marks": marks, "files": [], "tools": []}


def key_steps(
    query: Query,
    after: Cursor | None,
    count: int,
    among: list[int] | None = None,
    known: Known | None = None,
) -> Steps[list[Key]]:
    """The first ``count`` keys of the list after the cursor; with ``among``, of these rows alone,
    which are few. What is ``known`` of filters is not asked again."""
    known = known or Known()
    place = begin_of(query, after)
    if query.parent_id or query.ancestor_id:
        return (yield from lineage_keys(query, place, count, among))
    facets = yield from facets_steps(query)
    filters = yield from filter_steps(query, known)
    if not facets or filters is None:
        return []
    if among is None:
        among = yield from title_rows_steps(query)
    if among is not None:
        return (yield from few_keys(query, of_rows(among, filters), facets, place, count)) or []
    # An index that has the threads of a filter in the order of the list is read no further than the
    # page goes; else all that a filter leaves are sorted, if these are few.
    ordered = [each for each in filters if _is_ordered(query, each, facets)]
    if filters and (len(filters) > 1 or not ordered):
        plan = yield from _plan_steps(query, filters, facets, known)
        if plan.is_few and plan.first not in ordered:
            found = yield from _few_keys(query, plan, facets, place, count, known)
            if found is not None:
                return found
        elif plan.first in ordered:
            ordered = [plan.first]
    first = ordered[0] if ordered else None
    others = [each for each in filters if each is not first]
    if first is not None and first.marks:
        return (yield from marked_keys(query, first, others, facets, place, count))
    return (yield from walked_keys(query, first, others, facets, place, count))


def _is_ordered(query: Query, each: Filter, facets: Sequence[str]) -> bool:
    if each.marks:
        return query.sort_key == "recency_at"
    return is_served(query, each, len(facets))


def _plan_steps(
    query: Query, filters: list[Filter], facets: Sequence[str], known: Known
) -> Steps[Plan]:
    """Which filter leaves the fewest. Whether a single one leaves few is seen with its page."""
    if len(filters) == 1 and filters[0].found and not filters[0].marks:
        left = known.get(key_of(query, filters[0], facets, MOST_SORTED)) or 0
        return Plan(filters[0], left, [], MOST_SORTED)
    return (yield from plan_steps(query, filters, facets, known, MOST_SORTED))


def _few_keys(
    query: Query,
    plan: Plan,
    facets: Sequence[str],
    place: Place | None,
    count: int,
    known: Known,
) -> Steps[list[Key] | None]:
    assert plan.first is not None
    if plan.first.marks:
        return (yield from marked_keys(query, plan.first, plan.others, facets, place, count))
    found = yield from few_keys(query, plan, facets, place, count, is_sure=False)
    if found is None:
        known.put(key_of(query, plan.first, facets, MOST_SORTED), MOST_SORTED + 1, COUNTS_S)
    return found


def count_steps(query: Query, known: Known) -> Steps[Counted]:
    """How many threads the list has and what the defaults hide from it, each up to
    :data:`state.query.model.MOST_COUNTED`."""
    if query.parent_id or query.ancestor_id:
        return (yield from exact_count_steps(query))
    facets: defaultdict[Reason, list[str]] = defaultdict(list)
    for value in (yield from different_steps("facet")):
        if reason := reason_of(query, Facet.decode(value)):
            facets[reason].append(value)
    filters = yield from filter_steps(query, known)
    if not facets or filters is None:
        return counted({}, MOST_COUNTED)
    if (among := (yield from title_rows_steps(query))) is not None:
        plan = of_rows(among, filters)
    else:
        every = [value for values in facets.values() for value in values]
        plan = yield from plan_steps(query, filters, every, known, MOST_COUNTED)
    most = plan.most(query)
    conditions, values = plan.conditions()
    span, times = row_filter(other_filters(query), [], begin_of(query))
    limited = f"SELECT 1 FROM threads WHERE {all_of([FACETS, *conditions, *span])} LIMIT ?"
    found = yield (
        f"SELECT {', '.join([f'(SELECT count(*) FROM ({limited}) c)'] * len(facets))}",
        [
            each
            for chosen in facets.values()
            for each in (json.dumps(chosen), *values, *times, most + 1)
        ],
    )
    return counted(dict(zip(facets, found[0], strict=True)), most)
