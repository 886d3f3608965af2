"""What a report on the use of tokens needs, from the index."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.arguments.locations import Locations
from cli.render.labels import label
from cli.render.stats.table import before, shown, span_text
from cli.runtime.in_step import in_step
from cli.terminal.text import amount, one_line, plural
from state.db.steps import of_all_steps
from state.prices.current import price_lists, prices_path, rates_are_current_steps
from state.query.listing import any_steps, short_id_steps, unreadable_steps
from state.query.rows import rows_steps
from state.reports.calendar import HOUR_OF_WEEK
from state.reports.stats import (
    Asked,
    Statistics,
    TurnRows,
    chart_steps,
    copies_due_steps,
    extent_steps,
    groups_steps,
    statistics_steps,
)
from state.reports.unused import Unused, unused_steps

if TYPE_CHECKING:
    from cli.render.stats.page import Report
    from state.db.steps import Steps
    from state.thread_index import ThreadIndex

Dimensions = tuple[str, ...]
PAGE: Final[Sequence[Dimensions]] = (("model",), ("project",), ("source",))
"""The tables of a page, besides the one that is asked for."""
_FINE: Final = {"day": 24 * 190, "week": 7 * 24 * 190}
"""For how many hours at most a chart has columns so fine; others are of months."""


@dataclass(slots=True)
class FoundUsage:
    """What a report is made of."""

    statistics: list[Statistics]
    """What was asked for; on a page also the other tables, the times and the hours of a week."""
    asked: list[Asked]
    names: dict[str, str]
    """What threads are called, by id."""
    short_ids: dict[str, str]
    unreadable: int
    empty: bool
    """Whether the home has no thread at all."""
    unused: Unused | None
    """What there is, if nothing was used."""
    notes: list[str] = field(default_factory=list)
    """Why the numbers may be incomplete."""
    problems: dict[str, str] = field(default_factory=dict)
    """Files whose turns could not be counted, and why."""

    @property
    def complete(self) -> bool:
        """Whether everything is counted."""
        counted = self.statistics[0].total.turns is None or not self.unreadable
        return counted and not self.notes

    def short_names(self) -> dict[str, str]:
        """Of threads, for people."""
        return {id_: f"{self.short_ids[id_]}  {name}" for id_, name in self.names.items()}

    def long_names(self) -> dict[str, str]:
        """Of threads, for pipes."""
        return {id_: f"{id_}  {one_line(name)[:60]}" for id_, name in self.names.items()}


def find_usage(
    here: Locations, asked: Asked, limit: int, *, turns: bool, tables: Sequence[Dimensions]
) -> FoundUsage:
    """What ``asked`` asks for, with the names of ``limit`` threads. ``turns`` reads every rollout;
    ``tables`` are those that a page has besides."""
    steps = _quick_steps(here.index, asked, limit, tables)
    found = None if turns else in_step(here, lambda reader: reader.read(steps))
    if found is None:
        from cli.runtime.open_index import read_index

        found = read_index(
            here, lambda index: _thoroughly(index, asked, limit, tables, turns=turns)
        )
    return found


def _quick_steps(
    index: Path, asked: Asked, limit: int, tables: Sequence[Dimensions]
) -> "Steps[FoundUsage | None]":
    """As :func:`usage_steps`, if no price has to be looked up before."""
    if not (yield from rates_are_current_steps(price_lists(index))):
        return None
    return (yield from usage_steps(asked, limit, tables))


async def _thoroughly(
    index: "ThreadIndex",
    asked: Asked,
    limit: int,
    tables: Sequence[Dimensions],
    *,
    turns: bool,
) -> FoundUsage:
    from cli.runtime.open_index import catch_up_with_prices
    from cli.terminal.progress import progress
    from state.reports.turns import Turns, read_turns

    notes = await catch_up_with_prices(index, asked.query)
    if not index.database.is_fleet and await index.database.query(copies_due_steps()):
        notes.append("Some copies of rollouts cannot be compared now: they count only once.")
    counted = Turns()
    if turns:
        with progress("turns") as report:
            counted = await read_turns(index, asked, report)
    rows = counted.rows if turns else None
    found = await index.read(lambda: usage_steps(asked, limit, tables, rows), asked.query)
    found.notes = notes
    found.problems = counted.problems
    return found


def usage_steps(
    asked: Asked, limit: int, tables: Sequence[Dimensions], turns: TurnRows | None = None
) -> "Steps[FoundUsage]":
    """What ``asked`` asks for, with the names of ``limit`` threads; with ``tables``, these and what
    a page has charts of."""
    yield from of_all_steps()
    extent = yield from extent_steps(asked)
    asks, statistics = [asked], [(yield from statistics_steps(asked, extent, limit, turns))]
    if tables:
        total = statistics[0].total
        for each in (replace(asked, by=by) for by in tables if by != asked.by):
            asks.append(each)
            statistics.append((yield from groups_steps(each, extent, limit, total, turns)))
        hours = extent.last - extent.first
        time_ = next((name for name, most in _FINE.items() if hours <= most), "month")
        for by in ((time_, "model"), (HOUR_OF_WEEK,)):
            each = replace(asked, by=by, before=None)
            asks.append(each)
            statistics.append((yield from chart_steps(each, extent, costs=by[0] == time_)))
    names: dict[str, str] = {}
    for each, counted in zip(asks, statistics, strict=True):
        names |= yield from _names_steps(counted, each.by, limit)
    short_ids = yield from short_id_steps([*names])
    unreadable = yield from unreadable_steps()
    unused, empty = None, False
    if not statistics[0].total.threads:
        unused = yield from unused_steps(asked)
        empty = not (yield from any_steps())
    return FoundUsage(statistics, asks, names, short_ids, unreadable, empty, unused)


def report(found: FoundUsage, here: Locations, zone: str, title: str) -> "Report":
    """What a page shows."""
    from cli.render.stats.page import Report, Table

    tables = [
        Table(asked.by, statistics, found.short_names())
        for asked, statistics in zip(found.asked, found.statistics, strict=True)
    ]
    *shown_tables, times, week = tables
    asked, statistics = found.asked[0], found.statistics[0]
    limits = span_text(asked.span, asked.calendar)
    facts = [fact for fact in (limits, f"time zone {zone}") if fact]
    if compared := before(statistics, asked, zone, amount):
        facts.append(compared)
    notes = [*found.notes, *remarks(found, here)]
    return Report(title, facts, notes, times, week.statistics, shown_tables)


def remarks(found: FoundUsage, here: Locations) -> list[str]:
    """What else there is to know about the numbers."""
    statistics = found.statistics[0]
    remarks = []
    if statistics.unpriced:
        models = [
            f"{one_line(each.model) or 'an unnamed model'}{' on these days' * each.at_other_times}"
            f" ({each.total:,} tokens)"
            for each in statistics.unpriced
        ]
        more = f" and {len(models) - 5:,} more" if len(models) > 5 else ""
        own = prices_path(here.index)
        remarks.append(
            f"No price is known for {', '.join(models[:5])}{more}: add it to {own}"
            " (threadkeep help cost)."
        )
    if statistics.subscribed and statistics.total.cost:
        remarks.append(
            f"{plural(statistics.subscribed, 'thread')} used a subscription: their cost is what"
            " the API would have asked."
        )
    if alone := _without_a_day(found):
        remarks.append(f"Only the span before has this day: {', '.join(alone)}.")
    left_out = statistics.left_out
    if left_out.threads or left_out.total:
        threads = plural(left_out.threads, "thread")
        remarks.append(f"Left out by filters: {threads}, {left_out.total:,} tokens.")
    if found.unreadable:
        files = plural(found.unreadable, "unreadable file")
        remarks.append(f"Not counted: {files} (threadkeep status).")
    return remarks


def _without_a_day(found: FoundUsage) -> list[str]:
    """Days of the span before that this one has not, as its months are shorter."""
    statistics, asked = found.statistics[0], found.asked[0]
    if not asked.before or asked.by[0] != "day" or asked.span.since is None:
        return []
    first = f"{asked.calendar.clock(asked.span.since * 3600):%Y-%m-%d}"
    return [group.key for group in statistics.groups if group.key < first]


def _names_steps(statistics: Statistics, by: Sequence[str], limit: int) -> "Steps[dict[str, str]]":
    """What the threads are called that are shown."""
    if "thread" not in by:
        return {}
    outer = shown(statistics.groups, by, limit)
    groups = outer
    if by[0] != "thread":
        groups = [inner for group in outer for inner in shown(group.groups, by[1:], limit)]
    rows = yield from rows_steps(sorted({group.key for group in groups}))
    return {id_: label(row) for id_, row in rows.items()}
