"""What was used today, in the current block and this week, with the rate limits."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from rollout.usage.model import UsageKey, UsageSums
from state.db.steps import Steps
from state.db.usage_sql import RATES_JOIN
from state.reports.calendar import HOUR_S, Calendar
from state.reports.groups import COUNTS, TALLY_SQL, Tally, tally_of
from state.reports.recent import Recent

_BLOCK_H: Final = 5
_WEEK_H: Final = 7 * 24
_LONGEST_BLOCK_MIN: Final = 24 * 60
_MAIN: Final = ("codex", "")
"""The ids of the limits that hold for all models."""
_PRICED: Final = f"hour, model, provider, service_tier, long_context, {', '.join(COUNTS)}"
_COLUMNS: Final = ("row_id", *UsageKey._fields, *UsageSums._fields)
_ALL: Final = ", ".join(_COLUMNS)
_KEY: Final = ", ".join(("row_id", *UsageKey._fields))
_SUMS: Final = ", ".join(f"sum({name})" for name in UsageSums._fields)
_TEXTS: Final = frozenset({"model", "provider", "effort", "service_tier"})
_ADDED: Final = ", ".join(
    f"value ->> {n}" if name in _TEXTS else f"CAST(value ->> {n} AS bigint)"
    for n, name in enumerate(_COLUMNS)
)
_SQL: Final = (
    f"WITH added({_ALL}) AS (SELECT {_ADDED} FROM json_each(?)),"
    f" changed({_ALL}) AS (SELECT {_KEY}, {_SUMS} FROM (SELECT {_ALL} FROM thread_usage"
    " WHERE row_id IN (SELECT row_id FROM added) UNION ALL SELECT * FROM added) c"
    f" GROUP BY {_KEY} HAVING sum(total) <> 0),"
    f" u AS (SELECT {_PRICED} FROM thread_usage WHERE hour >= ?"
    " AND row_id NOT IN (SELECT row_id FROM added)"
    f" UNION ALL SELECT {_PRICED} FROM changed WHERE hour >= ?)"
    f" SELECT u.hour, {TALLY_SQL} FROM u {RATES_JOIN}"
    " GROUP BY u.hour ORDER BY u.hour"
)
"""The threads that changed have the rows that the index will have, before these are priced: prices
do not hold for what is added or taken away."""


class Limit(NamedTuple):
    """A rate limit, as Codex was told of it."""

    used_percent: float
    window_min: int
    resets_at: int
    """Seconds since 1970."""

    @property
    def begins_at(self) -> int:
        """When its window began, in seconds since 1970."""
        return self.resets_at - self.window_min * 60


@dataclass(slots=True)
class Window:
    """What was used since some hour."""

    since: int | None
    """Hours since 1970; None if there is no such time at present."""
    until_s: int | None = None
    """When it ends, in seconds since 1970."""
    used_percent: float | None = None
    """Of its rate limit, if that is known."""
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Now:
    """What ``stats now`` tells."""

    today: Window
    block: Window
    """The current five hours."""
    week: Window
    plan: str | None
    told_at_ms: int | None
    """When Codex was told of the rate limits."""


def now_steps(calendar: Calendar, now_s: float, recent: Recent) -> Steps[Now]:
    """What was used, with what the index does not have yet."""
    told = yield "SELECT value FROM thread_limits ORDER BY at_ms DESC LIMIT 1", []
    snapshot = _snapshot(told[0][0] if told else None, recent)
    limits = [limit for limit in _limits(snapshot) if limit.begins_at <= now_s < limit.resets_at]
    clock = calendar.clock(now_s)
    midnight = clock.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = calendar.hour_of(midnight - timedelta(days=midnight.weekday()))
    today = calendar.hour_of(midnight)
    short = [limit for limit in limits if limit.window_min <= _LONGEST_BLOCK_MIN]
    long = [limit for limit in limits if limit.window_min > _LONGEST_BLOCK_MIN]
    week = _window(long[0]) if long else Window(monday, _seconds(calendar, midnight))
    first = min(monday, today, week.since or today, int(now_s) // HOUR_S - _WEEK_H)
    added = [
        [row_id, *key, *sums] for row_id, rows in recent.rows.items() for key, sums in rows.items()
    ]
    rows = yield _SQL, [orjson.dumps(added).decode(), first, first]
    hours = [(hour, tally_of(0, *sums)) for hour, *sums in rows]
    block = _window(short[0]) if short else _block([hour for hour, _ in hours], now_s)
    found = Now(
        Window(today),
        block,
        week,
        snapshot.get("plan_type") if isinstance(snapshot.get("plan_type"), str) else None,
        snapshot.get("at_ms"),
    )
    for window in (found.today, found.block, found.week):
        for hour, tally in hours:
            if window.since is not None and hour >= window.since:
                window.tally.add(tally)
    return found


def _seconds(calendar: Calendar, midnight: datetime) -> int:
    """When the week of a day ends."""
    return calendar.hour_of(midnight + timedelta(days=7 - midnight.weekday())) * HOUR_S


def _snapshot(told: str | None, recent: Recent) -> dict[str, Any]:
    """The newest limits that hold for all models, else the newest ones."""
    every: dict[str, Any] = {}
    for text in (told, recent.limits.value if recent.limits else None):
        try:
            every |= json.loads(text or "{}")
        except ValueError:
            continue
    found = {id_: each for id_, each in every.items() if isinstance(each, dict)}
    main = [found[id_] for id_ in _MAIN if id_ in found] or [*found.values()]
    return max(main, key=lambda each: each.get("at_ms") or 0, default={})


def _limits(snapshot: dict[str, Any]) -> list[Limit]:
    """The limits of a snapshot that say when they are reset."""
    found = []
    for name in ("primary", "secondary"):
        match snapshot.get(name):
            case {
                "used_percent": int() | float() as used,
                "window_minutes": int(minutes),
                "resets_at": int(resets_at),
            } if 0 < minutes < _LONGEST_MIN and 0 < resets_at < _LATEST_S:
                found.append(Limit(float(used), minutes, resets_at))
    return sorted(found, key=lambda limit: limit.window_min)


_LONGEST_MIN: Final = 60 * 24 * 366
_LATEST_S: Final = 2**40


def _window(limit: Limit) -> Window:
    return Window(limit.begins_at // HOUR_S, limit.resets_at, limit.used_percent)


def _block(hours: list[int], now_s: float) -> Window:
    """The block that the hours with use make: it begins with the first use after the one before has
    ended, or after a pause as long."""
    start = before = None
    for hour in hours:
        if start is None or before is None or max(hour - start, hour - before) >= _BLOCK_H:
            start = hour
        before = hour
    if start is None or now_s >= (start + _BLOCK_H) * HOUR_S:
        return Window(None)
    return Window(start, (start + _BLOCK_H) * HOUR_S)
