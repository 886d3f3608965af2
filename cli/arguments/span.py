"""Words for times and time zones: ``7d``, ``monday``, ``this-month``, ``2026-10``,
``Europe/Berlin``."""

import math
import os
import re
import time
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import typer

from cli.arguments.values import AGE, SECONDS
from state.reports.calendar import HOUR_S, Calendar, Shift

if TYPE_CHECKING:
    from state.reports.stats import Span

_HOUR_MS: Final = HOUR_S * 1000
_YEAR: Final = re.compile(r"\d{4}")
_MONTH: Final = re.compile(r"\d{4}-\d\d")
_WEEK: Final = re.compile(r"\d{4}-W\d\d")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_IN_A_CALENDAR: Final = (("year", _YEAR), ("month", _MONTH), ("week", _WEEK), ("day", _DAY))
_EXAMPLES: Final = (
    "a day (2026-11-20, today, yesterday, monday), a week (this-week, last-week, 2026-W47), a month"
    " (this-month, last-month, 2026-11), a year (2026), a time"
    " (2026-11-20T12:00) or an age (30m, 12h, 7d, 2w, 6mo, 1y)"
)
_WEEKDAYS: Final = (
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)
Unit = Literal["hour", "day", "week", "month", "year"]


class When(NamedTuple):
    """A point in time, in milliseconds since 1970, and what it is the beginning of."""

    ms: int
    unit: Unit
    then: datetime
    """On the clock."""

    @property
    def hour(self) -> int:
        """The hour since 1970 that it is in."""
        return self.ms // _HOUR_MS


def when(text: str, calendar: Calendar, now_s: float) -> When:
    """What a word for a time means. Ages of a day or more begin at midnight.

    Raises:
        ValueError: it is no such word.
        OverflowError: it is before or after all times.
    """
    now = calendar.clock(now_s)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    word = "-".join(text.lower().split())
    ago = AGE.fullmatch(word)
    if ago and ago[2] in ("m", "h"):
        then_s = now_s - int(ago[1]) * SECONDS[ago[2]]
        return When(int(then_s * 1000), "hour", calendar.clock(then_s))
    unit: Unit = "day"
    if ago:
        then = today - timedelta(days=math.ceil(int(ago[1]) * SECONDS[ago[2]] / SECONDS["d"]))
    elif word in ("today", "yesterday"):
        then = today - timedelta(days=word == "yesterday")
    elif word in _WEEKDAYS:  # the last one, which may be today
        then = today - timedelta(days=(today.weekday() - _WEEKDAYS.index(word)) % 7)
    elif word in ("this-week", "last-week"):
        unit = "week"
        then = today - timedelta(days=today.weekday() + 7 * (word == "last-week"))
    elif word in ("this-month", "last-month"):
        unit = "month"
        then = Shift(months=word == "last-month").moved(today.replace(day=1), -1)
    elif _YEAR.fullmatch(text):
        unit, then = "year", datetime.fromisoformat(f"{text}-01-01")
    elif _MONTH.fullmatch(text):
        unit, then = "month", datetime.fromisoformat(f"{text}-01")
    elif _WEEK.fullmatch(text):
        unit, then = "week", datetime.fromisoformat(text)
    else:
        then = datetime.fromisoformat(text)
        unit = "day" if _DAY.fullmatch(text) else "hour"
        if then.tzinfo:
            then = calendar.clock(then.timestamp())
    return When(calendar.ms_of(then), unit, then)


def times_of(
    since: str | None, until: str | None, calendar: Calendar, now_s: float
) -> tuple[When | None, When | None]:
    """What ``--since`` and ``--until`` name. Raises typer.BadParameter if there is nothing between
    them, or if one of them is no time."""
    begin = _option("--since", since, calendar, now_s)
    end = _option("--until", until, calendar, now_s)
    if begin and end and begin.ms >= end.ms:
        raise typer.BadParameter(
            "--until must be later than --since: it names the first moment that does not count\n"
            "for example: --since last-week --until this-week"
        )
    return begin, end


def span_of(
    since: str | None, until: str | None, calendar: Calendar, now_s: float
) -> "tuple[Span, When | None, When | None]":
    """The span of whole hours that ``--since`` and ``--until`` name, and its ends. Raises
    typer.BadParameter if they name none."""
    from state.reports.stats import Span

    begin, end = times_of(since, until, calendar, now_s)
    if begin and end and begin.hour >= end.hour:
        raise typer.BadParameter("--until must be an hour later than --since, or more")
    return Span(begin and begin.hour, end and end.hour), begin, end


def span_before(
    begin: When | None, end: When | None, calendar: Calendar, now_s: float
) -> "tuple[Span, Shift]":
    """The span before another one, which begins at ``begin`` and ends at ``end``, or now. It has as
    many days, weeks or months, and ends at the same time of its last day. Raises
    typer.BadParameter if the other has no beginning."""
    from state.reports.stats import Span

    if begin is None:
        raise typer.BadParameter("--compare needs a span: add --since 7d, --since this-month, …")
    last = end or When(math.ceil(now_s / HOUR_S) * _HOUR_MS, "hour", calendar.clock(now_s))
    hours = max(last.hour - begin.hour, 1)
    days = math.ceil((last.then - begin.then) / timedelta(days=1))
    if begin.unit == "hour":
        shift = Shift(hours=hours)
    elif begin.unit == "day":
        shift = Shift(days=max(days, 1))
    elif begin.unit == "week":
        shift = Shift(days=7 * max(math.ceil(days / 7), 1))
    else:
        months = 12 * (last.then.year - begin.then.year) + last.then.month - begin.then.month
        months += last.then > Shift(months=months).moved(begin.then)
        if begin.unit == "year":
            months = 12 * math.ceil(months / 12)
        shift = Shift(months=max(months, 1))
    try:
        if begin.unit == "hour":
            return Span(begin.hour - hours, begin.hour), shift
        since = calendar.hour_of(shift.moved(begin.then, -1))
        until = calendar.hour_of(shift.moved(last.then, -1)) + (end is None)
        return Span(since, min(until, begin.hour)), shift
    except OverflowError:
        raise typer.BadParameter("--compare: there is no time before --since") from None


def _option(name: str, text: str | None, calendar: Calendar, now_s: float) -> When | None:
    try:
        return None if text is None else when(text, calendar, now_s)
    except OverflowError:
        raise typer.BadParameter(
            f"{name}: {text} is out of range\ngive a time from 0001-01-02 to 9999-12-30"
        ) from None
    except ValueError:
        for unit, shape in _IN_A_CALENDAR:
            if text and shape.fullmatch(text):
                raise typer.BadParameter(f"{name}: there is no {unit} {text}") from None
        raise typer.BadParameter(f"{name}: {text!r} is no time\ngive {_EXAMPLES}") from None


def calendar_of(name: str | None) -> tuple[Calendar, str]:
    """The calendar of a time zone, by default the local one, and what the zone is called. Raises
    typer.BadParameter if there is no such zone."""
    if name is not None:
        return Calendar(_zone(name)), name
    time.tzset()
    return Calendar(), _local_name()


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter(
            f"--timezone: this system knows no time zone {name!r}\ngive a name such as"
            " Europe/Berlin, America/Los_Angeles or UTC"
        ) from None


def _local_name() -> str:
    named = os.environ.get("TZ", "").removeprefix(":")
    if named:
        return named
    _, found, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return name if found else time.tzname[0]
