"""What is used now, in one line and as JSON."""

from typing import TYPE_CHECKING, Any, Final

from cli.render.stats.document import tally_json
from cli.terminal.text import amount, iso, money, one_line
from state.reports.calendar import HOUR_S, Calendar

if TYPE_CHECKING:
    from state.reports.now import Now, Window

_DAY_S: Final = 86_400
_UNKNOWN: Final = "—"


def line(now: "Now", calendar: Calendar, now_s: float) -> str:
    """The usual line."""
    block = "no 5-hour block" if now.block.since is None else f"5h {_spent(now.block)}"
    parts = [f"today {_spent(now.today)}", block, f"week {_spent(now.week)}"]
    for place, window in ((1, now.block), (2, now.week)):
        if window.used_percent is not None:
            used, resets = f"{window.used_percent:.0f}% used", _resets(window, calendar, now_s)
            parts[place] += f", {used}, resets {resets}"
    return " · ".join(parts)


def places(now: "Now", calendar: Calendar, now_s: float) -> dict[str, str]:
    """What ``--format`` may name, and the values."""
    values = {"plan": one_line(now.plan or "") or _UNKNOWN}
    for name, window in (("today", now.today), ("block", now.block), ("week", now.week)):
        values[f"{name}.cost"] = money(window.tally.spent, window.tally.unpriced)
        values[f"{name}.tokens"] = amount(window.tally.total)
        values[f"{name}.responses"] = str(window.tally.responses)
        if name != "today":
            used = window.used_percent
            values[f"{name}.used"] = _UNKNOWN if used is None else f"{used:.0f}%"
            values[f"{name}.resets"] = _resets(window, calendar, now_s)
            values[f"{name}.left"] = _left(window, now_s)
    return values


def document(now: "Now", zone: str, now_s: float) -> dict[str, Any]:
    """As JSON: see docs/json.md."""
    return {
        "timezone": zone,
        "at": iso(int(now_s * 1000)),
        "today": _window_json(now.today),
        "block": _window_json(now.block),
        "week": _window_json(now.week),
        "plan": now.plan,
        "limitsAt": None if now.told_at_ms is None else iso(now.told_at_ms),
    }


def _window_json(window: "Window") -> dict[str, Any]:
    counts = tally_json(window.tally)
    del counts["threads"], counts["turns"]
    return {
        "since": None if window.since is None else iso(window.since * HOUR_S * 1000),
        "until": None if window.until_s is None else iso(window.until_s * 1000),
        **counts,
        "usedPercent": window.used_percent,
    }


def _spent(window: "Window") -> str:
    tokens = f"{amount(window.tally.total)} tokens"
    cost = window.tally.spent
    return tokens if cost is None else f"{money(cost, window.tally.unpriced)} ({tokens})"


def _resets(window: "Window", calendar: Calendar, now_s: float) -> str:
    """On the clock; with the day if that is another one."""
    if window.until_s is None:
        return _UNKNOWN
    then = calendar.clock(window.until_s)
    clock = f"{then:%H:%M}"
    return (
        clock if then.date() == calendar.clock(now_s).date() else f"{_DAYS[then.weekday()]} {clock}"
    )


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _left(window: "Window", now_s: float) -> str:
    """How long it goes on."""
    if window.until_s is None:
        return _UNKNOWN
    seconds = max(int(window.until_s - now_s), 0)
    days, hours, minutes = seconds // _DAY_S, seconds // HOUR_S % 24, seconds // 60 % 60
    return f"{days}d {hours}h" if days else f"{hours}h {minutes}m" if hours else f"{minutes}m"
