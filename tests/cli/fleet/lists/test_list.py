"""``list --fleet``: the list of a home, of many machines."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fleet.lists.machines import LAPTOP_ONLY, Machines, corpus_machines
from tests.support.command import Cli, Inside
from tests.support.postgres.cluster import Cluster, Fleet


@pytest.fixture(scope="module")
def machines(
    cluster: Cluster, corpus: Cli, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    with corpus_machines(cluster, corpus, tmp_path_factory.mktemp("user")) as made:
        yield made


def of_index(thread: dict[str, Any]) -> dict[str, Any]:
    """What a home's own list has of a thread. The path is that below the home."""
    own = {
        key: value for key, value in thread.items() if key not in ("machine", "user", "machines")
    }
    return own | {"path": own["path"].partition("sessions/")[2]}


def test_the_list_is_that_of_the_home(machines: Machines, corpus: Cli) -> None:
    theirs = corpus.run("list", "--json", "--all", "--all-sources").json
    ours = machines.document("list", "--all", "--all-sources")
    assert [*map(of_index, ours["data"])] == [*map(of_index, theirs["data"])]
    for key in ("nextCursor", "backwardsCursor", "hidden", "fallbackPreview", "complete"):
        unreadable = {"unreadable": 0} if key == "hidden" else {}
        assert ours[key] == (theirs[key] | unreadable if unreadable else theirs[key])


def test_each_thread_is_listed_once_with_its_machines(machines: Machines) -> None:
    threads = machines.document("list", "--all", "--all-sources")["data"]
    assert len({thread["id"] for thread in threads}) == len(threads)
    assert all(thread["machines"][0] == thread["machine"] for thread in threads)
    by_machine = [(thread["machine"], thread["user"], thread["machines"]) for thread in threads]
    alone = ("laptop", "ann", ["laptop"])
    assert [each for each in by_machine if each == alone] == [alone] * LAPTOP_ONLY
    assert {tuple(each[2]) for each in by_machine if each != alone} == {("desktop", "laptop")}


def test_a_machine_lists_what_its_index_does_with_its_cursors(
    machines: Machines, corpus: Cli
) -> None:
    first = machines.document("list", "--machine", "laptop", "--limit", "7")
    assert {thread["machine"] for thread in first["data"]} == {"laptop"}
    own = corpus.run("list", "--json", "--limit", "7").json
    assert first["nextCursor"] == own["nextCursor"]
    following = corpus.run("list", "--json", "--cursor", first["nextCursor"]).json
    fleets = machines.document("list", "--machine", "laptop", "--cursor", own["nextCursor"])
    assert [*map(of_index, fleets["data"])] == [*map(of_index, following["data"])]


def test_users_choose_by_the_newest_copy(machines: Machines) -> None:
    threads = machines.document("list", "--all", "--all-sources", "--user", "ann")["data"]
    assert len(threads) == LAPTOP_ONLY
    both = machines.document("list", "--all", "--all-sources", "--user", "ann", "--user", "bob")
    assert len(both["data"]) == len(machines.document("list", "--all", "--all-sources")["data"])
    refused = machines.cli.run("list", "--fleet", "--user", "an", status=2)
    assert "no user of the fleet is called 'an': it has ann" in refused.err
    refused = machines.cli.run("list", "--fleet", "--machine", "top", status=2)
    assert "no machine of the fleet is called 'top': it has desktop, laptop" in refused.err


def test_a_pipe_gets_the_machine_and_the_user_behind_the_usual_columns(machines: Machines) -> None:
    lines = machines.cli.run("list", "--fleet", "--all", "--user", "ann").lines
    assert {tuple(line.split("\t")[6:]) for line in lines} == {("laptop", "ann")}
    named = machines.cli.run("list", "--fleet", "--columns", "user,id", "--limit", "1").lines
    assert named[0].split("\t")[0] == "ann"


def test_the_address_may_be_given_and_words_that_are_none_are_not_taken_for_it(
    machines: Machines,
) -> None:
    address = machines.cli.extra["THREADKEEP_FLEET"]
    without = Inside(machines.cli.home, machines.cli.base)
    assert without.ids("--fleet", address, "--limit", "3") == machines.cli.ids(
        "--fleet", "--limit", "3"
    )
    refused = machines.cli.run("list", "--fleet", "laptop", status=2)
    assert "laptop" in refused.err
    refused = without.run("list", "--fleet", status=2)
    assert "no fleet is named" in refused.err


def test_what_only_a_fleet_has_is_refused_without_one(corpus: Cli) -> None:
    for words in (("--machine", "laptop"), ("--user", "ann"), ("--columns", "machine")):
        assert "add --fleet" in corpus.run("list", *words, status=2).err


def test_an_empty_fleet_says_how_it_is_filled(fleet: Fleet, tmp_path: Path) -> None:
    cli = Inside(tmp_path / "none", tmp_path, {"THREADKEEP_FLEET": fleet.reader()})
    ran = cli.run("list", "--fleet", status=1)
    assert ran.out == ""
    assert "threadkeep push" in ran.err


def test_costs_are_by_the_prices_of_the_reader(machines: Machines, corpus: Cli) -> None:
    with closing(sqlite3.connect(corpus.index)) as index:
        assert index.execute("SELECT count(*) FROM thread_usage").fetchone()[0]
    words = ("--all", "--all-sources", "--columns", "id,used,cost")
    own = corpus.run("list", *words, "--no-sync").lines
    assert machines.cli.run("list", "--fleet", *words).lines == own
