"""``trash`` as a command: what is listed, comes back, is removed, and what others say of it."""

import os
from pathlib import Path

import pytest

from cli.edit.move_report import discreet
from tests.support.checks import codes, verified
from tests.support.command import Cli, Inside, thread_id, write_rollout

TITLES = {1: "Fix the login form", 2: "thread two", 3: "Old notes"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of three threads, one archived."""
    for number, title in TITLES.items():
        write_rollout(tmp_path / "home", number, title, archived=number == 3)
    return Inside(tmp_path / "home", tmp_path)


def deleted(cli: Cli, *numbers: int) -> str:
    """The id of a delete of these threads."""
    ran = cli.run("delete", *map(thread_id, numbers), "--yes", "--json")
    assert ran.json["bytes"] > 0
    assert ran.json["trash"]["path"].endswith(ran.json["trash"]["id"])
    return str(ran.json["trash"]["id"])


def test_deleted_threads_are_listed_and_come_back(cli: Cli) -> None:
    assert cli.run("trash", status=1).err == "The trash is empty.\n"
    before = {path: path.read_bytes() for path in cli.home.rglob("rollout-*")}
    both, other = deleted(cli, 1, 3), deleted(cli, 2)
    rows = [line.split("\t") for line in cli.run("trash").lines]
    found = {row[0]: row for row in rows}
    assert {row[1] for row in rows} == {both, other}
    assert found[thread_id(3)][4:] == ["archived", "Old notes"]
    assert found[thread_id(1)][4:] == ["active", "Fix the login form"]
    listed = cli.run("trash", "list", "--json").json
    assert (listed["threads"], len(listed["deletes"])) == (3, 2)
    sizes = [thread["bytes"] for each in listed["deletes"] for thread in each["threads"]]
    assert sum(sizes) == sum(map(len, before.values())) < listed["bytes"]

    told = cli.run("show", thread_id(1), status=3).err
    assert f"threadkeep: thread {thread_id(1)} has been in the trash since " in told
    assert f"\n  to put it back: threadkeep trash restore {thread_id(1)}\n" in told
    assert cli.run("show", "nobody", "--json", status=3).json["error"]["kind"] == "thread_not_found"
    explained = cli.run("explain", thread_id(1), "--json").json
    assert [reason["code"] for reason in explained["reasons"]] == ["in_trash"]
    ran = cli.run("archive", thread_id(1), thread_id(2), status=3)
    assert ran.err.count("in the trash since") == 2

    dry = cli.run("trash", "restore", both, "--dry-run")
    assert sorted(line.split("\t")[1:] for line in dry.lines) == [
        ["would be restored", "Fix the login form"],
        ["would be restored", "Old notes"],
    ]
    ran = cli.run("trash", "restore", "-", "nobody", stdin=f"{both}\n", status=3)
    assert len(ran.lines) == 2
    assert "threadkeep trash lists what is there" in ran.err
    assert "Restored from the trash: 2 threads, " in ran.err
    printed = cli.run("trash", "restore", "thread two", "--json").json
    assert (printed["action"], printed["threads"][0]["id"]) == ("restore", thread_id(2))
    assert {path: path.read_bytes() for path in cli.home.rglob("rollout-*")} == before
    assert cli.ids("--archived") == [thread_id(3)]
    assert codes(verified(cli.home, cli.index)) == {}


def test_the_trash_is_emptied_by_age_and_says_what_it_frees(cli: Cli) -> None:
    old, new = deleted(cli, 1), deleted(cli, 2)
    trash = cli.home / ".threadkeep-trash"
    os.rename(trash / old, trash / f"20200101T000000Z-{thread_id(1)}")
    ran = cli.run("trash", "empty", status=2)
    assert "--yes to confirm, or --dry-run to preview" in ran.err
    ran = cli.run("trash", "empty", "--older-than", "30d", "--dry-run")
    assert ran.err.startswith("Would be removed permanently: 1 thread, ")
    assert len(cli.run("trash").lines) == 2
    printed = cli.run("trash", "empty", "--older-than", "30d", "--yes", "--json").json
    assert (printed["threads"], printed["deletes"][0]["deletedAt"]) == (1, "2020-01-01T00:00:00Z")
    assert os.listdir(trash) == [new]
    assert cli.run("trash", "empty", "--older-than", "30d", "--yes", status=1).out == ""
    os.rename(trash / new, trash / f"{new}.emptying")  # as one that could not be removed
    assert len(cli.run("trash").lines) == 1
    assert cli.run("trash", "empty", "--yes").err.endswith("B freed.\n")
    assert not trash.exists()
    assert "freed" in cli.run("delete", thread_id(3), "--purge", "--yes").err
    assert cli.run("trash", "--all", "restore", "x", status=2).out == ""


def test_a_key_that_was_pasted_into_a_title_is_cut_on_a_terminal() -> None:
    key = "AKIAIOSFODNN7EXAMPLE1"
    assert discreet(f"use {key}, now") == "use AKIAIO…, now"
    assert discreet(f"PASSWORD={key}") == "PASSWORD=AKIAIO…"
    assert discreet(f"sk-proj-{key}-x_y/z=") == "sk-pro…"
    for text in (
        "Fix /home/dev/project2/with/a/long/path",
        "internationalisation of fix-issue-123-in-the-login-form",
        "test_parses_v2_of_the_format",
    ):
        assert discreet(text) == text
