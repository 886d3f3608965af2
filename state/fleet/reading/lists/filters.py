"""What the filters of a list choose in a fleet, and which of them leaves the fewest threads."""

import json
import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from state.db.steps import Steps
from state.fleet.reading.dialect import BY_VALUES
from state.query.choices import Choice, choice_steps
from state.query.listing import row_filter
from state.query.marked import wanted_marks
from state.query.model import MOST_COUNTED, Query

MOST_SORTED: Final = 4_000
"""So many threads are sorted for a page, from an index that has what they are sorted by. A walk to
one page of as few among a million takes as long."""
_MOST_MARKED: Final = 12_000
"""The same of threads with a mark: a walk looks for that of each thread in another table."""
_MOST_LOOKED_AT: Final = 1_000
"""So many threads are counted if each has to be looked at."""
_MOST_VALUES: Final = 50
"""Of so many values each is looked at. More are compared in SQL."""
COUNTS_S: Final = 60.0
"""How long a number of threads is taken for what it was: it only decides how they are found."""
_PROJECT_S: Final = 10.0
"""How long a project is taken to have the folders that it had."""
_MOST_KNOWN: Final = 1_000
FACETS: Final = "facet IN (SELECT value FROM json_each(?))"
AMONG: Final = "row_id IN (SELECT value FROM json_each(?))"
_OWNERS: Final = (
    "SELECT machine_id FROM machines WHERE user_name IN (SELECT value FROM json_each(?))"
)


class Filter(NamedTuple):
    """A filter, as a condition by which an index finds its threads, and as one on single rows, for
    which none is looked for. Both have the same parameters."""

    found: str
    """Empty if no index finds them."""
    row: str
    parameters: list[Any]
    marks: str = ""
    """The condition on user data, if it is of that: an index has it in the usual order."""
    branches: Sequence[str | int] | None = None
    """Values of a column that an index has in the usual order ..."""
    branch: str = ""
    """... and the condition that a thread has the value ``v``."""


class Plan(NamedTuple):
    """How the threads that filters choose are found."""

    first: Filter | None
    """The filter that leaves the fewest; None if there are none with an index."""
    left: int
    """How many it leaves, as far as they are counted."""
    others: list[Filter]
    few: int
    """So many are few."""

    @property
    def is_few(self) -> bool:
        return self.first is not None and self.left <= _most(self.first, self.few)

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


def of_rows(rows: list[int], filters: list[Filter]) -> Plan:
    """A plan for rows that are known, and are few."""
    return Plan(Filter(AMONG, AMONG, [json.dumps(rows)]), 0, filters, len(rows))


def _most(each: Filter, few: int) -> int:
    return max(few, _MOST_MARKED) if each.marks else few


class Known:
    """What was found of filters a moment ago: the pages of one list ask again and again."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable) -> Any:
        """What was put, None if that was too long ago."""
        until_s, found = self._found.get(key, (0.0, None))
        return found if time.monotonic() < until_s else None

    def put(self, key: Hashable, found: Any, seconds: float) -> None:
        """Keep something for so long, or until there is much."""
        if len(self._found) >= _MOST_KNOWN:
            self._found.clear()
        self._found[key] = (time.monotonic() + seconds, found)


def key_of(query: Query, each: Filter, facets: Sequence[str], few: int) -> tuple[Any, ...]:
    """What tells how many threads a filter leaves, up to one more than ``few``."""
    return query.machine, few, each.row, json.dumps(each.parameters), *facets


def plan_steps(
    query: Query, filters: list[Filter], facets: Sequence[str], known: Known, few: int
) -> Steps[Plan]:
    """Which filter leaves the fewest threads, and whether these are no more than ``few``."""
    indexed = [each for each in filters if each.found]
    if not indexed:
        return Plan(None, 0, filters, few)
    found: dict[int, int] = {}
    counts, parameters, asked = [], [], []
    for place, each in enumerate(indexed):
        if (count := known.get(key_of(query, each, facets, few))) is not None:
            found[place] = count
            continue
        table, where, values = "copied_data", each.marks, [*each.parameters]
        if not each.marks:
            table, where = "threads", f"{each.found} AND {FACETS}"
            values.append(json.dumps(facets))
        limited = f"SELECT 1 FROM {table} WHERE {where} LIMIT {_most(each, few) + 1}"
        counts.append(f"(SELECT count(*) FROM ({limited}) c)")
        parameters += values
        asked.append(place)
    if asked:
        row = (yield f"{BY_VALUES}SELECT {', '.join(counts)}", parameters)[0]
        for place, count in zip(asked, row, strict=True):
            known.put(key_of(query, indexed[place], facets, few), count, COUNTS_S)
            found[place] = count
    is_many = {place: count > _most(indexed[place], few) for place, count in found.items()}
    place = min(found, key=lambda place: (is_many[place], found[place], place))
    first, count = indexed[place], found[place]
    return Plan(first, count, [each for each in filters if each is not first], few)


def filter_steps(query: Query, known: Known) -> Steps[list[Filter] | None]:
    """The filters of ``query``, but for facets, times and what :func:`other_filters` leaves. None
    if one of them chooses nothing."""
    choices = yield from _choice_steps(query, known)
    if any(choice.values == [] for choice in choices):
        return None
    # Those come first that leave the fewest in most fleets.
    found = []
    for marks, values in wanted_marks(query):
        having = f"(SELECT thread_id, machine_id FROM copied_data WHERE {marks})"
        found.append(Filter(f"(id, machine_id) IN {having}", _has(marks), values, marks))
    if query.users:
        owners = [owner for (owner,) in (yield (_OWNERS, [json.dumps(query.users)]))]
        if not owners:
            return None  # their last machine is of somebody else now
        condition = "machine_id IN (SELECT value FROM json_each(?))"
        branch = "machine_id = CAST(v.value AS integer)"
        listed = [json.dumps(owners)]
        found.append(Filter(condition, of_row(condition), listed, "", owners, branch))
    found += map(_of_choice, choices)
    if query.pinned is False:
        pinned = replace(query, pinned=True, tags=(), statuses=())
        found += (Filter("", f"NOT {_has(marks)}", []) for marks, _ in wanted_marks(pinned))
    if query.included_ids is not None:
        [condition], values = row_filter(Query(included_ids=query.included_ids), [], None)
        found.append(Filter(condition, condition, values))
    return found


def _choice_steps(query: Query, known: Known) -> Steps[list[Choice]]:
    if not query.projects:
        return (yield from choice_steps(query, _MOST_VALUES))
    of_values = (query.cwds, query.folders, query.projects, query.models, query.branches)
    key = query.machine, *of_values, query.min_tokens, query.min_size
    choices: list[Choice] | None = known.get(key)
    if choices is None:
        choices = yield from choice_steps(query, _MOST_VALUES)
        known.put(key, choices, _PROJECT_S)
    return choices


def other_filters(query: Query) -> Query:
    """What :func:`filter_steps` leaves: times, titles, and threads that are left out."""
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


def of_row(condition: str) -> str:
    """A condition for which PostgreSQL looks for no index."""
    return f"({condition}) IS TRUE"


def _of_choice(choice: Choice) -> Filter:
    condition, parameters = choice.condition()
    row = of_row(condition)
    if choice.values is not None:
        branch = f"{choice.column} = v.value"
        return Filter(condition, row, parameters, "", choice.values, branch)
    if choice.column == "cwd_key":  # a tree, which one range of the index has, with little else
        hull = [min(parameters[::2]), max(parameters[1::2])]
        found = f"cwd_key >= ? AND cwd_key < ? AND {row}"
        return Filter(found, of_row(found), [*hull, *parameters])
    return Filter(condition if choice.is_indexed else "", row, parameters)


def _has(marks: str) -> str:
    """The condition on a row that it has marks: one look by the primary key of user data."""
    # With the OFFSET, PostgreSQL does not read all marks first, once for each facet.
    return of_row(
        "EXISTS (SELECT 1 FROM copied_data d WHERE d.thread_id = threads.id"
        f" AND d.machine_id = threads.machine_id AND {marks} OFFSET 0)"
    )
