"""``stats --fleet``: what threads on many machines used, at the reader's prices."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from state.reports import DIMENSIONS, OF_FLEET
from tests.cli.fleet.lists.machines import LAPTOP_ONLY, Machines, corpus_machines
from tests.samples.usage import used_home
from tests.support.command import Cli, Inside
from tests.support.postgres.cluster import Cluster, Fleet
from tests.support.postgres.copied import put_index

PRICE = """\
[[price]]
model = "mine"
input = 3.0
output = 30.0
"""
SPAN = ("--since", "2026-03", "--until", "2026-11-10")
ASKED: list[tuple[str, ...]] = [
    *(("--by", name) for name in DIMENSIONS),
    *(("--by", one, "--by", other) for one, other in pairwise((*DIMENSIONS, "day"))),
    *(("--by", name, *SPAN, "--compare") for name in ("month", "model", "thread")),
    ("--by", "thread", "--sort", "tokens", "-n", "7", "--timezone", "Asia/Kolkata"),
    ("--by", "hour", "--model", "gpt-5*", "--source", "cli"),
    ("--by", "project", "--provider", "openai", "--archived"),
    ("--by", "week", "--search", "the", "--min-tokens", "100"),
    ("--since", "2031"),
]
"""Every grouping, and every option that chooses or sorts."""


@pytest.fixture(scope="module")
def machines(
    cluster: Cluster, corpus: Cli, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    with corpus_machines(cluster, corpus, tmp_path_factory.mktemp("user")) as made:
        yield made


def near(value: Any) -> Any:
    """A document whose costs may differ in the last digit: they are summed in another order."""
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value) if isinstance(value, float) else value


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_a_machine_has_used_what_its_index_says(
    machines: Machines, corpus: Cli, words: tuple[str, ...]
) -> None:
    own = corpus.run("stats", *words, "--json", status=None)
    words = ("stats", "--fleet", "--machine", "laptop", *words, "--json")
    theirs = machines.cli.run(*words, status=own.status)
    assert theirs.json == near(own.json)


def test_machines_and_users_are_counted_by_the_newest_copy(machines: Machines, corpus: Cli) -> None:
    whole = corpus.run("stats", "--json").json
    for name, keys in zip(OF_FLEET, ({"desktop", "laptop"}, {"bob", "ann"}), strict=True):
        found = machines.document("stats", "--by", name)
        assert {each["key"] for each in found["groups"]} == keys
        assert sum(each["threads"] for each in found["groups"]) == whole["threads"]
        for key in ("threads", "responses", "totalTokens"):
            assert found[key] == whole[key]
    by_user = machines.document("stats", "--by", "user,month")
    [ann] = [each for each in by_user["groups"] if each["key"] == "ann"]
    assert 0 < ann["threads"] <= LAPTOP_ONLY
    alone = machines.document("stats", "--by", "month", "--user", "ann")
    assert alone["groups"] == near(ann["groups"])
    assert alone["leftOut"]["threads"] == whole["threads"] - ann["threads"]
    by_month = machines.document("stats", "--by", "month", "--by", "machine")
    assert sum(len(each["groups"]) for each in by_month["groups"]) >= len(by_month["groups"])


def test_prices_are_those_of_the_reader(fleet: Fleet, tmp_path: Path) -> None:
    own = used_home(tmp_path / "own")
    own.run("sync")
    fleet.machine("work", user="\x1b[31m<b>eve")
    put_index(fleet, "work", own.index)
    cli = Inside(own.home, tmp_path, {"THREADKEEP_FLEET": fleet.reader(), "TZ": "UTC"})
    words = ("stats", "--by", "model", "--json")
    without = cli.run(*words, "--fleet").json
    assert without == near(own.run(*words).json)
    assert [each["model"] for each in without["unpriced"]] == ["mine"]
    cli.index.parent.mkdir(parents=True)
    cli.index.with_name("prices.toml").write_text(PRICE)
    assert cli.run(*words, "--fleet").json["unpriced"] == []
    page = tmp_path / "page.html"
    cli.run("stats", "--by", "user", "--fleet", "--html", str(page))
    text = page.read_text()
    assert "Token use of the fleet" in text
    assert "<b>eve" not in text
    assert "&lt;b&gt;eve" in text


def test_what_a_fleet_cannot_tell_is_refused(machines: Machines, corpus: Cli) -> None:
    for words, said in (
        (("--turns",), "--turns reads every rollout"),
        (("now",), "--fleet is not an option of stats now"),
        (("--by", "place"), "machine, user"),
        (("--user", "an"), "no user of the fleet is called 'an'"),
    ):
        assert said in machines.cli.run("stats", "--fleet", *words, status=2).err
    for name in OF_FLEET:
        assert "add --fleet" in corpus.run("stats", "--by", name, status=2).err
    refused = machines.cli.run("stats", "now", "--fleet", status=2)
    assert "--fleet" in refused.err


def test_an_empty_fleet_says_how_it_is_filled(fleet: Fleet, tmp_path: Path) -> None:
    cli = Inside(tmp_path / "none", tmp_path, {"THREADKEEP_FLEET": fleet.reader()})
    assert "threadkeep push" in cli.run("stats", "--fleet", status=1).err
