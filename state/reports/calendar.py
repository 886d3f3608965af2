"""Hours of UTC as hours, days, weeks and months of a time zone.

Usage is kept by whole hours of UTC. Where a time zone is off by half an hour, the hour in which a
day begins counts for that day as a whole.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_ORDINAL_1970: Final = date(1970, 1, 1).toordinal()
_FIRST_RULES: Final = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) // HOUR_S
_LAST_RULES: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) // HOUR_S
"""Hours outside of these have the offset of the nearest one inside."""
TIMES: Final = ("hour", "day", "week", "month")
HOUR_OF_WEEK: Final = "hour of week"
"""Hours from Monday's first one, 0, to 167."""
BUCKETS: Final = (*TIMES, HOUR_OF_WEEK)
_WEEK_H: Final = 7 * 24


class Shift(NamedTuple):
    """How much later a time of one span is than the same time of the span before it."""

    months: int = 0
    days: int = 0
    hours: int = 0

    def moved(self, then: datetime, sign: int = 1) -> datetime:
        """``then`` moved, by the calendar; a day that its month does not have becomes the last one.

        Raises:
            OverflowError: that is outside of the calendar.
        """
        months = then.year * 12 + then.month - 1 + sign * self.months
        try:
            first = then.replace(year=months // 12, month=months % 12 + 1, day=1)
        except ValueError as error:
            raise OverflowError("a time outside of the calendar") from error
        last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        found = first.replace(day=min(then.day, last.day))
        return found + sign * timedelta(days=self.days, hours=self.hours)


class Calendar:
    """The calendar of a time zone; that of this machine if it is None."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self.zone = zone

    def offset(self, hour: int) -> int:
        """How many seconds the clock is before UTC in an hour since 1970."""
        hour = min(max(hour, _FIRST_RULES), _LAST_RULES)
        then = datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(self.zone)
        return round((then.utcoffset() or timedelta()).total_seconds())

    def clock(self, seconds: float) -> datetime:
        """What the clock shows at a time since 1970. Raises OverflowError if that is outside of the
        calendar."""
        try:
            return datetime.fromtimestamp(seconds, UTC).astimezone(self.zone).replace(tzinfo=None)
        except (ValueError, OSError) as error:
            raise OverflowError("a time outside of the calendar") from error

    def ms_of(self, then: datetime) -> int:
        """A time of the clock in milliseconds since 1970. Raises OverflowError if there is none."""
        try:
            aware = then.replace(tzinfo=self.zone) if self.zone else then.astimezone()
            return int((aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
        except ValueError as error:
            raise OverflowError("a time outside of the calendar") from error

    def hour_of(self, then: datetime) -> int:
        """The hour since 1970 that a time of the clock is in. Raises OverflowError if there is
        none."""
        return self.ms_of(then) // (HOUR_S * 1000)

    def seconds_sql(self, first: int, last: int) -> str:
        """SQL for the last second of the hour ``u.hour`` on the clock, in seconds since 1970. It
        holds for hours from ``first`` to ``last``."""
        changes = [*self._changes(first, last)]
        offset = str(changes[0][1])
        if len(changes) > 1:
            parts = "".join(
                f" WHEN u.hour < {until} THEN {offset}"
                for (until, _), (_, offset) in zip(changes[1:], changes, strict=False)
            )
            offset = f"CASE{parts} ELSE {changes[-1][1]} END"
        return f"(u.hour * {HOUR_S} + {HOUR_S - 1} + {offset})"

    def _changes(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The hours from which other offsets hold, with those: a binary search in each day whose
        beginning and end differ."""
        first = min(max(first, _FIRST_RULES), _LAST_RULES)
        last = min(max(last, _FIRST_RULES), _LAST_RULES)
        here, offset = first, self.offset(first)
        yield here, offset
        while here < last:
            there = min(here + 24, last)
            if self.offset(there) != offset:
                low, high = here, there
                while high - low > 1:
                    middle = (low + high) // 2
                    if self.offset(middle) == offset:
                        low = middle
                    else:
                        high = middle
                there, offset = high, self.offset(high)
                yield there, offset
            here = there


def bucket_sql(dimension: str, seconds: str) -> str:
    """SQL for one of ``BUCKETS`` that seconds since 1970 are in: a number; for months, their
    text."""
    if dimension == "month":
        return f"strftime('%Y-%m', {seconds}, 'unixepoch')"
    sizes = {"hour": HOUR_S, "day": _DAY_S, "week": 7 * _DAY_S}
    since_year_1 = f"({seconds} + {(_ORDINAL_1970 - 1) * _DAY_S})"  # which began on a Monday
    if dimension == HOUR_OF_WEEK:
        return f"{since_year_1} / {HOUR_S} % {_WEEK_H}"
    return f"{since_year_1} / {sizes[dimension]}"


def bucket_name(dimension: str, bucket: int | str, shift: Shift | None = None) -> str:
    """What people call a value of :func:`bucket_sql`, moved on by ``shift``: weeks by their
    Monday. A day that there is not a month later, such as the 31st, keeps its name, and so do weeks
    and months that are not moved by whole ones: else two of them had one."""
    if dimension == HOUR_OF_WEEK:
        return str(bucket)
    try:
        then = _begin(dimension, bucket)
        if shift and _whole(dimension, shift):
            moved = shift.moved(then)
            then = moved if shift.moved(moved, -1) == then else then
    except (ValueError, OverflowError):  # an hour of a year that no calendar has
        return str(bucket)
    if dimension == "month":
        return then.date().isoformat()[:7]
    return then.isoformat(" ", "minutes") if dimension == "hour" else then.date().isoformat()


def _whole(dimension: str, shift: Shift) -> bool:
    """Whether what begins a week or a month still does when it is moved."""
    if dimension == "month":
        return not (shift.days or shift.hours)
    return dimension != "week" or not (shift.months or shift.hours or shift.days % 7)


def _begin(dimension: str, bucket: int | str) -> datetime:
    if dimension == "month":
        year, _, month = str(bucket).partition("-")
        return datetime(int(year), int(month), 1)
    return _YEAR_1 + int(bucket) * _LENGTHS[dimension]


_YEAR_1: Final = datetime(1, 1, 1)
_LENGTHS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
