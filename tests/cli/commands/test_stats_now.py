"""``stats now``: today, the current block and the week, without bringing all up to date."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from state.query.oneshot import IndexReader
from state.reports.calendar import Calendar
from state.reports.now import Now, now_steps
from state.reports.recent import Recent, recent_steps
from tests.samples.homes import encoded, event, file_name, lines, thread_id
from tests.support.command import Cli, Inside

NOW_S = datetime(2026, 11, 18, 15, 20, tzinfo=UTC).timestamp()  # a Wednesday
HOUR_S = 3600
DAY = "2026/11/18"


def response(at_s: float, tokens: int, total: int, **limits: Any) -> dict[str, Any]:
    """A line of a response at some time, after which a counter tells the total."""
    stamp = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    last = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    info = {"total_token_usage": {"total_tokens": total}, "last_token_usage": last}
    return event(stamp, "token_count", info=info, rate_limits=limits or None)


def limits(now_s: float, used: float = 40) -> dict[str, Any]:
    """Rate limits as Codex tells them: of five hours, which end in two, and of a week."""
    ends = int(now_s) + 2 * HOUR_S
    return {
        "limit_id": "codex",
        "primary": {"used_percent": used, "window_minutes": 300, "resets_at": ends},
        "secondary": {"used_percent": 12.5, "window_minutes": 10080, "resets_at": ends + 86_400},
        "plan_type": "plus",
    }


def put(home: Path, number: int, made: list[dict[str, Any]], day: str = DAY) -> Path:
    """Write a thread into the folder of a day."""
    folder = home / "sessions" / day
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(number)
    path.write_bytes(encoded([*lines(number)[:3], *made]))
    return path


def grow(path: Path, *made: dict[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(encoded([*made]))


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    """A thread with responses of the last days."""
    made = Inside(tmp_path / "home", tmp_path)
    ages = (200, 40, 20, 4, 3, 0)
    responses = [response(NOW_S - h * HOUR_S, 2**n, 2 ** (n + 1) - 1) for n, h in enumerate(ages)]
    put(made.home, 1, responses)
    made.run("sync")
    made.run("stats")  # looks prices up
    return made


def used(cli: Cli, now_s: float = NOW_S) -> Now | None:
    """What is told without catching up; None if that has to be."""
    calendar = Calendar(UTC)
    with IndexReader.opened(cli.home, cli.index, scan=False) as reader:
        assert reader
        recent = reader.read(recent_steps(cli.home, [DAY]))
        return recent and reader.read(now_steps(calendar, now_s, recent))


def caught_up(cli: Cli, now_s: float = NOW_S) -> Now:
    """The same from an index that has caught up."""
    cli.run("sync")
    with IndexReader.opened(cli.home, cli.index) as reader:
        assert reader
        return reader.read(now_steps(Calendar(UTC), now_s, Recent({})))


def totals(now: Now | None) -> tuple[int, ...]:
    assert now
    return tuple(window.tally.total for window in (now.today, now.block, now.week))


def test_what_was_used_is_told_by_the_clock(cli: Cli) -> None:
    now = used(cli)
    assert totals(now) == (8 + 16 + 32, 8 + 16 + 32, 2 + 4 + 8 + 16 + 32)
    assert now
    assert now.block.since == NOW_S // HOUR_S - 4
    assert now.block.until_s == (NOW_S // HOUR_S + 1) * HOUR_S
    assert now.today.tally.cost
    later = used(cli, NOW_S + 6 * HOUR_S)
    assert later
    assert (later.block.since, later.block.tally.total) == (None, 0)


def test_rate_limits_tell_when_the_block_and_the_week_began(cli: Cli) -> None:
    (path,) = cli.home.rglob("*.jsonl")
    grow(path, response(NOW_S, 64, 127, **limits(NOW_S)))
    now = used(cli)
    assert now
    assert (now.block.since, now.block.used_percent) == (NOW_S // HOUR_S - 3, 40)
    assert (now.week.since, now.week.used_percent) == (NOW_S // HOUR_S - 5 * 24 + 2 - 24, 12.5)
    assert totals(now) == (8 + 16 + 32 + 64, 16 + 32 + 64, 2 + 4 + 8 + 16 + 32 + 64)
    assert now.plan == "plus"
    assert used(cli) == caught_up(cli)
    over = caught_up(cli, NOW_S + 3 * HOUR_S)  # that window has ended
    assert over.block.used_percent is None
    assert over.week.used_percent == 12.5
    early = caught_up(cli, NOW_S - 4 * HOUR_S)  # it has not begun: a clock is wrong
    assert early.block.used_percent is None


def appended(path: Path) -> None:
    grow(path, response(NOW_S, 64, 127), response(NOW_S, 128, 255))


def torn(path: Path) -> None:
    appended(path)
    with path.open("ab") as file:
        file.write(b'{"timestamp":')


def new_thread(path: Path) -> None:
    put(path.parents[4], 2, [response(NOW_S, 1000, 1000)])


def new_model(path: Path) -> None:
    turn = {"timestamp": "2026-11-18T15:00:00Z", "type": "turn_context"}
    payload = {"cwd": "/w", "model": "another"}
    grow(path, {**turn, "payload": payload}, response(NOW_S, 64, 127))


def rewritten(path: Path) -> None:
    put(path.parents[4], 1, [response(NOW_S, 5, 5)])


def touched(path: Path) -> None:
    path.touch()


def copied(path: Path) -> None:
    path.with_suffix(".jsonl.zst").write_bytes(zstandard.compress(path.read_bytes()))


def of_another_model(path: Path) -> None:
    content = path.read_bytes()
    assert b"gpt-5" in content
    path.write_bytes(content.replace(b"gpt-5", b"acme1"))


def shorter(path: Path) -> None:
    put(path.parents[4], 1, [response(NOW_S - 3 * HOUR_S, 16, 31)])


def deleted(path: Path) -> None:
    path.unlink()


def archived(path: Path) -> None:
    folder = path.parents[4] / "archived_sessions"
    folder.mkdir()
    path.rename(folder / path.name)


@pytest.mark.parametrize(
    ("change", "quick"),
    [
        (appended, True),
        (torn, True),
        (new_thread, True),
        (new_model, True),
        (rewritten, True),
        (touched, True),
        (copied, False),
        (of_another_model, True),
        (shorter, True),
        (deleted, False),
        (archived, False),
    ],
)
def test_changes_are_counted_as_the_index_will_have_them(
    cli: Cli, change: Callable[[Path], None], quick: bool
) -> None:
    (path,) = cli.home.rglob("*.jsonl")
    change(path)
    before = cli.index.read_bytes()
    told = used(cli)
    assert cli.index.read_bytes() == before
    assert (told is not None) == quick
    later = caught_up(cli)
    if told is not None:
        assert totals(told) == totals(later)
        assert told.today.tally == later.today.tally


def test_an_old_thread_that_goes_on_is_seen_among_the_latest(cli: Cli) -> None:
    old = put(cli.home, 7, [response(NOW_S - 90 * 24 * HOUR_S, 5, 5)], "2026/08/20")
    cli.run("sync")
    grow(old, response(NOW_S, 1000, 1005))
    assert totals(used(cli))[0] == 8 + 16 + 32 + 1000


@pytest.mark.parametrize(
    "value",
    ["nonsense", "[]", '{"codex": 1}', '{"codex": {"at_ms": null, "primary": {"resets_at": "x"}}}'],
)
def test_limits_that_make_no_sense_are_passed_over(cli: Cli, value: str) -> None:
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        row_id = connection.execute("SELECT row_id FROM threads").fetchone()[0]
        connection.execute("INSERT INTO thread_limits VALUES (?, 1, ?)", (row_id, value))
    assert totals(used(cli))[0] == 8 + 16 + 32


@pytest.fixture
def live(tmp_path: Path) -> Inside:
    """A home that is in use at this moment."""
    made = Inside(tmp_path / "home", tmp_path, {"TZ": "UTC"})
    now_s = time.time()
    day = time.strftime("%Y/%m/%d", time.gmtime(now_s))
    put(made.home, 1, [response(now_s, 1500, 1500, **limits(now_s))], day)
    return made


def test_the_line_and_its_parts(live: Cli) -> None:
    for _ in range(2):  # first the index is filled
        ran = live.run("stats", "now")
        (line,) = ran.lines
        assert line.startswith("today $0.0019 (1.5k tokens) · 5h $0.0019 (1.5k tokens), 40% used")
        assert "12% used, resets " in line
        assert ran.err == ""
    text = "{plan} {today.cost} {block.left} {week.used} {week.responses} {block.tokens}"
    words = live.run("stats", "now", "--format", text).out.split()
    assert words[:2] == ["plus", "$0.0019"]
    assert words[2:4] in (["1h", "59m"], ["2h", "0m"])
    assert words[4:] == ["12%", "1", "1.5k"]
    refused = live.run("stats", "now", "--format", "{moon}", status=2).err
    assert "unknown field {moon}\n  the fields are {plan}, {today.cost}" in refused
    for text in ("{today.cost", "a } b", "{}", "{Plan}", "{{plan}}"):
        assert "unknown field" in live.run("stats", "now", "--format", text, status=2).err
    assert "--timezone" in live.run("stats", "now", "--timezone", "Mars", status=2).err


def test_the_document(live: Cli) -> None:
    document = live.run("stats", "now", "--json").json
    assert (document["version"], document["complete"], document["plan"]) == (1, True, "plus")
    for name in ("today", "block", "week"):
        assert document[name]["totalTokens"] == 1500
    assert document["block"]["usedPercent"] == 40
    assert document["today"]["usedPercent"] is None
    grown = next(live.home.rglob("*.jsonl"))
    grow(grown, response(time.time(), 500, 2000))
    assert live.run("stats", "now", "--json").json["today"]["totalTokens"] == 2000


def test_options_before_now_count_or_are_refused(live: Cli) -> None:
    words = ("stats", "--json", "--timezone", "Asia/Kolkata", "now")
    assert live.run(*words).json["timezone"] == "Asia/Kolkata"
    for more in (["--since", "today"], ["--by", "day"], ["--archived"], ["--cwd", "/w"]):
        assert (
            f"{more[0]} is not an option of stats now"
            in live.run("stats", *more, "now", status=2).err
        )


def test_an_empty_home_has_used_nothing(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    (cli.home / "sessions").mkdir(parents=True)
    assert cli.run("stats", "now").lines == [
        "today $0.00 (0 tokens) · no 5-hour block · week $0.00 (0 tokens)"
    ]
    document = cli.run("stats", "now", "--json").json
    assert document["block"]["since"] is None
    assert json.dumps(document["today"]["costUsd"]) == "0.0"


def test_what_the_table_tells_of_today_is_the_same(live: Cli) -> None:
    today = live.run("stats", "--since", "today", "--json").json
    assert live.run("stats", "now", "--json").json["today"]["costUsd"] == today["costUsd"]
    assert thread_id(1) in live.run("stats", "--by", "thread").out
