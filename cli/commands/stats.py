"""``threadkeep stats``: threads, turns and tokens by day, project, model and so on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cli import errors
from cli.arguments.locations import Locations
from cli.commands.list import no_threads, report_hidden
from cli.runtime.open_index import catch_up, read_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import amount, one_line, plural
from state.query.model import Hidden, Query
from state.reports.stats import DIMENSIONS, TIMES, Statistics, Tally, statistics
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
"""Those of :func:`cli.terminal.text.age`, which lists show."""


def moment(text: str, *, now: datetime | None = None) -> int:
    """A day (``2026-11-20``), a time, or how long ago (``30m``, ``12h``, ``7d``, ``2w``, ``1y``;
    from days on it is the beginning of a day), in ms since 1970; days are those of UTC.

    Raises:
        OverflowError: that is before all times.
        ValueError: it is none of these.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        now = now or datetime.now(UTC)
        if ago[2] not in "mh":
            now = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return int((now - int(ago[1]) * _UNITS[ago[2]]).timestamp() * 1000)
    found = datetime.fromisoformat(text)
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1000)


def run(
    locations: Locations,
    query: Query,
    *,
    since_ms: int | None,
    until_ms: int | None,
    by: Sequence[str],
    limit: int,
    turns: bool,
    page: Path | None,
    as_json: bool,
) -> int:
    """Tell what there is. Gives the exit status."""

    async def work(index: ThreadIndex) -> tuple[Statistics, Hidden, bool, str]:
        note = await catch_up(index)
        with progress("turns") as report:
            found = await statistics(
                index, query, since_ms=since_ms, until_ms=until_ms, turns=turns, report=report
            )
        hidden = await index.hidden(query, since_ms=since_ms, until_ms=until_ms)
        nothing = not found.total.threads and await index.is_empty()
        return found, hidden, nothing, note

    found, hidden, nothing, note = read_index(locations, work)
    if note:
        output.say(note)
    dimensions = [*dict.fromkeys(by)] or [*USUAL]
    if page is not None:
        _save(page, found, dimensions, limit, locations)
    if as_json:
        complete = not note and not (turns and hidden.unreadable)
        told = _document(found, dimensions, limit, complete=complete)
        output.data({**told, "hidden": asdict(hidden)})
    elif page is None:
        _tell(found, dimensions, limit)
    else:
        output.line(str(page))
    for path, problem in found.problems.items():
        output.say(one_line(f"{path}: {problem}"))
    if not found.total.threads:
        output.say(no_threads(nothing=nothing))
    if not as_json:
        report_hidden(hidden)
    if not found.total.threads:
        return errors.NO_MATCH
    return errors.SOME_UNREADABLE if found.problems else errors.OK


def _save(
    page: Path, found: Statistics, dimensions: Sequence[str], limit: int, locations: Locations
) -> None:
    from cli.render.html_charts import charts
    from cli.terminal.save_file import save

    pieces = charts(found, dimensions, limit, f"Threads of {locations.home}")
    save(page, (piece.encode("utf-8", "replace") for piece in pieces))


def _cut(dimension: str, groups: Mapping[str, Tally], limit: int) -> dict[str, Tally]:
    """The last of times, the first of others."""
    shown = list(groups.items())
    return dict(shown[-limit:] if dimension in TIMES else shown[:limit])


def _tell(found: Statistics, dimensions: Sequence[str], limit: int) -> None:
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


def _lines(dimension: str, groups: Mapping[str, Tally], total: Tally) -> None:
    with_turns = total.turns is not None
    turns = f"{'turns':>7}  " if with_turns else ""
    output.line(f"{'threads':>7}  {turns}{'tokens':>13}  {dimension}")
    for key, tally in groups.items():
        turns = f"{tally.turns or 0:>7,}  " if with_turns else ""
        name = one_line(key) or "(none)"
        output.line(f"{tally.threads:>7,}  {turns}{tally.tokens:>13,}  {name}")


def _plot(dimension: str, groups: Mapping[str, Tally], total: Tally) -> None:
    """A table with a bar for the tokens of each row."""
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
    found: Statistics, dimensions: Sequence[str], limit: int, *, complete: bool
) -> dict[str, Any]:
    def entry(tally: Tally) -> dict[str, Any]:
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


__all__ = ["DIMENSIONS", "moment", "run"]
