"""Hours of UTC in the days of a time zone."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from state.reports.calendar import BUCKETS, Calendar, Shift, bucket_name, bucket_sql

ZONES = ("UTC", "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia")


def names(zone: str, hours: list[int]) -> dict[str, list[str]]:
    """The names of hours in each bucket, as SQL gives them."""
    seconds = Calendar(ZoneInfo(zone)).seconds_sql(min(hours), max(hours))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE u (hour)")
        connection.executemany("INSERT INTO u VALUES (?)", [(hour,) for hour in hours])
        found = {}
        for bucket in BUCKETS:
            sql = f"SELECT {bucket_sql(bucket, seconds)} FROM u ORDER BY rowid"
            found[bucket] = [bucket_name(bucket, key) for (key,) in connection.execute(sql)]
        return found


def hour(text: str) -> int:
    """The hour since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 3600


@pytest.mark.parametrize("zone", ZONES)
def test_sql_and_the_clock_agree_on_every_hour(zone: str) -> None:
    """Over a year and a half with every change of the clock; a day of Apia has never been."""
    start = hour("2011-06-01")
    hours = [*range(start, start + 24 * 560, 1)]
    found = names(zone, hours)
    for place, each in enumerate(hours):
        last = datetime.fromtimestamp(each * 3600 + 3599, UTC).astimezone(ZoneInfo(zone))
        assert found["hour"][place] == f"{last:%Y-%m-%d %H}:00"
        assert found["day"][place] == f"{last:%Y-%m-%d}"
        assert found["month"][place] == f"{last:%Y-%m}"
        assert found["week"][place] == f"{last - timedelta(days=last.weekday()):%Y-%m-%d}"
        assert found["hour of week"][place] == str(24 * last.weekday() + last.hour)


def test_hours_of_any_year_have_a_name() -> None:
    first, last = hour("0001-01-01T00:00"), hour("9999-12-31T23:00")
    found = names("Asia/Tokyo", [first, hour("1969-12-31T23:00"), last])
    assert found["day"] == ["0001-01-01", "1970-01-01", "3652059"]
    assert found["month"][:2] == ["0001-01", "1970-01"]
    assert len(names("America/Los_Angeles", [-(10**9), first, last, 10**9])["week"]) == 4


@pytest.mark.parametrize("zone", ZONES)
def test_an_hour_of_the_clock_is_found_again(zone: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    for text in ("2026-03-08T12:00", "2026-06-01T00:00", "2026-12-31T23:00"):
        clock = calendar.clock(hour(text) * 3600)
        assert calendar.hour_of(clock) == hour(text)
    with pytest.raises(OverflowError):
        calendar.clock(10**15)


@pytest.mark.parametrize(
    ("shift", "then", "moved"),
    [
        (Shift(days=7), "2026-10-01T08:00", "2026-10-08T08:00"),
        (Shift(months=1), "2026-01-31T00:00", "2026-02-28T00:00"),
        (Shift(months=14), "2026-11-15T00:00", "2028-01-15T00:00"),
        (Shift(hours=36), "2026-10-01T08:00", "2026-10-02T20:00"),
    ],
)
def test_times_move_by_the_calendar(shift: Shift, then: str, moved: str) -> None:
    assert shift.moved(datetime.fromisoformat(then)) == datetime.fromisoformat(moved)


def test_a_time_that_no_calendar_has_is_an_error() -> None:
    for shift in (Shift(months=12), Shift(days=400)):
        with pytest.raises(OverflowError):
            shift.moved(datetime(9999, 5, 1))
        with pytest.raises(OverflowError):
            shift.moved(datetime(1, 5, 1), -1)


@pytest.mark.parametrize(
    ("dimension", "bucket", "shift", "name"),
    [
        ("day", "2026-10-30", Shift(months=1), "2026-11-30"),
        ("day", "2026-10-31", Shift(months=1), "2026-10-31"),
        ("week", "2026-10-26", Shift(days=14), "2026-11-09"),
        ("week", "2026-10-26", Shift(days=8), "2026-10-26"),
        ("week", "2026-10-26", Shift(months=1), "2026-10-26"),
        ("month", "2026-09-01", Shift(months=2), "2026-11"),
        ("month", "2026-09-01", Shift(days=30), "2026-09"),
    ],
)
def test_moved_names_are_those_of_one(dimension: str, bucket: str, shift: Shift, name: str) -> None:
    number = date.fromisoformat(bucket).toordinal() - 1
    at = bucket[:7] if dimension == "month" else number // (7 if dimension == "week" else 1)
    assert bucket_name(dimension, at, shift) == name
