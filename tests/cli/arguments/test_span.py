"""Words for times, and the spans that they limit."""

from datetime import UTC, datetime

import pytest
import typer

from cli.arguments.span import span_before, span_of, when
from cli.arguments.values import age_of, amount_of
from state.reports.calendar import Calendar


@pytest.mark.parametrize(
    ("text", "hour", "unit"),
    [
        ("today", "2026-11-18T00", "day"),
        ("yesterday", "2026-11-17T00", "day"),
        ("wednesday", "2026-11-18T00", "day"),
        ("thursday", "2026-11-12T00", "day"),
        ("monday", "2026-11-16T00", "day"),
        ("this-week", "2026-11-16T00", "week"),
        ("last-week", "2026-11-09T00", "week"),
        ("Last week", "2026-11-09T00", "week"),
        ("this-month", "2026-11-01T00", "month"),
        ("last-month", "2026-10-01T00", "month"),
        ("2026", "2026-01-01T00", "year"),
        ("2026-02", "2026-02-01T00", "month"),
        ("2026-W40", "2026-09-28T00", "week"),
        ("2026-02-03", "2026-02-03T00", "day"),
        ("2026-02-03T04:59", "2026-02-03T04", "hour"),
        ("2026-02-03T04:59+01:00", "2026-02-03T03", "hour"),
        ("0d", "2026-11-18T00", "day"),
        ("2w", "2026-11-04T00", "day"),
        ("1y", "2025-11-18T00", "day"),
        ("12mo", "2025-11-18T00", "day"),
        ("1mo", "2026-10-18T00", "day"),
        ("30m", "2026-11-18T14", "hour"),
        ("36h", "2026-11-17T03", "hour"),
    ],
)
def test_words_for_times(text: str, hour: str, unit: str) -> None:
    now_s = datetime(2026, 11, 18, 15, 20, tzinfo=UTC).timestamp()
    found = when(text, Calendar(UTC), now_s)
    assert found.hour == int(datetime.fromisoformat(f"{hour}:00+00:00").timestamp()) // 3600
    assert found.unit == unit


@pytest.mark.parametrize(
    ("since", "until", "before"),
    [
        ("7d", None, ("2026-11-03T00", "2026-11-10T16")),
        ("this-week", None, ("2026-11-09T00", "2026-11-11T16")),
        ("last-week", "this-week", ("2026-11-02T00", "2026-11-09T00")),
        ("this-month", None, ("2026-10-01T00", "2026-10-18T16")),
        ("last-month", "this-month", ("2026-09-01T00", "2026-10-01T00")),
        ("2026-01", "2026-04", ("2025-10-01T00", "2026-01-01T00")),
        ("2026", None, ("2025-01-01T00", "2025-11-18T16")),
        ("2026-W40", "2026-W41", ("2026-09-21T00", "2026-09-28T00")),
        ("today", None, ("2026-11-17T00", "2026-11-17T16")),
        ("12h", None, ("2026-11-17T14", "2026-11-18T03")),
        ("2026-11-01", "2026-11-03", ("2026-10-30T00", "2026-11-01T00")),
    ],
)
def test_the_span_before(since: str, until: str | None, before: tuple[str, str]) -> None:
    now_s = datetime(2026, 11, 18, 15, 20, tzinfo=UTC).timestamp()
    calendar = Calendar(UTC)
    _, begin, end = span_of(since, until, calendar, now_s)
    span, _ = span_before(begin, end, calendar, now_s)
    shown = [datetime.fromtimestamp((hour or 0) * 3600, UTC).isoformat()[:13] for hour in span]
    assert tuple(shown) == before


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("2026-02-30", "there is no day 2026-02-30"),
        ("2026-13", "there is no month 2026-13"),
        ("2026-W54", "there is no week 2026-W54"),
        ("0000", "there is no year 0000"),
        ("3000y", "3000y is out of range"),
        ("999999999d", "999999999d is out of range"),
        ("0001-01-01", "0001-01-01 is out of range"),
        ("tomorrow", "--since: 'tomorrow' is no time\ngive a day"),
        ("2026-11-20T25:00", "is no time\ngive a day"),
    ],
)
def test_a_time_that_is_refused_gets_the_reason(word: str, why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        span_of(word, None, Calendar(), 1_790_000_000)


def test_amounts_and_ages() -> None:
    assert [amount_of("", text) for text in ("0", "5000", "100k", "1.5M", "2GB", "0.001k")] == [
        *(0, 5000, 100_000, 1_500_000, 2_000_000_000, 1),
    ]
    assert [age_of("", text) for text in ("30m", "2w", "12mo")] == [
        *(1800, 14 * 86_400, 365 * 86_400),
    ]
    for wrong in ("", "k", "-1", "1e5", "1,000", "10 apples", "٣"):
        with pytest.raises(typer.BadParameter, match="--min-size"):
            amount_of("--min-size", wrong)
        with pytest.raises(typer.BadParameter, match="--older-than"):
            age_of("--older-than", wrong)
