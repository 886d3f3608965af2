"""``stats``: what threads used, by day, model, project and so on."""

import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer

from cli.arguments.span import span_before, span_of, when
from cli.render.stats.columns import layout
from cli.render.stats.svg import axis_of_amounts, axis_of_money
from rollout.history.count import ThreadFiles, turn_counts
from rollout.history.transcript import open_transcript
from state.reports import DIMENSIONS
from state.reports.calendar import Calendar
from tests.cli.commands.test_export import well_formed
from tests.cli.test_terminal import COLOUR, HOSTILE, STYLE, hostile_characters, on_terminal
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.command import Cli, Inside

PROJECTS = ["/w/one", "/w/two", "/w/one", "/w/\x1b[31m<b>three"]
UTC_DAYS = ("--timezone", "UTC")


def used(
    number: int, *responses: tuple[str, str, int], cwd: str = "/w", **meta: Any
) -> list[dict[str, Any]]:
    """The lines of a thread with responses: when, of which model, and how many tokens; a tenth of
    them is output, and a fifth cached."""
    made = lines(number, cwd=cwd, **meta)[:1]
    total = 0
    for stamp, model, tokens in responses:
        total += tokens
        part = {"cached_input_tokens": tokens // 5, "output_tokens": tokens // 10}
        last = {"input_tokens": tokens - tokens // 10, **part, "total_tokens": tokens}
        info = {"total_token_usage": {"total_tokens": total}, "last_token_usage": last}
        turn = {"cwd": cwd, "model": model, "effort": "high"}
        made += [
            {"timestamp": stamp, "type": "turn_context", "payload": turn},
            event(stamp, "user_message", message=HOSTILE),
            event(stamp, "token_count", info=info, rate_limits=None),
        ]
    return made


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    """Four threads that were used on three days, with three models, of which one has no price."""
    made = Inside(tmp_path / "home", tmp_path, {"TZ": "UTC"})
    for number, responses in enumerate(
        (
            [("2026-10-01T08:10:00Z", "gpt-5", 1000), ("2026-10-02T23:30:00Z", "gpt-5", 2000)],
            [("2026-10-02T09:00:00Z", "gpt-5-mini", 500)],
            [("2026-10-03T07:59:59Z", "gpt-5", 100), ("2026-10-03T08:00:00Z", "mine", 50)],
            [("2026-11-15T20:00:00Z", "gpt-5", 10)],
        )
    ):
        source = "exec" if number == 1 else "cli"
        content = encoded(used(number, *responses, cwd=PROJECTS[number], source=source))
        write(made.home, number, content, archived=number == 2)
    return made


def groups(document: dict[str, Any], what: str = "totalTokens") -> dict[str, Any]:
    return {each["key"]: each[what] for each in document["groups"]}


def by(cli: Cli, *dimensions: str, more: tuple[str, ...] = (), status: int = 0) -> Any:
    words = [word for name in dimensions for word in ("--by", name)]
    return cli.run("stats", "--json", *words, *more, status=status).json


def test_everything_is_counted_by_each_dimension(cli: Cli) -> None:
    assert groups(by(cli, "day")) == {
        "2026-10-01": 1000,
        "2026-10-02": 2500,
        "2026-10-03": 150,
        "2026-11-15": 10,
    }
    assert groups(by(cli, "week"), "threads") == {"2026-09-28": 3, "2026-11-09": 1}
    assert groups(by(cli, "month")) == {"2026-10": 3650, "2026-11": 10}
    assert groups(by(cli, "hour"), "responses")["2026-10-02 23:00"] == 1
    assert [*groups(by(cli, "project"))] == ["/w/one", "/w/two", PROJECTS[3]]
    assert groups(by(cli, "model")) == {"gpt-5": 3110, "gpt-5-mini": 500, "mine": 50}
    assert groups(by(cli, "source")) == {"cli": 3160, "exec": 500}
    assert groups(by(cli, "thread"), "name")[thread_id(3)] == HOSTILE
    for dimension in DIMENSIONS:
        document = by(cli, dimension)
        assert (document["threads"], document["responses"]) == (4, 6)
        for name in ("totalTokens", "inputTokens", "cachedInputTokens", "outputTokens"):
            assert sum(groups(document, name).values()) == document[name]
        assert document["totalTokens"] == 3660
        assert document["costUsd"] == pytest.approx(
            sum(filter(None, groups(document, "costUsd").values()))
        )


def test_rows_can_be_split_once_more(cli: Cli) -> None:
    document = by(cli, "model", "day")
    for group in document["groups"]:
        for name in ("responses", "totalTokens", "unpricedTokens"):
            assert sum(groups(group, name).values()) == group[name]
    assert document["groups"][0]["threads"] == 3
    assert groups(document["groups"][0], "threads") == {
        "2026-10-01": 1,
        "2026-10-02": 1,
        "2026-10-03": 1,
        "2026-11-15": 1,
    }
    assert document["by"] == ["model", "day"]


def test_the_cost_is_that_of_the_view_and_no_price_is_not_nothing(cli: Cli) -> None:
    document = by(cli, "model")
    [(cost, unpriced)] = cli.run(
        "query", "--json", "SELECT sum(cost), sum(iif(cost IS NULL, total, 0)) FROM v_usage"
    ).json["rows"]
    assert document["costUsd"] == pytest.approx(cost)
    assert document["unpricedTokens"] == unpriced == 50
    assert groups(document, "costUsd")["mine"] is None
    (without,) = document["unpriced"]
    assert without == {"model": "mine", "provider": "openai", "totalTokens": 50}
    ran = cli.run("stats", "--by", "model")
    assert ran.lines[-1].split()[-1] == "—"
    assert "No price is known for mine (50 tokens): add it to" in ran.err
    own = cli.index.with_name("prices.toml")
    own.write_text('[[price]]\nmodel = "mine"\ninput = 1000000\noutput = 0\n')
    priced = by(cli, "model")
    assert groups(priced, "costUsd")["mine"] == pytest.approx(45)
    assert priced["unpriced"] == []
    own.write_text('[[price]]\nmodel = "mine"\nsince = 2026-10-04\ninput = 1\noutput = 0\n')
    assert "for mine on these days (50 tokens): add it to" in cli.run("stats").err
    own.write_text("[[price]]\n")
    assert "prices.toml" in cli.run("stats", status=2).err


def test_rows_are_sorted_by_cost_where_all_has_a_price(cli: Cli) -> None:
    dear = used(9, ("2026-10-03T08:00:00Z", "gpt-5-pro", 300))
    write(cli.home, 9, encoded(dear))
    assert by(cli, "day")["sort"] is None
    document = by(cli, "model")  # one of them has no price
    assert (document["sort"], [*groups(document)][:2]) == ("tokens", ["gpt-5", "gpt-5-mini"])
    document = by(cli, "model", more=("--sort", "cost"))
    assert document["sort"] == "cost"
    assert [*groups(document)] == ["gpt-5-pro", "gpt-5", "gpt-5-mini", "mine"]
    document = by(cli, "day", "model", more=("--until", "2026-10-03T08:00", "--sort", "tokens"))
    assert document["sort"] == "tokens"
    document = by(cli, "thread", more=("--until", "2026-10-03T08:00"))
    assert document["sort"] == "cost"
    costs = [*groups(document, "costUsd").values()]
    assert costs == sorted(costs, reverse=True)
    refused = cli.run("stats", "--by", "week", "--sort", "cost", status=2).err
    assert "add --by thread" in refused


def test_times_limit_what_was_used(cli: Cli) -> None:
    def counted(*words: str) -> tuple[int, int]:
        document = cli.run("stats", "--json", *words).json
        return document["threads"], document["totalTokens"]

    assert counted("--since", "2026-10-02") == (4, 2660)
    assert counted("--until", "2026-10-02") == (1, 1000)
    assert counted("--since", "2026-10", "--until", "2026-11") == (3, 3650)
    assert counted("--since", "2026-10-03T08:30", "--until", "2026-10-03T09:00:01Z") == (1, 50)
    east = ("--timezone", "Pacific/Kiritimati")  # 14 hours before UTC
    assert counted("--since", "2026-10-03", *east) == (3, 2160)


def test_why_there_is_nothing_is_told(cli: Cli, tmp_path: Path) -> None:
    def told(*words: str) -> str:
        return cli.run("stats", *words, status=1).err.splitlines()[0]

    assert told("--since", "2030") == (
        "Nothing was used since 2030-01-01 (the last use was on 2026-11-15):"
        " threadkeep stats --since 2026-11-15"
    )
    assert told("--until", "2026-10-01T06:00", "--cwd", "/w/one").startswith(
        "Nothing was used before 2026-10-01T06:00 (the first use was on 2026-10-01)"
    )
    assert told("--since", "2026-10-05", "--until", "2026-10-07").startswith(
        "Nothing was used from 2026-10-05 to 2026-10-07"
        " (the first use was on 2026-10-01, the last on 2026-11-15)"
    )
    assert told("--cwd", "/nowhere") == "No threads match."
    without = Inside(tmp_path / "without", tmp_path)
    for count in (1, 2):
        write(without.home, count, encoded(lines(count)[:3]))
        for words in ([], ["--since", "today"]):
            ran = without.run("stats", *words, status=1)
            assert ran.err == (
                "The one thread that matches has no token counts.\n"
                if count == 1
                else "None of the 2 threads has token counts.\n"
            )


def test_days_are_those_of_the_time_zone(cli: Cli) -> None:
    west = {"2026-10-01": 1000, "2026-10-02": 2500, "2026-10-03": 150}
    zone = {"TZ": "America/Los_Angeles"}
    ran = cli.run("stats", "--json", "--until", "2026-11", env=zone).json
    assert groups(ran) == west
    assert ran["timezone"] == "America/Los_Angeles"
    assert groups(by(cli, "day", more=("--timezone", "Asia/Tokyo", "--until", "2026-11"))) == {
        "2026-10-01": 1000,
        "2026-10-02": 500,
        "2026-10-03": 2150,
    }
    assert groups(by(cli, "hour", more=("--timezone", "Asia/Kolkata")))["2026-10-01 14:00"] == 1000


def test_filters_leave_out_and_say_so(cli: Cli) -> None:
    for words, tokens, threads in (
        (["--archived"], 150, 1),
        (["--source", "exec"], 500, 1),
        (["--cwd", "/w/one"], 3150, 2),
        (["--search", "gnp.exe", "--exclude", thread_id(0)], 660, 3),
    ):
        document = by(cli, "day", more=tuple(words))
        assert (document["totalTokens"], document["threads"]) == (tokens, threads)
        assert document["leftOut"] == {"threads": 4 - threads, "totalTokens": 3660 - tokens}
        left_out = f"Left out by filters: {4 - threads} thread"
        assert left_out in cli.run("stats", *words).err
    assert by(cli, "day")["leftOut"] == {"threads": 0, "totalTokens": 0}
    assert by(cli, "day", more=("--provider", "other"), status=1)["leftOut"]["threads"] == 4


def test_a_span_is_compared_with_the_one_before(cli: Cli) -> None:
    more = ("--since", "2026-10-02", "--until", "2026-10-03", "--compare")
    document = by(cli, "model", more=more)
    assert (document["totalTokens"], document["before"]["totalTokens"]) == (2500, 1000)
    assert {each["key"]: each["before"]["totalTokens"] for each in document["groups"]} == {
        "gpt-5": 1000,
        "gpt-5-mini": 0,
    }
    document = by(cli, "day", "project", more=more)
    assert groups(document) == {"2026-10-02": 2500}
    assert document["groups"][0]["before"]["totalTokens"] == 1000
    limits = {name: document["before"][name] for name in ("since", "until")}
    assert limits == {"since": "2026-10-01T00:00:00Z", "until": "2026-10-02T00:00:00Z"}
    ran = cli.run("stats", "--by", "model", *more)
    assert ran.lines[1:] == [
        "before (since 2026-10-01 00:00, until 2026-10-02 00:00, UTC): 1,000 tokens (+150%),"
        " $0.0019 (+110%)",
        "",
        "model       total  before  change     cost   before  change",
        "gpt-5       2,000   1,000   +100%  $0.0038  $0.0019   +100%",
        "gpt-5-mini    500       0     new  $0.0002    $0.00     new",
    ]
    assert "--compare needs a span" in cli.run("stats", "--compare", status=2).err
    page = cli.base / "stats.html"
    cli.run("stats", "--by", "day", *more, "--html", str(page))
    text = "".join(well_formed(page.read_text("utf-8")).itertext())
    assert "before (since 2026-10-01 00:00, until 2026-10-02 00:00, UTC)" in text
    assert "before 1.0k (+150%)" in text
    assert text.count("totalbeforechangecostbeforechange") == 4


def test_two_days_before_are_never_one_row(cli: Cli) -> None:
    days = [(f"2026-10-{day}T20:00:00Z", "gpt-5", day) for day in (30, 31)]
    write(cli.home, 9, encoded(used(9, *days, ("2026-11-30T20:00:00Z", "gpt-5", 7))))
    more = ("--since", "2026-11", "--until", "2026-12", "--compare")
    document = by(cli, "day", more=more)
    before = {each["key"]: each["before"]["totalTokens"] for each in document["groups"]}
    assert (before["2026-11-30"], before["2026-10-31"]) == (30, 31)
    assert document["before"]["totalTokens"] == sum(before.values()) == 3711
    ran = cli.run("stats", *more)
    assert "Only the span before has such a day: 2026-10-31." in ran.err


@pytest.mark.parametrize(
    ("text", "hour", "unit"),
    [
        ("today", "2026-11-18T00", "day"),
        ("yesterday", "2026-11-17T00", "day"),
        ("this-week", "2026-11-16T00", "week"),
        ("last-week", "2026-11-09T00", "week"),
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
    "words",
    [
        ["--by", "moon"],
        ["--by", "day", "--by", "model", "--by", "source"],
        ["--since", "soon"],
        ["--until", "99999999d"],
        ["--since", "9999y"],
        ["--since", "2x"],
        ["--since", "-1d"],
        ["--since", "2026-13"],
        ["--until", "2026-10-01", "--since", "2026-10-01"],
        ["--timezone", "Mars/Olympus"],
        ["--timezone", "../../etc/passwd"],
        ["--timezone", "America"],
        ["--timezone", ""],
        ["--compare", "--since", "0001-01-02", "--timezone", "UTC"],
        ["--limit", "0"],
    ],
)
def test_what_has_no_meaning_is_refused(cli: Cli, words: list[str]) -> None:
    ran = cli.run("stats", *words, status=2)
    assert ran.out == ""
    assert words[0] in ran.err


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
        ("tomorrow", "--since must be a day"),
        ("2026-11-20T25:00", "--since must be a day"),
    ],
)
def test_a_time_that_is_refused_gets_the_reason(word: str, why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        span_of(word, None, Calendar(), 1_790_000_000)


def test_pipes_get_numbers_and_terminals_bars(cli: Cli) -> None:
    ran = cli.run("stats", "--by", "project", "--limit", "2")
    assert ran.lines == [
        "4 threads, 6 responses, 3,660 tokens (3,294 in, 732 cached; 366 out,"
        " 0 reasoning), ≥$0.0061",
        "",
        "project  threads  responses  input  cached  output  reasoning  total      cost",
        "/w/one         2          4  2,835     630     315          0  3,150  ≥$0.0059",
        "/w/two         1          1    450     100      50          0    500   $0.0002",
        "1 more project: --limit N shows it",
    ]
    real = Cli(cli.home, cli.base)
    for words in ([], ["--by", "project", "--by", "model"], ["--by", "thread"]):
        shown = on_terminal(real, "stats", *words, columns=130)
        assert "█" in shown
        assert COLOUR.search(shown)
        assert hostile_characters(shown) == set()
        assert all(len(line) <= 130 for line in STYLE.sub("", shown).splitlines())
    assert not COLOUR.search(on_terminal(real, "stats", env={"NO_COLOR": "1"}))


class Started(Cli):
    """The command in a process that has its locale from its environment."""

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        return super().start(*arguments, **options, pass_fds=())  # no fork has its locale


def test_bars_need_no_blocks(cli: Cli) -> None:
    shown = on_terminal(Started(cli.home, cli.base), "stats", env={"LC_ALL": "C"})
    assert "█" not in shown
    assert "####" in shown


NUMBERS = ("threads", "responses", "input", "cached", "output", "reasoning", "total", "cost")


@pytest.mark.parametrize(
    ("names", "room", "numbers", "widths"),
    [
        ([10], 120, "threads responses input cached output reasoning total cost", [10]),
        ([10], 100, "threads responses input cached output reasoning total cost", [10]),
        ([60], 100, "threads responses input cached output reasoning total cost", [29]),
        ([60], 80, "threads input cached output total cost", [31]),
        ([60], 60, "input output total cost", [28]),
        ([60], 40, "total cost", [26]),
        ([60], 28, "total cost", [14]),
        ([30, 30], 100, "threads responses input cached output total cost", [19, 19]),
        ([30, 30], 40, "total cost", [12, 13]),
    ],
)
def test_numbers_are_never_cut(
    names: list[int], room: int, numbers: str, widths: list[int]
) -> None:
    needed = [max(len(name), 6) for name in NUMBERS]
    fit = layout(names, NUMBERS, needed, room)
    assert " ".join(NUMBERS[place] for place in fit.numbers) == numbers
    assert fit.names == widths
    used = [*fit.names, *(needed[place] for place in fit.numbers), *[fit.bar] * (fit.bar > 0)]
    assert sum(used) + fit.gap * (len(used) - 1) <= room
    assert (fit.bar > 0) == (numbers.split() == [*NUMBERS] and names == [10])


def test_narrow_terminals_keep_the_cost(cli: Cli) -> None:
    real = Cli(cli.home, cli.base)
    for words in (["--by", "thread"], ["--by", "project", "--by", "model"]):
        shown = STYLE.sub("", on_terminal(real, "stats", *words, columns=40))
        table = shown.splitlines()[-6:]
        assert all(len(line) <= 40 for line in table)
        assert "$0.0059" in shown or "$0.0057" in shown
        assert "threads" not in shown.splitlines()[2:][0].split()
    assert "threads" not in cli.run("stats", "--by", "thread").lines[2].split()


def test_the_page_is_well_formed_and_has_charts(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "stats.html"
    ran = cli.run("stats", "--turns", "--by", "day", "--by", "project", "--html", str(page))
    assert ran.lines == [str(page)]
    root = well_formed(page.read_text("utf-8"))
    tokens, cost, week = root.iter("svg")
    assert len([each for each in tokens.iter("rect") if each.get("fill")]) == 6
    assert len([each for each in cost.iter("line") if each.get("class") == "line"]) == 45
    assert [each.text for each in tokens.iter("text")][:5] == ["0", "1k", "2k", "3k", "4k"]
    assert all(each.get("viewBox") is None for each in (tokens, cost, week))
    assert len([*week.iter("rect")]) == 168
    text = "".join(root.itertext())
    assert "<b>three" in text
    for name in ("by day and project", "by model", "by project", "by source"):
        assert name in text
    assert "2026-10-02\ngpt-5: 2,000 tokens, $0.0038\ngpt-5-mini: 500 tokens, $0.0002" in text
    assert "No price is known for mine (50 tokens)" in text
    cli.run("stats", "--since", "2026-10-02", "--html", str(page), "--timezone", "Asia/Tokyo")
    assert "since 2026-10-02 00:00" in page.read_text("utf-8")
    document = cli.run("stats", "--html", str(page), "--json").json
    assert document["threads"] == 4
    cli.run("stats", "--html", str(tmp_path / "no" / "x.html"), status=2)
    assert "name one" in cli.run("stats", "--html", f"{tmp_path}/new/", status=2).err
    cli.run("stats", "--since", "2030-01-01", "--html", str(page), status=1)
    empty = well_formed(page.read_text("utf-8"))
    assert not [*empty.iter("svg")]
    assert not [*empty.iter("table")]
    assert "No tokens were used in this time." in "".join(empty.itertext())


@pytest.mark.parametrize(
    ("most", "tokens", "money"),
    [
        (1, ["0", "0.25", "0.50", "0.75", "1.00"], ["$0", "$0.25", "$0.50", "$0.75", "$1.00"]),
        (2e6, ["0", "0.5M", "1.0M", "1.5M", "2.0M"], None),
        (800, ["0", "200", "400", "600", "800"], ["$0", "$200", "$400", "$600", "$800"]),
        (1000, ["0", "0.25k", "0.50k", "0.75k", "1.00k"], None),
        (0.01, None, ["$0", "$0.0025", "$0.0050", "$0.0075", "$0.0100"]),
        (0.00002, None, ["$0", "$0.000005", "$0.000010", "$0.000015", "$0.000020"]),
    ],
)
def test_an_axis_has_one_form_of_numbers(
    most: float, tokens: list[str] | None, money: list[str] | None
) -> None:
    assert tokens is None or axis_of_amounts(most) == tokens
    assert money is None or axis_of_money(most) == money


def test_a_page_says_what_is_little_and_what_bars_are(cli: Cli, tmp_path: Path) -> None:
    write(cli.home, 9, encoded(used(9, ("2026-10-02T08:00:00Z", "gpt-5", 3))))
    page = tmp_path / "stats.html"
    cli.run("stats", "--by", "thread", "--html", str(page))
    root = well_formed(page.read_text("utf-8"))
    text = "".join(root.itertext())
    assert "input, 22% cached" in text
    assert "share of tokens" in text
    first = next(root.iter("table"))
    assert [each.text for each in first.iter("th")][:2] == ["thread", "responses"]
    path = write(cli.home, 8, encoded(used(8, ("2026-10-02T08:00:00Z", "gpt-5", 900_000))))
    path.write_bytes(path.read_bytes().replace(b'"cached_input_tokens":180000,', b""))
    cli.run("stats", "--html", str(page))
    assert "input, &lt;1% cached" in page.read_text("utf-8")


def test_a_page_of_many_years_has_few_columns(cli: Cli, tmp_path: Path) -> None:
    old = used(9, ("0001-01-02T00:00:00Z", "gpt-5", 5), ("9999-12-30T23:59:59Z", "gpt-5", 5))
    write(cli.home, 9, encoded(old))
    page = tmp_path / "stats.html"
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        cli.run("stats", "--html", str(page), "--timezone", zone)
        chart = next(well_formed(page.read_text("utf-8")).iter("svg"))
        assert len([*chart.iter("rect")]) < 30


def test_turns_count_when_they_began(cli: Cli) -> None:
    document = by(cli, "day", more=("--turns",))
    assert document["turns"] == 6
    assert groups(document, "turns") == {
        "2026-10-01": 1,
        "2026-10-02": 2,
        "2026-10-03": 2,
        "2026-11-15": 1,
    }
    assert groups(by(cli, "model", more=("--turns",)), "turns") == {
        "gpt-5": 4,
        "gpt-5-mini": 1,
        "mine": 1,
    }
    assert by(cli, "day", more=("--turns", "--since", "2026-10-03"))["turns"] == 3
    assert by(cli, "source", more=("--turns", "--archived"))["turns"] == 2
    assert by(cli, "day")["turns"] is None


def test_turns_that_a_fork_copied_count_in_the_thread_they_are_of(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    first, last = lines(1), lines(60)
    copied = event("2026-05-28T20:00:01Z", "task_started", turn_id=thread_id(2))
    own = event("2026-05-28T20:01:00Z", "task_started", turn_id=thread_id(61))
    write(cli.home, 1, encoded([first[0], copied, first[2]]))
    write(cli.home, 60, encoded([last[0], copied, first[2], own, last[2]]))
    assert groups(by(cli, "thread", more=("--turns",)), "turns") == {
        thread_id(1): 1,
        thread_id(60): 1,
    }


def test_turns_are_as_many_as_show_has_but_for_older_ones(corpus_home: Path) -> None:
    paths = [path for path in corpus_home.rglob("rollout-*") if path.suffix in (".jsonl", ".zst")]
    names = [ThreadFiles(path.relative_to(corpus_home).as_posix()) for path in paths]
    counts = turn_counts(str(corpus_home), names)
    compared = 0
    for path, count in zip(paths, counts, strict=True):
        if count.problem:
            continue
        with open_transcript(path, lambda _: None) as dialogue:
            born = path.name[28:64]
            older = [turn for turn in dialogue.turns if made(turn.id) < made(born) < float("inf")]
            assert len(count.hours) == len(dialogue.turns) - len(older), path
            compared += len(count.hours) > 0
    assert compared > 150


def made(id_: str) -> float:
    """The time in a version 7 UUID; without one, after all times."""
    try:
        id_of = UUID(id_)
    except ValueError:
        return float("inf")
    return id_of.int >> 80 if id_of.version == 7 else float("inf")


def test_files_whose_turns_cannot_be_counted_are_named(cli: Cli) -> None:
    path = write(cli.home, 9, encoded(lines(9, history_mode="new")))
    ran = cli.run("stats", "--turns", "--json", status=6)
    (problem,) = ran.json["problems"]
    assert problem["path"].endswith(path.name)
    assert "'new'" in problem["reason"]
    assert path.name in ran.err


def test_a_subscription_is_told(cli: Cli) -> None:
    limits = {"limit_id": "codex", "plan_type": "plus"}
    told = event("2026-10-01T08:20:00Z", "token_count", info=None, rate_limits=limits)
    content = used(9, ("2026-10-01T08:10:00Z", "gpt-5", 1000))
    write(cli.home, 9, encoded([*content, told]))
    assert by(cli, "day")["subscriptionThreads"] == 1
    assert "1 thread used a subscription" in cli.run("stats").err
    assert by(cli, "day", more=("--since", "2026-10-02"))["subscriptionThreads"] == 0


def test_an_empty_home_and_unreadable_files(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    (cli.home / "sessions").mkdir(parents=True)
    assert cli.run("stats", status=1).err == f"No threads here yet: {cli.home}\n"
    write(cli.home, 1, b"nothing of use\n")
    ran = cli.run("stats", status=1)
    assert "Not counted: 1 unreadable file (threadkeep status)." in ran.err
    assert by(cli, "day", status=1)["unreadable"] == 1


@pytest.mark.parametrize("column", ["hour", "total", "output"])
def test_a_value_of_the_wrong_type_is_damage(cli: Cli, column: str) -> None:
    before = cli.run("stats", "--by", "model").out
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        connection.execute(f"UPDATE thread_usage SET {column} = 'x' WHERE model = 'mine'")
    ran = cli.run("stats", "--by", "model")
    assert ran.out == before
    assert "was moved to" in ran.err


def test_the_corpus_is_counted_as_the_index_has_it(corpus: Cli) -> None:
    documents = [by(corpus, dimension) for dimension in DIMENSIONS]
    with closing(sqlite3.connect(f"file:{corpus.index}?mode=ro", uri=True)) as connection:
        asked = "SELECT sum(total), sum(responses), count(DISTINCT thread_id) FROM v_usage"
        [counted] = connection.execute(asked)
    for document in documents:
        found = document["totalTokens"], document["responses"], document["threads"]
        assert found == counted
        assert document["complete"] is True
