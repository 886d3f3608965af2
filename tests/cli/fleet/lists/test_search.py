"""``search --fleet``: the messages that machines push, and the names of all threads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fleet.lists.machines import Machines, corpus_machines
from tests.support.command import Cli, Inside
from tests.support.postgres.cluster import Cluster, Fleet
from tests.support.terminal import on_terminal

ASKED: list[tuple[str, ...]] = [
    ("list",),
    ("list", "--sort", "matches", "--limit", "3"),
    ("SQL migration", "--all-sources", "--limit", "100"),
    ('"SQL migration"', "--asc", "--sort", "created_at"),
    ("igratio", "--literal", "--cwd", "/home/dev"),
    ("the", "--title", "parser", "--archived"),
    ("reply", "--since", "2026-03", "--until", "2026-11", "--model", "gpt-5*"),
    ("nowhere-at-all",),
]


@pytest.fixture(scope="module")
def machines(
    cluster: Cluster, corpus: Cli, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    base = tmp_path_factory.mktemp("user")
    with corpus_machines(cluster, corpus, base, messages=True) as made:
        with made.fleet.administered() as admin:
            admin.execute(
                "UPDATE threadkeep.machines SET level = CASE name WHEN 'laptop' THEN 'text'"
                " ELSE 'metadata' END"
            )
            admin.execute(
                "UPDATE threadkeep.threads t SET level = m.level FROM threadkeep.machines m"
                " WHERE m.machine_id = t.machine_id"
            )
        yield made


def found(document: dict[str, Any]) -> list[Any]:
    """What was found, without what only a fleet has."""
    return [
        (each["thread"]["id"], each["thread"]["preview"], each["matches"], each["hits"])
        for each in document["data"]
    ]


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_a_machine_finds_what_its_index_does_with_its_cursors(
    machines: Machines, corpus: Cli, words: tuple[str, ...]
) -> None:
    cursor: tuple[str, ...] = ()
    for _ in range(3):
        own = corpus.run("search", *words, *cursor, "--json", status=None)
        more = (*words, *cursor, "--machine", "laptop")
        theirs = machines.document("search", *more, status=own.status)
        assert found(theirs) == found(own.json)
        assert {each["thread"]["machine"] for each in theirs["data"]} <= {"laptop"}
        for key in ("nextCursor", "backwardsCursor", "complete"):
            assert theirs[key] == own.json[key]
        assert theirs["withoutMessages"] == 0
        if own.json["nextCursor"] is None:
            break
        cursor = ("--cursor", own.json["nextCursor"])


def test_threads_without_messages_are_found_by_what_they_are_called(machines: Machines) -> None:
    listed = machines.document("list", "--all")["data"]
    by_machine = {thread["id"]: thread["machine"] for thread in listed}
    unsaid = [*by_machine.values()].count("desktop")
    ran = machines.cli.run("search", "--fleet", "migration", "--limit", "100")
    assert f"Messages of {unsaid} of {len(listed)} threads are not searched" in ran.err
    assert "threadkeep push --level text on a machine pushes its messages." in " ".join(
        ran.err.split()
    )
    called = {thread["id"] for thread in listed if "migration" in thread["preview"].lower()}
    rows = [line.split("\t") for line in ran.lines]
    assert called <= {row[0] for row in rows}
    assert {row[2] for row in rows if row[-2:] == ["desktop", "bob"]} == {"name"}
    assert {row[-2] for row in rows} == {"desktop", "laptop"}
    document = machines.document("search", "migration", "--limit", "100")
    assert {each["thread"]["id"] for each in document["data"]} == {row[0] for row in rows}
    assert document["withoutMessages"] == unsaid
    assert not document["complete"]
    pages = machines.document("search", "migration", "--limit", "2")
    following = machines.document("search", "migration", "--cursor", pages["nextCursor"])
    assert found(pages) + found(following) == found(document)[: 2 + len(following["data"])]
    of_bob = machines.document("search", "migration", "--user", "bob", "--limit", "100")
    assert {each["thread"]["user"] for each in of_bob["data"]} == {"bob"}
    assert of_bob["withoutMessages"] == unsaid


@pytest.mark.parametrize("words", [("SQL", "wri*"), ("zebra",), ("xq",)])
def test_what_few_threads_are_called_is_looked_up(
    machines: Machines, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    walked = machines.document("search", *words, "--all-sources", "--limit", "100", status=None)
    monkeypatch.setattr("state.fleet.reading.fulltext.candidates._FIRST", 2)
    monkeypatch.setattr("state.fleet.reading.fulltext.candidates._FAR", 0)
    looked_up = machines.document("search", *words, "--all-sources", "--limit", "100", status=None)
    assert found(looked_up) == found(walked)


def test_a_search_that_is_given_up_says_how_to_go_on(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in (("_FIRST", 5), ("_AT_ONCE", 5), ("_MOST_WALKED", 10), ("_COMMON", -1)):
        monkeypatch.setattr(f"state.fleet.reading.fulltext.candidates.{name}", number)
    words = ("search", "--fleet", "--machine", "laptop", "nowhere-at-all")
    ran = machines.cli.run(*words, status=1)
    assert "Not all threads were searched" in ran.err
    assert "There are more matches" not in ran.err
    cursor = ran.err.split("--cursor ")[1].split()[0]
    assert "--cursor" in machines.cli.run(*words, "--cursor", cursor, status=1).err


def test_a_terminal_shows_the_machine_and_how_to_read_a_thread(machines: Machines) -> None:
    words = ("search", "--fleet", "migration", "--limit", "20")
    text = on_terminal(machines.cli, *words, columns=130, words=True)
    assert "desktop +1  bob" in text
    assert "threadkeep show ID --fleet shows a thread." in text


def test_what_only_files_tell_is_refused(machines: Machines) -> None:
    for words, hint in (
        (("x", "--raw"), "threadkeep pull THREAD"),
        (("--file", "main.py"), "threadkeep search --fleet NAME"),
    ):
        assert hint in machines.cli.run("search", "--fleet", *words, status=2).err


def test_an_empty_fleet_says_how_it_is_filled(fleet: Fleet, tmp_path: Path) -> None:
    cli = Inside(tmp_path / "none", tmp_path, {"THREADKEEP_FLEET": fleet.reader()})
    assert "threadkeep push" in cli.run("search", "--fleet", "word", status=1).err
