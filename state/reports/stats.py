"""Sums of the tokens that threads used, by day, model and other dimensions.

SQL counts and groups whole hours; only the names of groups are made here. Threads cannot be added
up, as one thread may be in several groups: they are counted apart.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from state.db.steps import Steps
from state.db.usage_sql import RATES_JOIN
from state.query.choices import pattern_condition
from state.query.listing import selected_steps
from state.query.model import Query
from state.query.projects import folder_projects_steps
from state.reports.calendar import BUCKETS, Calendar, Shift, bucket_name, bucket_sql
from state.reports.groups import (
    TALLY_SQL,
    Group,
    Sort,
    Tally,
    compared,
    in_order,
    tally_of,
    whole_numbers,
)

_PROVIDER: Final = (
    "CASE u.provider WHEN '' THEN"
    " (SELECT o.model_provider FROM threads o WHERE o.row_id = u.row_id) ELSE u.provider END"
)
_KEYS: Final = {
    "project": "p.name",
    "model": "u.model",
    "provider": _PROVIDER,
    "effort": "u.effort",
    "source": "t.source_kind",
    "branch": "coalesce(t.git_branch, '')",
    "thread": "t.id",
}
"""The key of a row ``u`` of ``thread_usage``, its thread ``t`` and its project ``p`` in each
dimension, in SQL."""
_OF_THREADS: Final = frozenset({"project", "source", "branch", "thread"})
_NEXT: Final = (
    "coalesce((SELECT n.{0} FROM thread_usage n WHERE n.row_id = w.row_id AND n.hour >= w.hour"
    " ORDER BY n.hour LIMIT 1), {1}, '') AS {0}"
)
_PROJECTS: Final = (
    "p AS MATERIALIZED (SELECT value ->> 0 AS folder, value ->> 1 AS name FROM json_each(?))"
)
"""The names of the projects of folders."""
_TURNS: Final = (
    "given AS (SELECT value ->> 0 AS row_id, value ->> 1 AS hour FROM json_each(?)),"
    " w AS (SELECT g.row_id, coalesce(g.hour, t.created_at_ms / 3600000) AS hour, t.model,"
    " t.model_provider, t.reasoning_effort FROM given g JOIN threads t ON t.row_id = g.row_id),"
    " u AS MATERIALIZED (SELECT w.row_id, w.hour,"
    f" {_NEXT.format('model', 'w.model')}, {_NEXT.format('provider', 'w.model_provider')},"
    f" {_NEXT.format('effort', 'w.reasoning_effort')} FROM w)"
)
"""Turns as rows ``u``: with the model that the thread used next."""


class Span(NamedTuple):
    """Hours since 1970: from ``since`` on, before ``until``; None for no limit."""

    since: int | None = None
    until: int | None = None


TurnRows = Sequence[tuple[int, int | None]]
"""Of turns the rows of their threads, and the hours in which they began, if known."""


class Unpriced(NamedTuple):
    """A model without a price."""

    model: str
    provider: str
    total: int
    at_other_times: int
    """Whether it has a price at other times."""


@dataclass(slots=True)
class Statistics:
    """What was used. The tokens of the groups add up to those of the total."""

    total: Tally
    groups: list[Group]
    """Times in order; others by ``sort``, what has most first."""
    sort: Sort = "tokens"
    before: Tally | None = None
    left_out: Tally = field(default_factory=Tally)
    """Threads and tokens of the span that the filters leave out."""
    unpriced: list[Unpriced] = field(default_factory=list)
    subscribed: int = 0
    """Threads of a subscription, for which nobody pays by the token."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to count, and how."""

    by: tuple[str, ...]
    """One or two of ``state.reports.DIMENSIONS``."""
    calendar: Calendar
    span: Span
    query: Query
    """The threads; its ``archived`` does not count."""
    archived: bool = False
    """Only archived threads."""
    before: tuple[Span, Shift] | None = None
    """The span to compare with, and how much earlier it is."""
    sort: Sort | None = None
    """By what groups are sorted that are no times; None for the cost if everything has a price,
    else for the tokens."""


class _Rows(NamedTuple):
    """A condition on the rows that are counted, with its parameters."""

    where: str
    parameters: list[Any]


def statistics_steps(asked: Asked, turns: TurnRows | None = None) -> Steps[Statistics]:
    """Count what ``asked`` asks for; with ``turns``, those as well."""
    chosen = yield from _condition(asked)
    found = yield from _counted(asked, chosen, turns)
    rows = _limited(chosen, asked.span)
    found.unpriced = (yield from _unpriced(rows)) if found.total.unpriced else []
    if chosen.where != "1":
        everything = yield from _light(_limited(_Rows("1", []), asked.span))
        found.left_out.threads = everything[0] - found.total.threads
        found.left_out.total = everything[3] - found.total.total
    subscribed = yield (
        'SELECT count(*) FROM thread_limits l WHERE instr(l.value, \'"plan_type":"\')'
        " AND EXISTS (SELECT 1 FROM thread_usage u WHERE u.row_id = l.row_id"
        f" AND {rows.where})",
        rows.parameters,
    )
    found.subscribed = subscribed[0][0]
    return found


def groups_steps(asked: Asked, turns: TurnRows | None = None) -> Steps[Statistics]:
    """The same without what does not depend on the groups: what has no price, is left out by
    filters, or used a subscription."""
    chosen = yield from _condition(asked)
    return (yield from _counted(asked, chosen, turns))


def _counted(asked: Asked, chosen: _Rows, turns: TurnRows | None) -> Steps[Statistics]:
    found = yield from _tree(asked, _limited(chosen, asked.span), turns)
    if asked.before:
        span, shift = asked.before
        earlier = yield from _tree(asked, _limited(chosen, span), turns, shift)
        found.before = earlier.total
        found.groups = compared(asked.by, found.groups, earlier.groups, found.sort)
    return found


def copies_due_steps() -> Steps[bool]:
    """Whether there are copies of rollouts of which it is not known what they alone have."""
    found = yield "SELECT 1 FROM file_usage WHERE only_here = '' LIMIT 1", []
    return bool(found)


def hours_steps(asked: Asked) -> Steps[tuple[int, int] | None]:
    """The first and the last hour of what ``asked`` asks for; None if there is none."""
    chosen = yield from _condition(asked)
    threads, first, last, _ = yield from _light(_limited(chosen, asked.span))
    return (first, last) if threads else None


def _condition(asked: Asked) -> Steps[_Rows]:
    """The condition that the filters make."""
    where, parameters = yield from selected_steps(
        asked.query, archived=asked.archived, row_id="u.row_id"
    )
    if asked.query.providers:
        where += f" AND {_PROVIDER} IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps(asked.query.providers))
    if asked.query.models:
        condition, patterns = pattern_condition("u.model", asked.query.models)
        where += f" AND {condition}"
        parameters += patterns
    return _Rows(where, parameters)


def _limited(rows: _Rows, span: Span) -> _Rows:
    where, parameters = [rows.where], [*rows.parameters]
    for sign, hour in ((">=", span.since), ("<", span.until)):
        if hour is not None:
            where.append(f"u.hour {sign} ?")
            parameters.append(hour)
    return _Rows(" AND ".join(where), parameters)


def _light(rows: _Rows) -> Steps[tuple[int, int, int, int]]:
    """The number of threads, the first and the last hour, and all tokens."""
    found = yield (
        "SELECT count(DISTINCT u.row_id), coalesce(min(u.hour), 0), coalesce(max(u.hour), 0),"
        f" coalesce(sum(u.total), 0) FROM thread_usage u WHERE {rows.where}",
        rows.parameters,
    )
    return whole_numbers(found[0])


def _tree(
    asked: Asked, rows: _Rows, turns: TurnRows | None, shift: Shift | None = None
) -> Steps[Statistics]:
    """The groups and their sums."""
    threads, first, last, _ = yield from _light(rows)
    if turns is not None:
        hours = [hour for _, hour in turns if hour is not None]
        first, last = min([first, *hours]), max([last, *hours])
    seconds = asked.calendar.seconds_sql(first, last)
    keys = [bucket_sql(d, seconds) if d in BUCKETS else _KEYS[d] for d in asked.by]
    projects = (yield from _project_names()) if "project" in asked.by else ""
    tree = _Tree(asked.by, shift, projects)
    columns = f"count(DISTINCT u.row_id), {TALLY_SQL}"
    for key, row in (yield from _grouped(tree, keys, columns, rows, RATES_JOIN)):
        tree.add(key, tally_of(*row))
    if turns is not None:
        rows_of_turns = rows._replace(parameters=[json.dumps(turns), *rows.parameters])
        for key, (count,) in (
            yield from _grouped(tree, keys, "count(*)", rows_of_turns, before=_TURNS)
        ):
            tree.add(key, Tally(turns=count))
    if len(keys) > 1:
        outer = _Tree(asked.by[:1], shift, projects)
        for key, (count,) in (
            yield from _grouped(outer, keys[:1], "count(DISTINCT u.row_id)", rows)
        ):
            tree.groups[key[0]].tally.threads = count
    total = tree.total()
    total.threads = threads
    if turns is not None:
        total.turns = total.turns or 0
    sort = asked.sort or ("tokens" if total.unpriced else "cost")
    return Statistics(total, in_order(asked.by, tree.groups.values(), sort), sort=sort)


class _Tree:
    """Groups that are filled row by row."""

    def __init__(self, by: Sequence[str], shift: Shift | None, projects: str) -> None:
        self.by = by
        self.shift = shift
        self.projects = projects
        """JSON of folders with the names of their projects, if these are asked for."""
        self.groups: dict[str, Group] = {}
        self._inner: dict[tuple[str, ...], Group] = {}

    def add(self, key: tuple[str, ...], tally: Tally) -> None:
        """Add what was used under the keys of all dimensions."""
        outer = self.groups.get(key[0])
        if outer is None:
            outer = self.groups[key[0]] = Group(key[0])
        if len(key) == 1:
            _add(outer, tally)
            return
        outer.tally.add(tally)
        inner = self._inner.get(key)
        if inner is None:
            inner = self._inner[key] = Group(key[1], tally)
            outer.groups.append(inner)
        else:
            _add(inner, tally)

    def total(self) -> Tally:
        """All groups together, but for the threads."""
        total = Tally()
        for group in self.groups.values():
            total.add(group.tally)
        return total


def _add(group: Group, tally: Tally) -> None:
    """Add a row; a group has several where a clock was put back, so that hours have one name, and
    one of turns."""
    group.tally.add(tally)
    group.tally.threads = max(group.tally.threads, tally.threads)


def _grouped(
    tree: _Tree, keys: list[str], columns: str, rows: _Rows, join: str = "", before: str = ""
) -> Steps[list[tuple[tuple[str, ...], tuple[Any, ...]]]]:
    """Columns of each group, with the names of its keys."""
    threads = "JOIN threads t ON t.row_id = u.row_id" if _OF_THREADS & {*tree.by} else ""
    parts, parameters = [before] if before else [], rows.parameters
    if "project" in tree.by:
        threads += " JOIN p ON p.folder = t.cwd_key"
        parts, parameters = [_PROJECTS, *parts], [tree.projects, *parameters]
    given = f"WITH {', '.join(parts)}" if parts else ""
    numbers = ", ".join(str(number) for number in range(1, len(keys) + 1))
    source = "u" if before else "thread_usage u"
    found = yield (
        f"{given} SELECT {', '.join(keys)}, {columns} FROM {source} {threads} {join}"
        f" WHERE {rows.where} GROUP BY {numbers}",
        parameters,
    )
    names = [
        {row[place]: bucket_name(dimension, row[place], tree.shift) for row in found}
        if dimension in BUCKETS
        else {row[place]: str(row[place]) for row in found}
        for place, dimension in enumerate(tree.by)
    ]
    split = len(keys)
    return [
        (tuple(name[key] for name, key in zip(names, row, strict=False)), row[split:])
        for row in found
    ]


def _project_names() -> Steps[str]:
    """JSON of all folders with the names of their projects."""
    return json.dumps([*(yield from folder_projects_steps()).items()])


_PRICED_LATER: Final = (
    "EXISTS (SELECT 1 FROM usage_rates o WHERE o.input_rate IS NOT NULL"
    " AND (o.provider, o.model, o.service_tier, o.long_context)"
    " = (u.provider, u.model, u.service_tier, u.long_context))"
)
"""Whether a row ``u`` without a price would have one at another time."""


def _unpriced(rows: _Rows) -> Steps[list[Unpriced]]:
    found = yield (
        f"SELECT u.model, {_PROVIDER}, sum(u.total), max({_PRICED_LATER})"
        f" FROM thread_usage u {RATES_JOIN}"
        f" WHERE {rows.where} AND r.input_rate IS NULL GROUP BY 1, 2"
        " HAVING sum(u.total) ORDER BY 3 DESC, 1, 2",
        rows.parameters,
    )
    return [Unpriced(*row) for row in found]
