"""``stats``: what threads used, by day, model, project and so on."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from rollout.history.count import ThreadFiles, turn_counts
from rollout.history.transcript import open_transcript
from state.reports import DIMENSIONS
from tests.cli.export.test_export import well_formed
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.samples.hostile import HOSTILE
from tests.samples.usage import PROJECTS, used, used_home
from tests.support.command import Cli, Inside

UTC_DAYS = ("--timezone", "UTC")


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    return used_home(tmp_path)


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
    assert [*groups(by(cli, "project"))] == ["one", "two", PROJECTS[3].removeprefix("/w/")]
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


@pytest.mark.parametrize("sort", ["cost", "tokens"])
def test_the_first_threads_are_those_of_the_whole_table(corpus: Cli, sort: str) -> None:
    whole = by(corpus, "thread", more=("--sort", sort, "--limit", "9" * 30))
    part = by(corpus, "thread", more=("--sort", sort, "--limit", "25"))
    assert part["count"] == whole["count"] == len(whole["groups"]) > 25
    assert part["groups"] == whole["groups"][:25]


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
    assert (
        cli.run("stats", "--by", "day,model").out
        == cli.run(*("stats", "--by", "day", "--by", "model")).out
    )
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
    assert "Only the span before has this day: 2026-10-31." in ran.err


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


def test_the_folders_of_a_project_are_one_row(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    git = {"repository_url": "git@github.com:acme/api.git"}
    for number, (cwd, model) in enumerate(
        [("/a/api", "gpt-5"), ("/b/fix", "gpt-5"), ("/b/fix/src", "mine"), ("/c/other", "mine")]
    ):
        response = ("2026-10-01T10:00:00Z", model, 100)
        facts: dict[str, Any] = {} if cwd == "/c/other" else {"git": git}
        write(cli.home, number, encoded(used(number, response, cwd=cwd, **facts)))
    assert groups(by(cli, "project"), "threads") == {"api": 3, "other": 1}
    (api, other) = by(cli, "project", "model", more=("--turns",))["groups"]
    assert (api["key"], api["threads"], api["totalTokens"], api["turns"]) == ("api", 3, 300, 3)
    assert groups(api, "threads") == {"gpt-5": 2, "mine": 1}
    assert (other["key"], other["threads"]) == ("other", 1)
    sizes = cli.run("du", "--by", "project", "--json").json["by"]["project"]
    assert groups(sizes, "files") == {"api": 3, "other": 1}
