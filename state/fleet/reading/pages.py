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
from dataclasses import replace
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
_MOST_MARKED: Final = 10_000
"""The same of threads with a mark, which no index has in any order."""
_MOST_LOOKED_AT: Final = 1_000
"""So many threads are counted if each has to be looked at."""
_SAMPLE: Final = 300
"""So many threads of a list have their titles looked at before the index on them is asked."""
_COMMON: Final = 6
"""If so many of them are found, a walk gets to the others sooner."""
_MOST_VALUES: Final = 50
"""Of so many values each is looked at. More are compared in SQL."""
_MOST_BRANCHES: Final = 100
"""So many places of an index are read at once for one list ..."""
_MOST_MERGED: Final = 24
"""... and so many thread by thread, which takes as long to plan as ten threads of each."""
_FACETS: Final = "facet IN (SELECT value FROM json_each(?))"
_AMONG: Final = "row_id IN (SELECT value FROM json_each(?))"
_OWNERS: Final = (
    "SELECT machine_id FROM machines WHERE user_name IN (SELECT value FROM json_each(?))"
)
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


class _Filter(NamedTuple):
    """A filter, as a condition by which an index finds its threads, and as one on single rows, for
    which none is looked for. Both have the same parameters."""

    found: str
    """Empty if no index finds them."""
    row: str
    parameters: list[Any]
    most: int = MOST_SORTED
    """If there are more, they are not looked up."""
    marks: str = ""
    """What is counted of user data, in the place of threads."""
    branches: Sequence[str | int] | None = None
    """Values of a column that an index has in the usual order ..."""
    branch: str = ""
    """... and the condition that a thread has the value ``v``."""


class _Plan(NamedTuple):
    """How the threads that filters choose are found."""

    first: _Filter | None
    """The filter that leaves the fewest; None if there are none with an index."""
    left: int
    """How many it leaves, up to one more than its ``most``."""
    others: list[_Filter]

    @property
    def is_few(self) -> bool:
        return self.first is not None and self.left <= self.first.most

    def conditions(self) -> tuple[list[str], list[Any]]:
        """For an index on what the first filter chooses. Many marks are looked at row by row."""
        first = [] if self.first is None else [self.first]
        where = [each.found if self.is_few or not each.marks else each.row for each in first]
        where += (each.row for each in self.others)
        return where, [value for each in (*first, *self.others) for value in each.parameters]

    def most(self, query: Query) -> int:
        """How far threads are counted: not so far if each is looked at."""
        by_row = self.others or (self.first and self.first.marks) or query.terms or query.without
        return _MOST_LOOKED_AT if by_row and not self.is_few else MOST_COUNTED


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
    filters = yield from _filter_steps(query)
    if not facets or filters is None:
        return []
    if among is not None:
        return (yield from _sorted_keys(query, _among(among, filters), facets, place, count))
    served = next((each for each in filters if _is_served(query, each, len(facets))), None)
    if served is None or len(filters) > 1:
        plan = yield from _plan_steps(filters, facets)
        if plan.is_few:
            return (yield from _sorted_keys(query, plan, facets, place, count))
    others = [each for each in filters if each is not served]
    if query.terms:
        plain = replace(query, search=None, words=())
        first = yield from _walked_keys(plain, served, others, facets, place, _SAMPLE)
        titled = yield from _titled_steps(query, first)
        if len(titled) >= count or len(first) < _SAMPLE:
            return titled[:count]
        if len(titled) < _COMMON and (rows := (yield from title_rows_steps(query))) is not None:
            return (yield from _sorted_keys(query, _among(rows, filters), facets, place, count))
    return (yield from _walked_keys(query, served, others, facets, place, count))


def _among(rows: list[int], filters: list[_Filter]) -> _Plan:
    """A plan for rows that are known."""
    return _Plan(_Filter(_AMONG, _AMONG, [json.dumps(rows)], len(rows)), len(rows), filters)


def _titled_steps(query: Query, keys: list[Key]) -> Steps[list[Key]]:
    """Those of some threads whose titles hold what ``query`` searches for."""
    where, parameters = row_filter(Query(search=query.search, words=query.words), [], None)
    found = yield (
        f"SELECT row_id FROM threads WHERE {all_of([_AMONG, *map(_of_row, where)])}",
        [json.dumps([row_id for _, _, row_id in keys]), *parameters],
    )
    titled = {row_id for (row_id,) in found}
    return [key for key in keys if key[2] in titled]


def count_steps(query: Query) -> Steps[Counted]:
    """How many threads the list has and what the defaults hide from it, each up to
    :data:`state.query.model.MOST_COUNTED`."""
    if query.parent_id or query.ancestor_id:
        return (yield from exact_count_steps(query))
    facets: defaultdict[Reason, list[str]] = defaultdict(list)
    for value in (yield from different_steps("facet")):
        if reason := reason_of(query, Facet.decode(value)):
            facets[reason].append(value)
    filters = yield from _filter_steps(query)
    if not facets or filters is None:
        return counted({}, MOST_COUNTED)
    if (among := (yield from title_rows_steps(query))) is not None:
        plan = _among(among, filters)
    else:
        every = [value for values in facets.values() for value in values]
        plan = yield from _plan_steps(filters, every)
    most = plan.most(query)
    conditions, values = plan.conditions()
    span, times = row_filter(_other_filters(query), [], begin_of(query))
    limited = f"SELECT 1 FROM threads WHERE {all_of([_FACETS, *conditions, *span])} LIMIT ?"
    found = yield (
        f"SELECT {', '.join([f'(SELECT count(*) FROM ({limited}) c)'] * len(facets))}",
        [
            each
            for chosen in facets.values()
            for each in (json.dumps(chosen), *values, *times, most + 1)
        ],
    )
    return counted(dict(zip(facets, found[0], strict=True)), most)


def _filter_steps(query: Query) -> Steps[list[_Filter] | None]:
    """The filters of ``query``, but for facets, times and what :func:`_other_filters` leaves. None
    if one of them chooses nothing."""
    found = []
    for choice in (yield from choice_steps(query, _MOST_VALUES)):
        if choice.values == []:
            return None
        found.append(_of_choice(choice))
    if query.users:
        owners = [owner for (owner,) in (yield (_OWNERS, [json.dumps(query.users)]))]
        condition = "machine_id IN (SELECT value FROM json_each(?))"
        branch = "machine_id = CAST(v.value AS integer)"
        found.append(
            _Filter(
                condition, _of_row(condition), [json.dumps(owners)], MOST_SORTED, "", owners, branch
            )
        )
    for marks, values in wanted_marks(query):
        having = f"(SELECT thread_id, machine_id FROM copied_data WHERE {marks})"
        found.append(
            _Filter(f"(id, machine_id) IN {having}", _has(marks), values, _MOST_MARKED, marks)
        )
    if query.pinned is False:
        pinned = replace(query, pinned=True, tags=(), statuses=())
        found += (_Filter("", f"NOT {_has(marks)}", []) for marks, _ in wanted_marks(pinned))
    if query.included_ids is not None:
        [condition], values = row_filter(Query(included_ids=query.included_ids), [], None)
        found.append(_Filter(condition, condition, values))
    return found


def _of_choice(choice: Choice) -> _Filter:
    condition, parameters = choice.condition()
    row = _of_row(condition)
    if choice.values is not None:
        branch = f"{choice.column} = v.value"
        return _Filter(condition, row, parameters, MOST_SORTED, "", choice.values, branch)
    if choice.column == "cwd_key":  # a tree, which one range of the index has, with little else
        hull = [min(parameters[::2]), max(parameters[1::2])]
        found = f"cwd_key >= ? AND cwd_key < ? AND {row}"
        return _Filter(found, _of_row(found), [*hull, *parameters])
    return _Filter(condition if choice.is_indexed else "", row, parameters)


def _of_row(condition: str) -> str:
    """A condition for which PostgreSQL looks for no index."""
    return f"({condition}) IS TRUE"


def _has(marks: str) -> str:
    """The condition on a row that it has marks: one look by the primary key of user data."""
    # With the OFFSET, PostgreSQL does not read all marks first, once for each facet.
    return _of_row(
        "EXISTS (SELECT 1 FROM copied_data d WHERE d.thread_id = threads.id"
        f" AND d.machine_id = threads.machine_id AND {marks} OFFSET 0)"
    )


def _other_filters(query: Query) -> Query:
    """What :func:`_filter_steps` leaves: times, titles, and threads that are left out."""
    return Query(
        sort_key=query.sort_key,
        descending=query.descending,
        since_ms=query.since_ms,
        until_ms=query.until_ms,
        search=query.search,
        words=query.words,
        without=query.without,
        excluded_ids=query.excluded_ids,
    )


def _is_served(query: Query, each: _Filter, facets: int) -> bool:
    """Whether an index has the threads of each value and facet in the order of the list, and these
    are few enough to be merged."""
    few = each.branches is not None and len(each.branches) * facets <= _MOST_BRANCHES
    return few and query.sort_key == "recency_at"


def _plan_steps(filters: list[_Filter], facets: Sequence[str]) -> Steps[_Plan]:
    """Which filter leaves the fewest threads."""
    indexed = [each for each in filters if each.found]
    if not indexed:
        return _Plan(None, 0, filters)
    counts, parameters = [], []
    for each in indexed:
        table, where, values = "copied_data", each.marks, [*each.parameters]
        if not each.marks:
            table, where = "threads", f"{each.found} AND {_FACETS}"
            values.append(json.dumps(facets))
        counts.append(f"(SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {where} LIMIT ?) c)")
        parameters += [*values, each.most + 1]
    found = yield f"SELECT {', '.join(counts)}", parameters
    count, place = min((count, place) for place, count in enumerate(found[0]))
    first = indexed[place]
    return _Plan(first, count, [each for each in filters if each is not first])


def _sorted_keys(
    query: Query, plan: _Plan, facets: Sequence[str], place: Place | None, count: int
) -> Steps[list[Key]]:
    conditions, values = plan.conditions()
    where, parameters = row_filter(_other_filters(query), [], place)
    # What has no order, PostgreSQL does not look for in the order of the list.
    return (
        yield (
            f"WITH few AS MATERIALIZED (SELECT {query.sort_key}_ms AS k, id, row_id FROM threads"
            f" WHERE {all_of([_FACETS, *conditions, *where])})"
            f" SELECT k, id, row_id FROM few {order_by(query, 'k')} LIMIT ?",
            [json.dumps(facets), *values, *parameters, count],
        )
    )


def _walked_keys(
    query: Query,
    served: _Filter | None,
    others: Sequence[_Filter],
    facets: Sequence[str],
    place: Place | None,
    count: int,
) -> Steps[list[Key]]:
    """The merge of the first keys of all facets, and values of ``served``."""
    where, parameters = row_filter(_other_filters(query), [], place)
    is_filtered = len(where) > (place is not None) or bool(others)
    where += (each.row for each in others)
    parameters += (value for each in others for value in each.parameters)
    values: Sequence[str | int] = [""] if served is None else served.branches or []
    chosen = ["facet = f.value", *([] if served is None else [served.branch])]
    first = (
        f"SELECT {query.sort_key}_ms AS k, id, row_id FROM threads"
        f" WHERE {all_of([*chosen, *where])} {order_by(query, f'{query.sort_key}_ms')} LIMIT ?"
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
                f"SELECT k, id, row_id FROM ({union}) w {order_by(query, 'k')} LIMIT ?",
                [*(each for some in branches for each in (*some, *parameters, count)), count],
            )
        )
    merged, of = "json_each(?) f", [json.dumps(facets)]
    if served is not None:
        merged, of = f"{merged} CROSS JOIN json_each(?) v", [*of, json.dumps([*map(str, values)])]
    return (
        yield (
            f"SELECT w.k, w.id, w.row_id FROM {merged} CROSS JOIN LATERAL ({first}) w"
            f" {order_by(query, 'w.k', 'w.id')} LIMIT ?",
            [*of, *parameters, count, count],
        )
    )
