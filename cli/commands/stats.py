"""``threadkeep stats``."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from cli import errors
from cli.arguments.command import Command, Group
from cli.arguments.filters import Filters, takes_filters_of_usage
from cli.arguments.fleet import OPTION, FleetOptions, takes_fleet
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, JsonOption, RowsLimitOption, locations
from cli.arguments.span import calendar_of, span_before, span_of
from cli.terminal import output
from cli.terminal.hidden import footer, no_threads
from cli.terminal.text import amount, filled, one_line
from state.reports import DIMENSIONS, OF_FLEET

if TYPE_CHECKING:
    from cli.runtime.usage import FoundUsage

ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="NAME",
        help="The time zone of days: Europe/Berlin, UTC. [default: the local one]",
        show_default=False,
    ),
]
_OF_NOW: Final = frozenset({"zone", "as_json"})
"""The options that may come before ``now``, too."""

command = typer.Typer(
    name="stats",
    cls=Group,
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
)


@command.callback()
@takes_filters_of_usage
@takes_fleet
def stats(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help=f"Count by {', '.join(DIMENSIONS[:-1])} or {DIMENSIONS[-1]}; with --fleet also by"
            f" {' or '.join(OF_FLEET)}. Twice: rows of the first are split by the second."
            " [default: day]",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        Literal["cost", "tokens"] | None,
        typer.Option(
            help="What the first rows have most of, where rows are no times. [default: cost if"
            " everything has a price, else tokens]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Only what was used since: 2026-11-20, 2026-11, 2026, today, this-week, 12h, 7d.",
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
    fleet: FleetOptions,
    as_json: JsonOption = False,
) -> int:
    """Show the tokens that threads used and what they cost, by day, model, project and more. The
    exit status is 1 if there are none."""
    if context.invoked_subcommand:
        _check_options_of_now(context)
        return errors.OK
    from cli.runtime.usage import PAGE, find_usage, remarks
    from state.reports.calendar import TIMES
    from state.reports.stats import Asked

    here = fleet.locations(context)
    dimensions = _dimensions(by, in_fleet=here.fleet is not None)
    if turns and here.fleet is not None:
        raise typer.BadParameter(
            "--turns reads every rollout, and a fleet has them in pieces, if at all"
            "\nleave it out, or count on each machine, without --fleet"
        )
    if sort and {*dimensions} <= {*TIMES}:
        raise typer.BadParameter(
            f"--sort: rows by {dimensions[0]} are in order of time\nadd --by thread, --by model, …"
        )
    now_s = time.time()
    calendar, zone_name = calendar_of(zone)
    span, begin, end = span_of(since, until, calendar, now_s)
    before = span_before(begin, end, calendar, now_s) if compare else None
    if page == "-":
        raise typer.BadParameter(
            "--html writes a page to a file, not to stdout\nname a file: --html stats.html"
        )
    if page is not None and page.endswith(os.sep):
        raise typer.BadParameter(f"{page} is a folder\nname a file in it: --html {page}stats.html")
    target = None if page is None else Path(page)
    if target is not None:
        from cli.runtime.target import check_target  # which loads asyncio

        check_target(here, target)
    query = filters.query(**fleet.filters)
    asked = Asked(dimensions, calendar, span, query, archived, before, sort)
    found = find_usage(here, asked, limit, turns=turns, tables=PAGE if target else ())
    for note in found.notes:
        output.say(note)
    if target is not None:
        _save(target, found, limit, here, zone_name)
    _print(found, zone_name, limit, as_json=as_json, target=target)
    for path, problem in found.problems.items():
        output.say(one_line(f"{path}: {problem}"))
    total = found.statistics[0].total
    if not (total.threads or total.turns):
        words = f" {fleet.words}" if here.fleet is not None else ""
        output.say(_why_nothing(found, here, f"threadkeep stats{words}"))
    for remark in () if as_json else remarks(found, here):
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
            help="What to print: '{today.cost} {block.tokens} {week.used}' (threadkeep help cli).",
        ),
    ] = None,
    zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show in one line what was used today, in this 5-hour block and this week, and the rate limits
    that Codex last received. It looks only at files that are likely to be in use."""
    from cli.render.stats.now import document, line, places
    from cli.runtime.usage_now import usage_now

    now_s = time.time()
    before = context.parent.params if context.parent else {}  # options between stats and now
    calendar, zone_name = calendar_of(zone or before.get("zone"))
    here = locations(context)
    found, notes = usage_now(here, calendar, now_s)
    for note in notes:
        output.say(note)
    if as_json or before.get("as_json"):
        head = {"version": 1, "complete": not notes}
        output.data({**head, **document(found, zone_name, now_s)})
        return errors.OK
    values = places(found, calendar, now_s)
    try:
        output.line(line(found, calendar, now_s) if text is None else filled(text, values))
    except KeyError as error:
        known = ", ".join(f"{{{name}}}" for name in values)
        raise typer.BadParameter(
            f"--format: unknown field {error.args[0]}\nthe fields are {known}"
        ) from None
    return errors.OK


def _check_options_of_now(context: typer.Context) -> None:
    """Refuse options before ``now`` that it does not have."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in _OF_NOW and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(_not_of_now(parameter.opts[0]))


def _not_of_now(option: str) -> str:
    text = f"{option} is not an option of stats now"
    if option == OPTION:  # limits and windows are of one login of Codex
        return (
            f"{text}, which tells of this machine\nfor today in a fleet: threadkeep stats --fleet"
            " --since today"
        )
    return f"{text}\nit has --format, --timezone and --json"


def _why_nothing(found: "FoundUsage", here: Locations, command: str) -> str:
    from cli.render.stats.unused import nothing_used

    told = "" if found.unused is None else nothing_used(found.unused, found.asked[0], command)
    complete, in_fleet = not found.notes, here.fleet is not None
    return told or no_threads(
        here.home, empty=found.empty, complete=complete, fleet=in_fleet, machine=here.machine
    )


def _dimensions(by: list[str] | None, *, in_fleet: bool) -> tuple[str, ...]:
    known = (*DIMENSIONS, *OF_FLEET) if in_fleet else DIMENSIONS
    names = [name.strip() for value in by or ["day"] for name in value.split(",")]
    dimensions = tuple(dict.fromkeys(names))
    if unknown := [name for name in dimensions if name not in known]:
        if unknown[0] in OF_FLEET:
            raise typer.BadParameter(f"--by: only a fleet is counted by {unknown[0]}\nadd --fleet")
        raise typer.BadParameter(
            f"--by: {unknown[0]!r} is nothing to count by\ngive one of {', '.join(known)}"
        )
    if len(dimensions) > 2:
        raise typer.BadParameter("--by can be given twice, not more often")
    return dimensions


def _print(
    found: "FoundUsage", zone: str, limit: int, *, as_json: bool, target: Path | None
) -> None:
    from cli.render.stats.table import before, print_lines, rest, summary, whole

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
        number = amount if terminal else whole
        width = output.width() if terminal else None
        compared = before(statistics, asked, zone, number)
        output.lines(footer([summary(statistics, number), compared], width))
        output.line()
        if terminal:
            from cli.render.stats.terminal import print_table

            print_table(statistics, asked.by, limit, found.short_names())
        else:
            print_lines(statistics, asked.by, limit, found.long_names())
        output.lines(footer([rest(statistics, asked.by, limit)], width))


def _save(target: Path, found: "FoundUsage", limit: int, here: Locations, zone: str) -> None:
    from cli.render.stats.page import page
    from cli.runtime.usage import report
    from cli.terminal.save_file import save

    whose = here.home if here.fleet is None else "the fleet"
    made = report(found, here, zone, f"Token use of {whose}")
    save(target, (piece.encode("utf-8", "replace") for piece in page(made, limit)))
