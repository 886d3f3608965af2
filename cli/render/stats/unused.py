"""Why there are no statistics, for people."""

from typing import TYPE_CHECKING

from cli.terminal.text import plural
from state.reports.calendar import HOUR_S, Calendar

if TYPE_CHECKING:
    from state.reports.stats import Asked
    from state.reports.unused import Unused


def nothing_used(unused: "Unused", asked: "Asked", command: str = "threadkeep stats") -> str:
    """Why nothing was used, and where to look instead, by the ``command``; empty if no thread
    matches."""
    if not unused.threads:
        return ""
    if unused.hours is None:
        if unused.threads == 1:
            return "The one thread that matches has no token counts."
        return f"None of the {plural(unused.threads, 'thread')} has token counts."
    since, until = (_time(hour, asked.calendar) for hour in asked.span)
    first, last = (_day(hour, asked.calendar) for hour in unused.hours)
    ends = f"the first use was on {first}, the last on {last}"
    if not until:
        when, ends = f"since {since}", f"the last use was on {last}"
    elif not since:
        when, ends = f"before {until}", f"the first use was on {first}"
    else:
        when = f"from {since} to {until}"
    begin = first if until else last
    return f"Nothing was used {when} ({ends}): {command} --since {begin}"


def _time(hour: int | None, calendar: Calendar) -> str:
    if hour is None:
        return ""
    return calendar.clock(hour * HOUR_S).isoformat("T", "minutes").removesuffix("T00:00")


def _day(hour: int, calendar: Calendar) -> str:
    """The day that an hour counts for, which is that of its end."""
    return calendar.clock((hour + 1) * HOUR_S - 1).date().isoformat()
