"""The rates of one model, and for which hours they hold."""

from datetime import UTC, date, datetime
from typing import Final, NamedTuple

FIRST_HOUR: Final = -(10**9)
LAST_HOUR: Final = 10**9
"""Hours since 1970 before and after all times."""
DAY_HOURS: Final = 24


def first_hour(day: date) -> int:
    """The hour since 1970 with which a day begins, in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 3600


class Pair(NamedTuple):
    """What a price depends on, as ``thread_usage`` has it."""

    provider: str
    model: str
    service_tier: str
    long_context: int
    """Input tokens that each response exceeds: some prices double there."""


class Prices(NamedTuple):
    """Of one token of each kind, in USD. Input is what was not cached."""

    input: float
    cached_input: float
    cache_write: float
    output: float


class Rate(NamedTuple):
    """Prices of the hours since 1970 from ``from_hour`` on, before ``until_hour``, whose hour of
    the day (UTC) is from ``day_from`` on, before ``day_until``."""

    prices: Prices
    from_hour: int = FIRST_HOUR
    until_hour: int = LAST_HOUR
    day_from: int = 0
    day_until: int = DAY_HOURS
