"""``threadkeep stats``."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli import errors
from cli.arguments.command import Command, Group
from cli.arguments.filters import Filters, takes_filters_of_all
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, JsonOption, RowsLimitOption, locations
from cli.arguments.span import calendar_of, span_before, span_of
from cli.render.labels import label
from cli.render.stats.table import print_lines, print_table, rest, shown, summary, whole
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from cli.terminal.hidden import no_threads
from cli.terminal.text import amount, one_line, plural
from state.errors import SQLITE_ERRORS
from state.prices.current import price_lists, prices_path, rates_are_current_steps
from state.query.listing import any_steps, short_id_steps, unreadable_steps
from state.query.rows import rows_steps
from state.reports.calendar import HOUR_OF_WEEK, HOUR_S
from state.reports.stats import (
    DIMENSIONS,
    Asked,
    Statistics,
    TurnRows,
    copies_due_steps,
    hours_steps,
    statistics_steps,
)

if TYPE_CHECKING:
    from state.db.steps import Steps
    from state.thread_index import ThreadIndex

_PAGE: Final = (("model",), ("project",), ("source",))
"""The tables of a page, besides those that are asked for."""
_FINE: Final = {"day": 24 * 190, "week": 7 * 24 * 190}
"""For how many hours at most a chart has columns so fine; others are of months."""
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="NAME",
        help="The time zone of days: Europe/Berlin, UTC. [default: the local one]",
        show_default=False,
    ),
]


@dataclass(slots=True)
class Found:
    """What the command found."""

    statistics: list[Statistics]
    """What was asked for; on a page also the other tables, the times and the hours of a week."""
    asked: list[Asked]
    names: dict[str, str]
    """What threads are called, by id."""
    short_ids: dict[str, str]
    unreadable: int
    empty: bool
    """Whether the home has no thread at all."""
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


command = typer.Typer(
    name="stats",
    cls=Group,
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
)


@command.callback()
@takes_filters_of_all
def stats(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help=f"Count by {', '.join(DIMENSIONS[:-1])} or {DIMENSIONS[-1]}. Twice: rows of the"
            " first are split by the second. [default: day]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Only what was used since: 2026-11-20, 2026-11, today, this-week, 12h, 7d.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was used before.")
    ] = None,
    zone: ZoneOption = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with the span before --since.")
    ] = False,
    turns: Annotated[
        bool, typer.Option("--turns", help="Count turns, too. This reads every rollout.")
    ] = False,
    limit: RowsLimitOption = 30,
    page: Annotated[
        str | None,
        typer.Option("--html", metavar="FILE", help="Write a page with charts to this file."),
    ] = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    as_json: JsonOption = False,
) -> int:
    """Show the tokens that threads used and what they cost, by day, model, project and more. The
    exit status is 1 if there are none."""
    if context.invoked_subcommand:
        return errors.OK
    from cli.runtime.target import check_target

    dimensions = _dimensions(by)
    now_s = time.time()
    calendar, zone_name = calendar_of(zone)
    span, begin, end = span_of(since, until, calendar, now_s)
    before = span_before(begin, end, calendar, now_s) if compare else None
    if page == "-":
        raise typer.BadParameter("--html writes a page to a file, not to stdout: name a file")
    here = locations(context)
    target = None if page is None else Path(page)
    check_target(here, target)
    asked = Asked(dimensions, calendar, span, filters.query(), archived, before)
    found = _find(here, asked, limit, turns=turns, page=target is not None)
    for note in found.notes:
        output.say(note)
    if target is not None:
        _save(target, found, limit, here, zone_name)
    _print(found, zone_name, limit, as_json=as_json, target=target)
    for path, problem in found.problems.items():
        output.say(one_line(f"{path}: {problem}"))
    total = found.statistics[0].total
    if not (total.threads or total.turns):
        output.say(no_threads(here.home, empty=found.empty))
    for remark in () if as_json else _remarks(found, here):
        output.say(remark)
    if not (total.threads or total.turns):
        return errors.NO_MATCH
    return errors.SOME_UNREADABLE if found.problems else errors.OK


@command.command(cls=Command)
def now(
    context: typer.Context,
    text: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="What to print: '{today.cost} {block.tokens} {week.used}' (see docs/cli.md).",
        ),
    ] = None,
    zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show in one line what was used today, in this 5-hour block and this week, and the rate limits
    that Codex was told of. It looks only at files that are likely to be in use."""
    from cli.render.stats.now import document, filled, line, places
    from cli.runtime.usage_now import usage_now

    now_s = time.time()
    calendar, zone_name = calendar_of(zone)
    here = locations(context)
    found, notes = usage_now(here, calendar, now_s)
    for note in notes:
        output.say(note)
    if as_json:
        head = {"version": 1, "complete": not notes}
        output.data({**head, **document(found, zone_name, now_s)})
        return errors.OK
    try:
        shown = line(found, calendar, now_s)
        output.line(shown if text is None else filled(text, found, calendar, now_s))
    except KeyError as error:
        known = ", ".join(f"{{{name}}}" for name in places(found, calendar, now_s))
        raise typer.BadParameter(f"--format has no {{{error.args[0]}}}, but {known}") from None
    return errors.OK


def _dimensions(by: list[str] | None) -> tuple[str, ...]:
    dimensions = tuple(dict.fromkeys(by or ["day"]))
    if any(name not in DIMENSIONS for name in dimensions):
        raise typer.BadParameter(f"--by must be one of {', '.join(DIMENSIONS)}")
    if len(dimensions) > 2:
        raise typer.BadParameter("--by can be given twice, not more often")
    return dimensions


def _find(here: Locations, asked: Asked, limit: int, *, turns: bool, page: bool) -> Found:
    found = None
    if not turns and DELEGATED.get() is None:
        # If it cannot, the thorough way says what is wrong, and repairs it where it can.
        with suppress(*SQLITE_ERRORS):
            found = _quickly(here, asked, limit, page=page)
    if found is None:
        from cli.runtime.open_index import read_index

        found = read_index(
            here, lambda index: _thoroughly(index, asked, limit, turns=turns, page=page)
        )
    return found


def _quickly(here: Locations, asked: Asked, limit: int, *, page: bool) -> Found | None:
    from state.query.oneshot import IndexReader

    with IndexReader.opened(here.home, here.index) as reader:
        if reader is None:
            return None
        return reader.read(_quick_steps(here.index, asked, limit, page=page))


def _quick_steps(index: Path, asked: Asked, limit: int, *, page: bool) -> "Steps[Found | None]":
    """As :func:`_steps`, if no price has to be looked up before."""
    if not (yield from rates_are_current_steps(price_lists(index))):
        return None
    return (yield from _steps(asked, limit, None, page=page))


async def _thoroughly(
    index: "ThreadIndex", asked: Asked, limit: int, *, turns: bool, page: bool
) -> Found:
    from cli.runtime.open_index import catch_up_with_prices
    from cli.terminal.progress import progress
    from state.reports.turns import Turns, read_turns

    notes = await catch_up_with_prices(index)
    if await index.database.query(copies_due_steps()):
        notes.append("Some copies of rollouts cannot be compared now: they count only once.")
    counted = Turns()
    if turns:
        with progress("turns") as report:
            counted = await read_turns(index, asked, report)
    rows = counted.rows if turns else None
    found = await index.database.query(_steps(asked, limit, rows, page=page))
    found.notes = notes
    found.problems = counted.problems
    return found


def _steps(asked: Asked, limit: int, turns: TurnRows | None, *, page: bool) -> "Steps[Found]":
    asks = [asked]
    if page:
        first, last = yield from hours_steps(asked)
        time_ = next((name for name, most in _FINE.items() if last - first <= most), "month")
        others = [by for by in _PAGE if by != asked.by]
        for by in (*others, (time_, "model"), (HOUR_OF_WEEK,)):
            asks.append(replace(asked, by=by, before=None))
    statistics = []
    for each in asks:
        statistics.append((yield from statistics_steps(each, turns)))
    names = yield from _names_steps(statistics[0], asked.by, limit)
    short_ids = yield from short_id_steps([*names])
    unreadable = yield from unreadable_steps()
    empty = not statistics[0].total.threads and not (yield from any_steps())
    return Found(statistics, asks, names, short_ids, unreadable, empty)


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


def _print(found: Found, zone: str, limit: int, *, as_json: bool, target: Path | None) -> None:
    statistics, asked = found.statistics[0], found.asked[0]
    if as_json:
        from cli.render.stats.document import document

        problems = [{"path": path, "reason": why} for path, why in found.problems.items()]
        output.data(
            {
                "version": 2,
                "complete": found.complete,
                **document(statistics, asked, zone, limit, found.names),
                "problems": problems,
                "unreadable": found.unreadable,
            }
        )
    elif target is not None:
        output.line(str(target))
    elif statistics.groups:
        terminal = output.on_terminal()
        output.line(summary(statistics, amount if terminal else whole))
        output.line()
        if terminal:
            print_table(statistics, asked.by, limit, found.short_names())
        else:
            print_lines(statistics, asked.by, limit, found.long_names())
        if more := rest(statistics.groups, asked.by, limit):
            output.line(more)


def _remarks(found: Found, here: Locations) -> list[str]:
    """What else there is to know about the numbers."""
    statistics = found.statistics[0]
    remarks = []
    if statistics.unpriced:
        models = [
            f"{one_line(each.model) or 'an unnamed model'} ({each.total:,} tokens)"
            for each in statistics.unpriced
        ]
        more = f" and {len(models) - 5:,} more" if len(models) > 5 else ""
        own = prices_path(here.index)
        remarks.append(f"No price is known for {', '.join(models[:5])}{more}: add it to {own}.")
    if statistics.subscribed and statistics.total.cost:
        remarks.append(
            f"{plural(statistics.subscribed, 'thread')} used a subscription: their cost is what"
            " the API would have asked."
        )
    left_out = statistics.left_out
    if left_out.threads or left_out.total:
        threads = plural(left_out.threads, "thread")
        remarks.append(f"Left out by filters: {threads}, {left_out.total:,} tokens.")
    if found.unreadable:
        files = plural(found.unreadable, "unreadable file")
        remarks.append(f"Not counted: {files} (threadkeep status).")
    return remarks


def _save(target: Path, found: Found, limit: int, here: Locations, zone: str) -> None:
    from cli.render.stats.page import Report, Table, page
    from cli.terminal.save_file import save

    tables: list[Table] = [
        Table(asked.by, statistics, found.short_names())
        for asked, statistics in zip(found.asked, found.statistics, strict=True)
    ]
    *shown_tables, times, week = tables
    span = found.asked[0].span
    limits = [
        f"{word} {found.asked[0].calendar.clock(hour * HOUR_S):%Y-%m-%d %H:%M}"
        for word, hour in (("since", span.since), ("until", span.until))
        if hour is not None
    ]
    facts = [*limits, f"time zone {zone}"]
    remarks = [*found.notes, *_remarks(found, here)]
    title = f"Token use of {here.home}"
    report = Report(title, facts, remarks, times, week.statistics, shown_tables)
    save(target, (piece.encode("utf-8", "replace") for piece in page(report, limit)))
