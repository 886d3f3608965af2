"""Sums of the tokens that threads used, by day, model and other dimensions.

SQL counts and groups whole hours; only the names of groups are made here. Threads cannot be added
up, as one thread may be in several groups: they are counted apart.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from state.db.steps import Steps
from state.db.usage_sql import RATES_JOIN
from state.query.choices import pattern_condition
from state.query.listing import selected_steps
from state.query.model import Query
from state.reports.calendar import BUCKETS, Calendar, Shift, bucket_sql
from state.reports.groups import (
    COSTS_SQL,
    SPENT_SQL,
    TALLY_SQL,
    Group,
    Sort,
    Tally,
    compared,
    in_order,
    tally_of,
    whole_numbers,
)
from state.reports.tree import (
    KEYS,
    PROVIDER,
    TURNS,
    Rows,
    Tree,
    grouped,
    project_names_steps,
)

_ALL: Final = f"count(DISTINCT u.row_id), {TALLY_SQL}"
_TOKENS: Final = "0, 0, 0, 0, 0, 0, 0, sum(u.total), NULL, 0"
_TOKENS_AND_COSTS: Final = f"0, 0, 0, 0, 0, 0, 0, sum(u.total), {COSTS_SQL}"
"""Columns for a tally, of which charts need few."""


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
    count: int
    """How many groups there are: of threads, more than ``groups`` has, if fewer were asked for."""
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
    """One or two of ``state.reports.DIMENSIONS``, in a fleet also of its ``OF_FLEET``."""
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


class Extent(NamedTuple):
    """What rows there are."""

    threads: int
    first: int
    """Their first hour since 1970; 0 if there is none."""
    last: int
    total: int
    """Tokens."""


def statistics_steps(
    asked: Asked, extent: Extent, limit: int, turns: TurnRows | None = None
) -> Steps[Statistics]:
    """Count what ``asked`` asks for, whose extent is known; with ``turns``, those as well. There
    may be no more than ``limit`` groups of threads."""
    chosen = yield from _condition(asked)
    found = yield from _counted(asked, chosen, extent, limit, turns)
    rows = _limited(chosen, asked.span)
    found.unpriced = (yield from _unpriced(rows)) if found.total.unpriced else []
    if chosen.where != "TRUE":
        everything = yield from _extent(_limited(Rows("TRUE", []), asked.span))
        found.left_out.threads = everything.threads - found.total.threads
        found.left_out.total = everything.total - found.total.total
    subscribed = yield (
        'SELECT count(*) FROM thread_limits l WHERE instr(l.value, \'"plan_type":"\') > 0'
        " AND EXISTS (SELECT 1 FROM thread_usage u WHERE u.row_id = l.row_id"
        f" AND {rows.where})",
        rows.parameters,
    )
    found.subscribed = subscribed[0][0]
    return found


def groups_steps(
    asked: Asked, extent: Extent, limit: int, total: Tally, turns: TurnRows | None = None
) -> Steps[Statistics]:
    """The same without what does not depend on the groups: what has no price, is left out by
    filters, or used a subscription. ``total`` is known, too."""
    chosen = yield from _condition(asked)
    return (yield from _counted(asked, chosen, extent, limit, turns, total))


def chart_steps(asked: Asked, extent: Extent, *, costs: bool) -> Steps[Statistics]:
    """The same with what a chart shows: only the tokens, and with ``costs`` what they cost."""
    chosen = yield from _condition(asked)
    rows = _limited(chosen, asked.span)
    if costs:
        return (yield from _tree(asked, rows, extent, columns=_TOKENS_AND_COSTS))
    return (yield from _tree(asked, rows, extent, columns=_TOKENS, join=""))


def _counted(
    asked: Asked,
    chosen: Rows,
    extent: Extent,
    limit: int,
    turns: TurnRows | None,
    total: Tally | None = None,
) -> Steps[Statistics]:
    rows = _limited(chosen, asked.span)
    if asked.by == ("thread",) and not asked.before and turns is None and extent.threads:
        return (yield from _first_threads(asked, rows, extent, limit, total))
    found = yield from _tree(asked, rows, extent, turns)
    if asked.before:
        span, shift = asked.before
        rows = _limited(chosen, span)
        earlier = yield from _tree(asked, rows, (yield from _extent(rows)), turns, shift)
        found.before = earlier.total
        found.groups = compared(asked.by, found.groups, earlier.groups, found.sort)
        found.count = len(found.groups)
    return found


def _first_threads(
    asked: Asked, rows: Rows, extent: Extent, limit: int, total: Tally | None
) -> Steps[Statistics]:
    """The groups of the threads that come first. SQL chooses them: a home may have many."""
    if total is None:
        found = yield (
            f"SELECT {extent.threads}, {TALLY_SQL} FROM thread_usage u {RATES_JOIN}"
            f" WHERE {rows.where}",
            rows.parameters,
        )
        total = tally_of(*found[0])
    sort = _sort(asked, total)
    order, join = ("sum(u.total) DESC, t.id", "")
    if sort == "cost":
        order, join = f"{SPENT_SQL} DESC NULLS LAST, {order}", RATES_JOIN
    first = yield (
        f"SELECT u.row_id FROM thread_usage u JOIN threads t ON t.row_id = u.row_id {join}"
        f" WHERE {rows.where} GROUP BY u.row_id, t.id ORDER BY {order} LIMIT ?",
        [*rows.parameters, min(limit, extent.threads)],
    )
    ids = json.dumps([row_id for (row_id,) in first])
    where = f"u.row_id IN (SELECT value FROM json_each(?)) AND {rows.where}"
    some = Rows(where, [ids, *rows.parameters])
    groups = (yield from _tree(replace(asked, sort=sort), some, extent)).groups
    return Statistics(total, groups, extent.threads, sort)


def copies_due_steps() -> Steps[bool]:
    """Whether there are copies of rollouts of which it is not known what they alone have."""
    found = yield "SELECT 1 FROM file_usage WHERE only_here = '' LIMIT 1", []
    return bool(found)


def extent_steps(asked: Asked) -> Steps[Extent]:
    """The extent of what ``asked`` asks for."""
    chosen = yield from _condition(asked)
    return (yield from _extent(_limited(chosen, asked.span)))


def _condition(asked: Asked) -> Steps[Rows]:
    """The condition that the filters make."""
    where, parameters = yield from selected_steps(
        asked.query, archived=asked.archived, row_id="u.row_id"
    )
    if asked.query.providers:
        where += f" AND {PROVIDER} IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps(asked.query.providers))
    if asked.query.models:
        condition, patterns = pattern_condition("u.model", asked.query.models)
        where += f" AND {condition}"
        parameters += patterns
    return Rows(where, parameters)


def _limited(rows: Rows, span: Span) -> Rows:
    where, parameters = [rows.where], [*rows.parameters]
    for sign, hour in ((">=", span.since), ("<", span.until)):
        if hour is not None:
            where.append(f"u.hour {sign} ?")
            parameters.append(hour)
    return Rows(" AND ".join(where), parameters)


def _extent(rows: Rows) -> Steps[Extent]:
    found = yield (
        "SELECT count(DISTINCT u.row_id), coalesce(min(u.hour), 0), coalesce(max(u.hour), 0),"
        f" coalesce(sum(u.total), 0) FROM thread_usage u WHERE {rows.where}",
        rows.parameters,
    )
    return Extent(*whole_numbers(found[0]))


def _tree(
    asked: Asked,
    rows: Rows,
    extent: Extent,
    turns: TurnRows | None = None,
    shift: Shift | None = None,
    columns: str = _ALL,
    join: str = RATES_JOIN,
) -> Steps[Statistics]:
    """The groups and their sums."""
    first, last = extent.first, extent.last
    if turns is not None:
        hours = [hour for _, hour in turns if hour is not None]
        first, last = min([first, *hours]), max([last, *hours])
    seconds = asked.calendar.seconds_sql(first, last)
    keys = [bucket_sql(d, seconds) if d in BUCKETS else KEYS[d] for d in asked.by]
    projects = (yield from project_names_steps()) if "project" in asked.by else ""
    tree = Tree(asked.by, shift, projects)
    for key, row in (yield from grouped(tree, keys, columns, rows, join)):
        tree.add(key, tally_of(*row))
    if turns is not None:
        rows_of_turns = rows._replace(parameters=[json.dumps(turns), *rows.parameters])
        for key, (count,) in (
            yield from grouped(tree, keys, "count(*)", rows_of_turns, before=TURNS)
        ):
            tree.add(key, Tally(turns=count))
    if len(keys) > 1 and columns == _ALL:
        outer = Tree(asked.by[:1], shift, projects)
        for key, (count,) in (
            yield from grouped(outer, keys[:1], "count(DISTINCT u.row_id)", rows)
        ):
            tree.groups[key[0]].tally.threads = count
    total = tree.total()
    total.threads = extent.threads
    if turns is not None:
        total.turns = total.turns or 0
    sort = _sort(asked, total)
    groups = in_order(asked.by, tree.groups.values(), sort)
    return Statistics(total, groups, len(groups), sort)


def _sort(asked: Asked, total: Tally) -> Sort:
    return asked.sort or ("tokens" if total.unpriced else "cost")


_PRICED_LATER: Final = (
    "CASE WHEN EXISTS (SELECT 1 FROM usage_rates o WHERE o.input_rate IS NOT NULL"
    " AND (o.provider, o.model, o.service_tier, o.long_context)"
    " = (u.provider, u.model, u.service_tier, u.long_context)) THEN 1 ELSE 0 END"
)
"""Whether a row ``u`` without a price would have one at another time."""


def _unpriced(rows: Rows) -> Steps[list[Unpriced]]:
    found = yield (
        f"SELECT u.model, {PROVIDER}, sum(u.total), max({_PRICED_LATER})"
        f" FROM thread_usage u {RATES_JOIN}"
        f" WHERE {rows.where} AND r.input_rate IS NULL GROUP BY 1, 2"
        " HAVING sum(u.total) <> 0 ORDER BY 3 DESC, 1, 2",
        rows.parameters,
    )
    return [Unpriced(*row) for row in found]
