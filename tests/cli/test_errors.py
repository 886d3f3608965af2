"""What bad input and bad places get: one clear line, the next command, and an exit status."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cli import errors
from rollout import errors as rollout_errors
from state import errors as state_errors
from state.jobs.lease import Owner
from state.thread_index import open_index
from tests.support.command import Cli, Inside, Ran, Within, plain_user, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

__all__ = ["plain_user"]

ERROR_KEYS = ["code", "kind", "message", "hint", "retryable"]
OPENING = (
    ["list"],
    ["list", "--no-sync"],
    ["show", thread_id(1)],
    ["backfill"],
    ["sync"],
    ["status"],
)
"""The commands that open the index."""


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads, without an index yet."""
    home = tmp_path / "home"
    for number in range(3):
        write_rollout(home, number)
    return Inside(home, tmp_path)


def is_reported(ran: Ran, says: str, next_step: str) -> None:
    """The error is one line that says what is wrong, and one that says what to do."""
    assert ran.out == ""
    line, hint = ran.err.splitlines()
    assert line.startswith("threadkeep: ")
    assert says in line
    assert hint.startswith("  ")
    assert next_step in hint


def test_every_row_of_the_table_is_of_a_class_or_a_shortage() -> None:
    classes = vars(rollout_errors) | vars(state_errors) | vars(errors)
    assert errors._outcomes().keys() - {*errors._SHORTAGES.values()} <= classes.keys()


def test_the_json_of_an_error_has_exactly_these_keys(corpus: Cli) -> None:
    ran = corpus.run("show", "nobody", "--json", status=3)
    assert list(ran.json) == ["error"]
    assert list(ran.json["error"]) == ERROR_KEYS
    assert ran.json["error"] | {"hint": ""} == {
        "code": 3,
        "kind": "thread_not_found",
        "message": "no thread matches 'nobody' (id, id prefix, name or path)",
        "hint": "",
        "retryable": False,
    }
    assert ran.err == ""


def test_a_short_prefix_is_told_from_an_unknown_thread(corpus: Cli) -> None:
    says = "(id, id prefix, name or path); a prefix needs at least 4 characters"
    is_reported(corpus.run("show", "01F", status=3), says, "threadkeep list")
    assert "4 characters" not in corpus.run("show", "01fffffff", status=3).err


def test_threads_are_named_or_selected(corpus: Cli) -> None:
    ran = corpus.run("archive", status=2)
    is_reported(ran, "no threads are given", "give thread ids, or filters such as --cwd and")
    ran = corpus.run("archive", thread_id(1), "--cwd", "/", status=2)
    is_reported(ran, "by filters too", "either thread ids or filters")


def test_a_home_that_is_not_there_is_named_and_no_index_is_made(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "nowhere", tmp_path)
    for ran in cli.run_each([*OPENING, ["reindex"]], status=3):
        says = f"no Codex home at {cli.home}: there is no such folder"
        is_reported(ran, says, "--home or CODEX_HOME")
    assert not cli.index.exists()


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    ran = Inside(tmp_path / "home", tmp_path).run("list", "--json", status=3)
    assert ran.json["error"]["kind"] == "home_not_found"
    assert "it is a file" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cursor", "xxx"], "invalid cursor: xxx (not one of threadkeep's)"),
        (["--cursor", ""], "invalid cursor"),
        (["--cursor", "é"], "invalid cursor: é"),
        (["--cursor", "WzldCg"], "from another version of threadkeep"),
        (["--cursor", "A" * 9999], "too long"),
        (["--sort", "size"], "unknown sort key 'size': use one of created_at, updated_at"),
        (["--source", "nobody"], "unknown source kind 'nobody': use one or more of cli, vscode"),
        (["--parent", thread_id(1)[:8]], "a full id is needed"),
        (["--ancestor", "zz"], "invalid thread id: zz: a full id is needed"),
        (["--exclude", "zz"], "invalid thread id: zz"),
        (
            ["--parent", thread_id(1), "--ancestor", thread_id(2)],
            "parent and ancestor cannot be combined",
        ),
    ],
    ids=lambda value: " ".join(value)[:24] if isinstance(value, list) else "",
)
def test_a_question_without_meaning_is_refused(corpus: Cli, options: list[str], says: str) -> None:
    next_step = "threadkeep list -h"
    if options[0] == "--cursor":
        next_step = "start without --cursor"
    is_reported(corpus.run("list", *options, status=2), says, next_step)


def test_a_cursor_of_another_list_is_refused(corpus: Cli) -> None:
    cursor = corpus.run("list", "--json", "--limit", "2").json["nextCursor"]
    for options, says in (
        (["--sort", "created_at"], "it belongs to a list sorted by recency_at"),
        (["--asc"], "it belongs to a list in the other direction"),
        (["--archived"], "it belongs to a list with other filters"),
        (["--search", "a"], "it belongs to a list with other filters"),
    ):
        ran = corpus.run("list", "--cursor", cursor, *options, status=2)
        is_reported(ran, says, "start without --cursor, or repeat the options it came from")
    refused = corpus.run("list", "--json", "--cursor", cursor, "--asc", status=2).json["error"]
    assert (refused["code"], refused["kind"]) == (2, "invalid_cursor")


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--limit", "0"],
        ["list", "--frob"],
        ["show"],
        ["backfill", "--batch-size", "201"],
        ["backfill", "--lease-seconds", "0"],
        ["--home", "", "list"],
        ["--home=", "list"],
        ["--db", "", "list"],
        ["verify", "--after", "zz"],
        ["verify", "--after", "a.jsonl sessions/b.jsonl"],
        ["watch", "--log-level", "wran"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_status_2_and_is_told_as_all_errors_are(
    corpus: Cli, arguments: list[str]
) -> None:
    ran = corpus.run(*arguments, status=2)
    is_reported(ran, "", "")
    assert "\x1b" not in ran.err
    refused = corpus.run(*arguments, "--json", status=2).json["error"]
    assert list(refused) == ERROR_KEYS
    assert (refused["code"], refused["kind"]) == (2, "wrong_usage")
    assert ran.err == f"threadkeep: {refused['message']}\n  {refused['hint']}\n"


def test_a_thread_that_is_not_there_has_status_3(corpus: Cli) -> None:
    references = ("", thread_id(1), "sessions/none.jsonl", "%" * 999)
    for ran in corpus.run_each([("show", "--", name) for name in references], status=3):
        is_reported(ran, "no thread matches", "threadkeep list --all --all-sources")


def test_words_that_match_no_thread_lead_to_search(corpus: Cli) -> None:
    ran = corpus.run("show", "fix  the webhook", status=3)
    is_reported(ran, "no thread matches", "threadkeep search 'fix the webhook'")


def test_an_ambiguous_reference_has_status_2_and_names_what_fits(small: Cli) -> None:
    line, head, *rows, hint = small.run("show", "019a", status=2).err.splitlines()
    assert line == "threadkeep: '019a' matches 3 threads"
    assert head.split() == ["id", "age", "thread"]
    assert rows[1].split()[0] == thread_id(1)[:13]
    assert hint == "  give more characters of the id"
    names = [json.dumps({"id": thread_id(n), "thread_name": "twin"}) + "\n" for n in (0, 1)]
    (small.home / "session_index.jsonl").write_text("".join(names))
    refused = small.run("show", "twin", "--json", status=2).json["error"]
    assert refused["kind"] == "ambiguous_thread"
    assert thread_id(0) in refused["message"]
    assert thread_id(1) in refused["message"]


def each_is_told(
    cli: Cli, commands: Sequence[Sequence[str]], status: int, says: str, next_step: str
) -> None:
    """Every one of the commands reports the same."""
    for ran in cli.run_each(commands, status=status):
        is_reported(ran, says, next_step)


def test_an_index_that_is_a_directory_has_status_7(small: Cli) -> None:
    small.index.mkdir(parents=True)
    commands = (["list"], ["status"], ["reindex"])
    each_is_told(small, commands, 7, "it is a directory", "--db or THREADKEEP_DB")
    assert small.index.is_dir()


def test_a_garbage_index_has_status_7_and_names_reindex(small: Cli) -> None:
    garbage = b"this is no database " * 500
    small.index.parent.mkdir(parents=True)
    small.index.write_bytes(garbage)
    each_is_told(
        small,
        (OPENING[1], OPENING[2], OPENING[3]),
        7,
        "is damaged: file is not a database",
        "threadkeep reindex",
    )
    assert small.index.read_bytes() == garbage
    refused = small.run("list", "--json", status=7).json["error"]
    assert (refused["code"], refused["kind"]) == (7, "index_damaged")


def test_a_database_of_another_program_is_left_alone(small: Cli) -> None:
    small.index.parent.mkdir(parents=True)
    with closing(sqlite3.connect(small.index)) as connection:
        connection.execute("CREATE TABLE threads (id TEXT)")
        connection.execute("INSERT INTO threads VALUES ('precious')")
        connection.commit()
    before = small.index.read_bytes()
    commands = (*OPENING[:2], ["reindex"], ["verify"])
    each_is_told(small, commands, 7, "not one of threadkeep's", "--db")
    with closing(sqlite3.connect(small.index)) as connection:
        assert connection.execute("SELECT * FROM threads").fetchall() == [("precious",)]
        assert len(connection.execute("SELECT * FROM sqlite_master").fetchall()) == 1
    assert small.index.read_bytes()[100:] == before[100:]


def test_an_index_from_a_newer_version_has_status_4_and_stays(small: Cli) -> None:
    small.run("sync")
    with closing(sqlite3.connect(small.index)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        connection.commit()
    commands = (["list"], ["status"], ["reindex"])
    each_is_told(small, commands, 4, "has schema v9999", "update threadkeep")
    with closing(sqlite3.connect(small.index)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("v9999",)]
        assert connection.execute("SELECT count(*) FROM threads").fetchone() == (3,)


def hold_the_lease(index: Path, lease_s: float) -> None:
    """Let the process of this test be at the backfill."""
    expires_ms = int((time.time() + lease_s) * 1000)
    with closing(sqlite3.connect(index)) as connection:
        connection.execute(
            "UPDATE backfill_state SET status = 'running', owner = ?, fence = fence + 1,"
            " lease_expires_at_ms = ?, files_total = 7, files_done = 2",
            [Owner.this_process().to_json(), expires_ms],
        )
        connection.commit()


def test_a_backfill_under_way_is_left_to_its_worker(small: Cli) -> None:
    async def make() -> None:
        async with open_index(small.home, small.index):
            pass

    asyncio.run(make())
    hold_the_lease(small.index, 900)
    who = f"pid {os.getpid()} on "
    is_reported(
        small.run("backfill", status=5),
        f"a backfill is already running: {who}",
        "threadkeep status",
    )
    is_reported(small.run("sync", status=5), f"already running: {who}", "threadkeep status")
    refused = small.run("backfill", "--json", status=5).json["error"]
    assert (refused["kind"], refused["retryable"]) == ("lease_held", True)
    job = small.run("status", "--json").json["backfill"]
    assert (job["active"], job["status"], job["filesDone"]) == (True, "running", 2)
    assert job["owner"].startswith(who)
    shown = small.run("status").out
    assert "running: 2 of 7 files, " in shown
    assert "still to index" in shown
    assert ": the backfill reads them" in shown
    assert f", by {who}" in shown
    listed = small.run("list", "--json", status=1)
    assert listed.json["complete"] is False
    assert "Indexing: 2 of 7 files so far" in listed.err
    assert "this list may be incomplete" in listed.err
    for command in ("list", "search", "stats"):
        words = (command, "hello") if command == "search" else (command,)
        told = small.run(*words, status=1).err
        assert "Indexing: 2 of 7 files so far" in told
        assert "No threads so far." in told
    hold_the_lease(small.index, -1)
    assert small.run("backfill", "--json").json["read"] == 3


@pytest.mark.usefixtures("impatient")
def test_an_index_that_stays_locked_has_status_5(small: Cli) -> None:
    small.run("sync")
    write_rollout(small.home, 9)
    with closing(sqlite3.connect(small.index, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        ran = small.run("sync", status=5)
        assert len(small.ids("--no-sync")) == 3
        writer.execute("ROLLBACK")
    is_reported(ran, "was locked by another process for 10 s", "try again in a moment")


def damage(home: Path) -> dict[str, str]:
    """Bad files of several kinds in a home; the reason of each, by the end of its name."""
    folder = home / "sessions" / "2026" / "10" / "16"
    folder.mkdir(parents=True)
    contents = {
        "empty": (b"", "empty file"),
        "garbage": (b"\x00\xffnot json at all\n" * 3, ""),
        "blank": (b"\n\n  \n", "nothing but blanks"),
    }
    for number, (word, (data, _)) in enumerate(contents.items()):
        path = folder / f"rollout-2026-10-16T00-00-0{number}-{thread_id(100 + number)}.jsonl"
        path.write_bytes(data)
        contents[path.name] = contents.pop(word)
    return {name: reason for name, (_, reason) in contents.items()}


def test_unreadable_files_have_status_6_and_all_else_is_listed(small: Cli) -> None:
    bad = damage(small.home)
    assert small.run("backfill", "--json", status=6).json["unreadable"] == 3
    words = small.run("reindex", status=6).err
    assert "3 unreadable" in words
    assert "threadkeep status shows which files cannot be read, and why" in words
    listed = small.run("list", "--json")
    assert len(listed.json["data"]) == 3
    assert listed.json["hidden"]["unreadable"] == 3
    assert "3 unreadable (threadkeep status)" in small.run("list").err
    problems = small.run("status", "--json").json["problems"]
    found = {problem["path"].rpartition("/")[2]: problem["reason"] for problem in problems}
    assert set(found) == set(bad)
    assert all(reason and bad[name] in reason for name, reason in found.items())


def test_a_sync_reads_an_unreadable_file_again_only_when_it_changed(small: Cli) -> None:
    path = write_rollout(small.home, 9)
    whole = path.read_bytes()
    path.write_bytes(b"")
    small.run("sync", status=6)
    assert small.run("sync", "--json").json["read"] == 0
    path.write_bytes(whole)
    assert small.run("sync", "--json").json["read"] == 1
    assert thread_id(9) in small.ids()


def test_a_file_without_permission_has_status_6_until_it_can_be_read(
    small: Cli, plain_user: Within
) -> None:
    secret = next(small.home.rglob(f"*{thread_id(1)}.jsonl"))
    secret.chmod(0)
    ran = small.run("backfill", status=6, prefix=plain_user)
    assert "3 files, 3 read" in ran.err
    problems = small.run("status", "--json").json["problems"]
    assert [p["reason"] for p in problems] == ["cannot be read: Permission denied"]
    assert len(small.ids("--no-sync")) == 2
    secret.chmod(0o600)
    assert len(small.ids()) == 3


def test_a_disk_error_on_stdout_is_no_traceback(corpus: Cli) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        process = corpus.start("list", "--all", "--json", stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in (0, 1), err.decode()
    assert b"Traceback" not in err
    assert b"No space left" in err


def test_the_command_needs_no_terminal_nor_input(corpus: Cli) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error::ResourceWarning", "-m", "cli", "status", "--json"],
        env=corpus.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert json.loads(done.stdout)["threads"] == 194
