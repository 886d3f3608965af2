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
from typing import Any, Final, NamedTuple

from state.db.derived_columns import Facet
from state.db.steps import Steps, different_steps
from state.errors import ThreadNotFound
from state.fleet.reading.fulltext.lookup import title_rows_steps
from state.fleet.server.schema import THREADS
from state.query.choices import Choice, Reason, choice_steps, facets_steps, reason_of
from state.query.cursor import Cursor
from state.query.listing import (
    Key,
    Place,
    all_of,
    begin_of,
    counted,
    lineage_keys,
    order_by,
    page_of,
    row_filter,
)
from state.query.listing import count_steps as exact_count_steps
from state.query.marked import wanted_marks
from state.query.marks import NO_MARKS, marks_steps
from state.query.model import MOST_COUNTED, Counted, Page, Query
from state.query.rows import COLUMNS, Row

MOST_SORTED: Final = 10_000
"""So many threads are sorted for a page, from an index that has what they are sorted by. A walk to
one page of as few among a million takes as long."""
_MOST_MARKED: Final = 2_000
"""The same of threads with a mark, which no index has in any order."""
_MOST_BRANCHES: Final = 100
"""So many places of an index are merged into one list."""
_FACETS: Final = "facet IN (SELECT value FROM json_each(?))"
_AMONG: Final = "row_id IN (SELECT value FROM json_each(?))"
_ROWS: Final = (
    f"SELECT {COLUMNS}, machine_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
)
_COPIES: Final = (
    "SELECT c.id, c.machine_id, m.name, m.user_name FROM copies c"
    " JOIN machines m ON m.machine_id = c.machine_id"
    " WHERE c.id IN (SELECT value FROM json_each(?))"
    " ORDER BY c.updated_at_ms DESC, c.size_bytes DESC, c.machine_id DESC"
)
_NAMES: Final = (*COLUMNS.split(", "), "machine_id")


class _Narrow(NamedTuple):
    """A filter whose threads an index gives."""

    table: str
    """Where they are counted."""
    where: str
    parameters: list[Any]
    most: int
    """If there are more, they are not looked up."""


def page_steps(query: Query) -> Steps[Page]:
    """The page that ``query`` asks for. Raises what :func:`state.query.listing.page_steps` does."""
    after = query.decoded_cursor()
    more = yield from key_steps(query, after, query.limit + 1)
    by_id = yield from rows_steps([id_ for _, id_, _ in more[: query.limit]])
    return page_of(query, more, by_id)


def rows_steps(ids: Sequence[str]) -> Steps[dict[str, Row]]:
    """The rows of threads, by id, each with its ``machine`` and ``user``, and the names of all
    ``machines`` that have a copy, that with the newest first."""
    if not ids:
        return {}
    listed = json.dumps(ids)
    rows = {row[0]: dict(zip(_NAMES, row, strict=True)) for row in (yield _ROWS, [listed])}
    for row in rows.values():
        row |= {"machine": "", "user": "", "machines": []}
    for id_, machine_id, name, user in (yield _COPIES, [listed]):
        if id_ not in rows:
            continue
        rows[id_]["machines"].append(name)
        if machine_id == rows[id_]["machine_id"]:
            rows[id_] |= {"machine": name, "user": user}
    return rows


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
    query: Query, after: Cursor | None, count: int, among: list[int] | None = None
) -> Steps[list[Key]]:
    """The first ``count`` keys of the list after the cursor; with ``among``, of these rows alone,
    which are few."""
    place = begin_of(query, after)
    if query.parent_id or query.ancestor_id:
        return (yield from lineage_keys(query, place, count, among))
    facets = yield from facets_steps(query)
    choices = yield from choice_steps(query)
    if not facets or any(choice.values == [] for choice in choices):
        return []
    if among is None:
        among = yield from title_rows_steps(query)
    if among is not None:
        return (yield from _sorted_keys(query, choices, facets, place, count, among))
    served = next((each for each in choices if _is_served(query, each, len(facets))), None)
    narrow = _narrow(query, choices)
    if len(narrow) > (served is not None) and (yield from _is_few(narrow, facets)):
        return (yield from _sorted_keys(query, choices, facets, place, count))
    return (yield from _walked_keys(query, choices, served, facets, place, count))


def count_steps(query: Query) -> Steps[Counted]:
    """How many threads the list has and what the defaults hide from it, each up to
    :data:`state.query.model.MOST_COUNTED`."""
    if query.parent_id or query.ancestor_id:
        return (yield from exact_count_steps(query))
    facets: defaultdict[Reason, list[str]] = defaultdict(list)
    for value in (yield from different_steps("facet")):
        if reason := reason_of(query, Facet.decode(value)):
            facets[reason].append(value)
    choices = yield from choice_steps(query)
    if not facets or any(choice.values == [] for choice in choices):
        return counted({}, MOST_COUNTED)
    where, parameters = row_filter(query, choices, begin_of(query), "+")
    if (among := (yield from title_rows_steps(query))) is not None:
        where.append(_AMONG)
        parameters.append(json.dumps(among))
    limited = f"SELECT 1 FROM threads WHERE {all_of([_FACETS, *where])} LIMIT ?"
    found = yield (
        f"SELECT {', '.join([f'(SELECT count(*) FROM ({limited}) c)'] * len(facets))}",
        [
            each
            for values in facets.values()
            for each in (json.dumps(values), *parameters, MOST_COUNTED + 1)
        ],
    )
    return counted(dict(zip(facets, found[0], strict=True)), MOST_COUNTED)


def _is_served(query: Query, choice: Choice, facets: int) -> bool:
    """Whether an index has the threads of each value and facet in the order of the list, and these
    are few enough to be merged."""
    few = choice.values is not None and len(choice.values) * facets <= _MOST_BRANCHES
    return few and query.sort_key == "recency_at"


def _narrow(query: Query, choices: Sequence[Choice]) -> list[_Narrow]:
    found = []
    for choice in choices:
        if choice.is_indexed:
            condition, parameters = choice.condition()
            found.append(_Narrow("threads", condition, parameters, MOST_SORTED))
    for condition, parameters in wanted_marks(query):
        found.append(_Narrow("user_data", condition, parameters, _MOST_MARKED))
    others = Query(users=query.users, included_ids=query.included_ids)
    for condition, parameters in zip(*row_filter(others, [], None), strict=True):
        found.append(_Narrow("threads", condition, [parameters], MOST_SORTED))
    return found


def _is_few(narrow: Sequence[_Narrow], facets: Sequence[str]) -> Steps[bool]:
    """Whether one of the filters leaves few enough threads to look at each."""
    counts, parameters = [], []
    for each in narrow:
        where, values = each.where, [*each.parameters]
        if each.table == "threads":
            where, values = f"{where} AND {_FACETS}", [*values, json.dumps(facets)]
        counts.append(
            f"(SELECT count(*) FROM (SELECT 1 FROM {each.table} WHERE {where} LIMIT ?) c)"
        )
        parameters += [*values, each.most + 1]
    found = yield f"SELECT {', '.join(counts)}", parameters
    return any(count <= each.most for count, each in zip(found[0], narrow, strict=True))


def _sorted_keys(
    query: Query,
    choices: Sequence[Choice],
    facets: Sequence[str],
    place: Place | None,
    count: int,
    among: list[int] | None = None,
) -> Steps[list[Key]]:
    where, parameters = row_filter(query, choices, place)
    if among is not None:
        where.append(_AMONG)
        parameters.append(json.dumps(among))
    # What has no order, PostgreSQL does not look for in the order of the list.
    return (
        yield (
            f"WITH few AS MATERIALIZED (SELECT {query.sort_key}_ms AS k, id, row_id FROM threads"
            f" WHERE {all_of([_FACETS, *where])})"
            f" SELECT k, id, row_id FROM few {order_by(query, 'k')} LIMIT ?",
            [json.dumps(facets), *parameters, count],
        )
    )


def _walked_keys(
    query: Query,
    choices: Sequence[Choice],
    served: Choice | None,
    facets: Sequence[str],
    place: Place | None,
    count: int,
) -> Steps[list[Key]]:
    """The merge of the first keys of all facets, and values of ``served``."""
    others = [each for each in choices if each is not served]
    where, parameters = row_filter(query, others, place, "+")
    branches, values = "json_each(?) f", [json.dumps(facets)]
    chosen = ["facet = f.value"]
    if served is not None:
        branches, values = (
            f"{branches} CROSS JOIN json_each(?) v",
            [*values, json.dumps(served.values)],
        )
        chosen.append(f"{served.column} = v.value")
    first = (
        f"SELECT {query.sort_key}_ms AS k, id, row_id FROM threads"
        f" WHERE {all_of([*chosen, *where])} {order_by(query, f'{query.sort_key}_ms')} LIMIT ?"
    )
    return (
        yield (
            f"SELECT w.k, w.id, w.row_id FROM {branches} CROSS JOIN LATERAL ({first}) w"
            f" {order_by(query, 'w.k', 'w.id')} LIMIT ?",
            [*values, *parameters, count, count],
        )
    )
