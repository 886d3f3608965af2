"""``threadkeep stats``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.filters import Filters, takes_filters
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, JsonOption, RowsLimitOption, locations
from cli.terminal import output
from cli.terminal.hidden import no_threads, report_hidden
from cli.terminal.progress import progress
from cli.terminal.text import amount, one_line, plural

if TYPE_CHECKING:
    from state.query.model import Hidden
    from state.reports.stats import Statistics, Tally
    from state.thread_index import ThreadIndex

USUAL: Final = ("day", "project", "model")


_AGO: Final = re.compile(r"(\d{1,5})([mhdwy])")
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
"""The units of :func:`cli.terminal.text.age`, which lists show."""


def moment(text: str, *, now: datetime | None = None) -> int:
    """The ms since 1970 of a day (``2026-11-20``), a time, or an age (``30m``, ``12h``, ``7d``,
    ``2w``, ``1y``). Ages of a day or more begin at midnight; days are those of UTC. Raises
    OverflowError if it is before all times, and ValueError if it is none of these."""
    ago = _AGO.fullmatch(text)
    if ago:
        now = now or datetime.now(UTC)
        if ago[2] not in "mh":
            now = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return int((now - int(ago[1]) * _UNITS[ago[2]]).timestamp() * 1000)
    found = datetime.fromisoformat(text)
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)


@takes_filters
def command(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Count by day, month, project, model, provider or source. Repeatable."
            " [default: day, project, model]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Only threads created since: 2026-11-20, a time, 12h, 7d, 2w."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only threads created before.")
    ] = None,
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
    """Count threads, turns and tokens by day, project and model. The exit status is 1 if there are
    none."""
    from cli.runtime.open_index import catch_up, read_index
    from cli.runtime.target import check_target
    from state.reports.stats import DIMENSIONS, statistics

    for name in by or ():
        if name not in DIMENSIONS:
            raise typer.BadParameter(f"--by must be one of {', '.join(DIMENSIONS)}")
    limits = {"since_ms": _limit("--since", since), "until_ms": _limit("--until", until)}
    if page == "-":
        raise typer.BadParameter("--html writes a page to a file, not to stdout: name a file")
    here = locations(context)
    target = None if page is None else Path(page)
    check_target(here, target)
    query = filters.query(archived=archived)

    async def work(index: "ThreadIndex") -> "tuple[Statistics, Hidden, bool, str]":
        note = await catch_up(index)
        with progress("turns") as report:
            found = await statistics(index, query, **limits, turns=turns, report=report)
        hidden = await index.hidden(query, **limits)
        empty = not found.total.threads and await index.is_empty()
        return found, hidden, empty, note

    found, hidden, empty, note = read_index(here, work)
    if note:
        output.say(note)
    dimensions = [*dict.fromkeys(by or USUAL)]
    if target is not None:
        _save(target, found, dimensions, limit, here)
    if as_json:
        complete = not note and not (turns and hidden.unreadable)
        document = _document(found, dimensions, limit, complete=complete)
        output.data({**document, "hidden": asdict(hidden)})
    elif target is None:
        _print(found, dimensions, limit)
    else:
        output.line(str(target))
    for path, problem in found.problems.items():
        output.say(one_line(f"{path}: {problem}"))
    if not found.total.threads:
        output.say(no_threads(here.home, empty=empty))
    if not as_json:
        report_hidden(hidden)
    if not found.total.threads:
        return errors.NO_MATCH
    return errors.SOME_UNREADABLE if found.problems else errors.OK


def _limit(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else moment(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option} must be a day (2026-11-20), a time (2026-11-20T12:00) or an age"
            " (30m, 12h, 7d, 2w, 1y)"
        ) from None


def _save(
    page: Path, found: "Statistics", dimensions: Sequence[str], limit: int, here: Locations
) -> None:
    from cli.render.html_charts import charts
    from cli.terminal.save_file import save

    pieces = charts(found, dimensions, limit, f"Threads of {here.home}")
    save(page, (piece.encode("utf-8", "replace") for piece in pieces))


def _cut(dimension: str, groups: "Mapping[str, Tally]", limit: int) -> "dict[str, Tally]":
    """The last groups of times, the first of others."""
    from state.reports.stats import TIMES

    shown = list(groups.items())
    return dict(shown[-limit:] if dimension in TIMES else shown[:limit])


def _print(found: "Statistics", dimensions: Sequence[str], limit: int) -> None:
    total = found.total
    words = [plural(total.threads, "thread"), f"{total.tokens:,} tokens"]
    if total.turns is not None:
        words.insert(1, plural(total.turns, "turn"))
    output.line(", ".join(words))
    for dimension in dimensions:
        groups = found.by[dimension]
        shown = _cut(dimension, groups, limit)
        output.line()
        (_plot if output.on_terminal() else _lines)(dimension, shown, total)
        if len(groups) > len(shown):
            output.line(f"… {len(groups) - len(shown):,} more (--limit)")


def _lines(dimension: str, groups: "Mapping[str, Tally]", total: "Tally") -> None:
    with_turns = total.turns is not None
    turns = f"{'turns':>7}  " if with_turns else ""
    output.line(f"{'threads':>7}  {turns}{'tokens':>13}  {dimension}")
    for key, tally in groups.items():
        turns = f"{tally.turns or 0:>7,}  " if with_turns else ""
        name = one_line(key) or "(none)"
        output.line(f"{tally.threads:>7,}  {turns}{tally.tokens:>13,}  {name}")


def _plot(dimension: str, groups: "Mapping[str, Tally]", total: "Tally") -> None:
    """Print a table with a bar for the tokens of each row."""
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column(dimension, no_wrap=True, overflow="ellipsis", max_width=40)
    for name in ("threads", *(("turns",) if total.turns is not None else ()), "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", ratio=1)
    most = max((tally.tokens for tally in groups.values()), default=0) or 1
    for key, tally in groups.items():
        numbers = [f"{tally.threads:,}"]
        numbers += [f"{tally.turns or 0:,}"] if total.turns is not None else []
        numbers += [amount(tally.tokens)]
        bar = Bar(most, 0, tally.tokens, color="cyan")
        table.add_row(Text(one_line(key) or "(none)"), *numbers, bar)
    output.table(table)


def _document(
    found: "Statistics", dimensions: Sequence[str], limit: int, *, complete: bool
) -> dict[str, Any]:
    def entry(tally: "Tally") -> dict[str, Any]:
        return {"threads": tally.threads, "turns": tally.turns, "tokens": tally.tokens}

    return {
        "version": 1,
        "complete": complete,
        **entry(found.total),
        "by": {
            dimension: {
                "groups": [
                    {"key": key, **entry(tally)}
                    for key, tally in _cut(dimension, found.by[dimension], limit).items()
                ],
                "count": len(found.by[dimension]),
            }
            for dimension in dimensions
        },
        "problems": [{"path": path, "reason": why} for path, why in found.problems.items()],
    }
