"""``stats``: threads, turns and tokens by day, project and so on."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.commands.stats import moment
from rollout.history.count import turn_counts
from rollout.history.transcript import open_transcript
from state.reports.stats import DIMENSIONS
from tests.cli.commands.test_export import well_formed
from tests.cli.test_terminal import COLOUR, HOSTILE, STYLE, hostile_characters, on_terminal
from tests.samples.rollouts import envelope
from tests.support.command import Cli, Inside, write_rollout
from tests.support.reading import turn

PROJECTS = ["/w/one", "/w/two", "/w/one", "/w/\x1b[31m<b>three"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Inside(tmp_path / "home", tmp_path)
    for number, cwd in enumerate(PROJECTS):
        path = write_rollout(made.home, number * 3600 * 6, HOSTILE, cwd=cwd)
        usage = {"total_tokens": 100 * (number + 1)}
        count = {"type": "token_count", "info": {"total_token_usage": usage}}
        lines = [*turn(1), *turn(2), envelope("event_msg", count)]
        if number == 3:  # a day later
            path.write_text(path.read_text("utf-8").replace("2026-10-15", "2026-10-16"), "utf-8")
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    return made


def groups(document: dict[str, Any], dimension: str, what: str) -> dict[str, int]:
    return {each["key"]: each[what] for each in document["by"][dimension]["groups"]}


def test_threads_and_tokens_are_counted_by_each_dimension(cli: Cli) -> None:
    names = [word for name in DIMENSIONS for word in ("--by", name)]
    document = cli.run("stats", *names, "--json").json
    assert (document["threads"], document["turns"], document["tokens"]) == (4, None, 1000)
    assert groups(document, "project", "tokens") == {
        "/w/one": 400,
        PROJECTS[3]: 400,
        "/w/two": 200,
    }
    assert groups(document, "project", "threads")["/w/one"] == 2
    assert list(groups(document, "day", "threads")) == ["2026-10-15", "2026-10-16"]
    assert groups(document, "month", "threads") == {"2026-10": 4}
    assert groups(document, "source", "threads") == {"cli": 4}
    assert groups(document, "provider", "tokens") == {"openai": 1000}
    for dimension in DIMENSIONS:
        assert sum(groups(document, dimension, "threads").values()) == 4
        assert sum(groups(document, dimension, "tokens").values()) == 1000


def test_turns_are_counted_when_asked_for(cli: Cli) -> None:
    document = cli.run("stats", "--turns", "--json").json
    assert document["turns"] == 4 * 3  # a message before the first turn is one, too
    assert groups(document, "project", "turns")["/w/one"] == 6
    assert document["problems"] == []


def test_turns_are_as_many_as_show_has_in_the_threads_own_file(corpus_home: Path) -> None:
    paths = [path for path in corpus_home.rglob("rollout-*") if path.suffix in (".jsonl", ".zst")]
    names = [path.relative_to(corpus_home).as_posix() for path in paths]
    counts = turn_counts(str(corpus_home), names)
    compared = 0
    for path, count in zip(paths, counts, strict=True):
        if count.problem:
            continue
        with open_transcript(path, lambda _: None) as dialogue:
            assert count.turns == len(dialogue.turns), path
            compared += count.turns > 0
    assert compared > 150


def test_it_counts_what_list_gives(corpus: Cli) -> None:
    for filters in (
        [],
        ["--archived"],
        ["--all-sources"],
        ["--source", "exec"],
        ["--cwd", "/home/dev/projects/beta"],
        ["--search", "changelog"],
    ):
        listed = corpus.run("list", "--all", "--json", *filters).json["data"]
        document = corpus.run("stats", "--json", *filters).json
        assert document["threads"] == len(listed)
        assert document["complete"] is True
    with sqlite3.connect(f"file:{corpus.index}?mode=ro", uri=True) as connection:
        (tokens,) = connection.execute(
            "SELECT sum(tokens_used) FROM threads WHERE archived = 0"
        ).fetchone()
    connection.close()
    everything = corpus.run("stats", "--all-sources", "--json").json["tokens"]
    assert everything == tokens


def test_times_limit_it(cli: Cli) -> None:
    def counted(*words: str) -> int:
        number: int = cli.run("stats", "--json", *words).json["threads"]
        return number

    assert counted("--since", "2026-10-16") == 1
    assert counted("--until", "2026-10-16") == 3
    assert counted("--since", "2026-10-15T06:00", "--until", "2026-10-15T12:00:01Z") == 2
    assert cli.run("stats", "--since", "2030-01-01", status=1).err == "No threads match.\n"


def test_moments() -> None:
    now = datetime(2026, 11, 21, 15, tzinfo=UTC)
    assert moment("0d", now=now) == int(datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1000)
    assert moment("7d", now=now) == int(datetime(2026, 11, 14, tzinfo=UTC).timestamp() * 1000)
    assert moment("2w", now=now) == moment("14d", now=now)
    assert moment("1y", now=now) == moment("365d", now=now)
    assert moment("36h", now=now) == int(datetime(2026, 11, 20, 3, tzinfo=UTC).timestamp() * 1000)
    assert moment("30m", now=now) == moment("2026-11-21T14:30")
    assert moment("1970-01-02") == 86_400_000
    assert moment("1970-01-01T01:00+01:00") == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--by", "moon"],
        ["--since", "soon"],
        ["--until", "99999999d"],
        ["--since", "9999y"],
        ["--since", "2x"],
        ["--since", "-1d"],
        ["--limit", "0"],
    ],
)
def test_what_has_no_meaning_is_refused(cli: Cli, words: list[str]) -> None:
    ran = cli.run("stats", *words, status=2)
    assert ran.out == ""
    assert words[0] in ran.err


def test_pipes_get_numbers_and_terminals_bars(cli: Cli) -> None:
    ran = cli.run("stats", "--by", "project", "--limit", "2")
    assert ran.lines == [
        "4 threads, 1,000 tokens",
        "",
        "threads         tokens  project",
        "      1            400  /w/<b>three",
        "      2            400  /w/one",
        "… 1 more (--limit)",
    ]
    real = Cli(cli.home, cli.base)
    shown = on_terminal(real, "stats")
    assert "█" in shown
    assert COLOUR.search(shown)
    assert hostile_characters(shown) == set()
    assert all(len(line) <= 100 for line in STYLE.sub("", shown).splitlines())
    assert not COLOUR.search(on_terminal(real, "stats", env={"NO_COLOR": "1"}))


def test_the_page_is_well_formed_and_has_charts(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "stats.html"
    ran = cli.run("stats", "--turns", "--html", str(page))
    assert ran.lines == [str(page)]
    root = well_formed(page.read_text("utf-8"))
    (chart,) = root.iter("svg")
    assert len([*chart.iter("rect")]) == 2
    text = "".join(root.itertext())
    assert "<b>three" in text
    assert "12 turns" in text
    document = cli.run("stats", "--html", str(page), "--json").json
    assert document["threads"] == 4
    cli.run("stats", "--html", str(tmp_path / "no" / "x.html"), status=2)


def test_files_whose_turns_cannot_be_counted_are_named(cli: Cli) -> None:
    path = write_rollout(cli.home, 9, "hello")
    text = path.read_text().replace('"cli_version"', '"history_mode": "new", "cli_version"')
    path.write_text(text)
    ran = cli.run("stats", "--turns", "--json", status=6)
    (problem,) = ran.json["problems"]
    assert problem["path"].endswith(path.name)
    assert "'new'" in problem["reason"]
    assert path.name in ran.err
