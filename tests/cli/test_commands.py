"""The other commands, the places they work on, and what every command keeps to."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from state.db.location import index_path, journal_path
from state.thread_index import open_index
from state.userdata.journal import append_settings
from state.userdata.model import UserValue
from state.userdata.store import put_settings
from tests.conftest import copy_corpus
from tests.support.command import COMMAND, THREAD_KEYS, Cli, Inside, thread_id, write_rollout

COMMANDS = (
    "app-server",
    "list",
    "search",
    "show",
    "export",
    "stats",
    "resume",
    "fork",
    "rename",
    "git-info",
    "memory",
    "archive",
    "unarchive",
    "delete",
    "backfill",
    "sync",
    "watch",
    "reindex",
    "status",
    "verify",
    "repair",
    "codex-check",
    "explain",
    "du",
    "relink",
    "dump",
    "restore",
    "query",
    "db",
)
DB_COMMANDS = ("path", "check", "vacuum")
JOB_KEYS = ["version", "job", "files", "read", "unreadable", "dropped", "bytesRead", "seconds"]


@pytest.fixture(scope="module")
def corpus(corpus_home: Path, corpus_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for the corpus; tests only read."""
    base = tmp_path_factory.mktemp("corpus-user")
    return Inside(corpus_home, base, {"THREADKEEP_DB": str(corpus_index)})


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads, without an index yet."""
    home = tmp_path / "home"
    for number in range(3):
        write_rollout(home, number, f"thread number {number}")
    return Inside(home, tmp_path)


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every entry below a folder with what a write would change."""
    found: dict[str, tuple[int, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        info = path.lstat()
        found[str(path)] = (info.st_mode, info.st_ino, info.st_size, info.st_mtime_ns)
    return found


def test_every_command_helps_and_gives_no_escape_codes(corpus: Cli) -> None:
    top = corpus.run("--help")
    asked = corpus.run_each([(command, "--help") for command in COMMANDS])
    for command, ran in zip(COMMANDS, asked, strict=True):
        assert f"\n  {command} " in top.out
        assert ran.out.startswith(f"Usage: threadkeep {command}")
        assert "\x1b" not in top.out + ran.out
        assert ("--json" in ran.out) == (command not in ("db", "app-server"))
        assert ran.err == ""
    for command, ran in zip(
        DB_COMMANDS,
        corpus.run_each([("db", command, "--help") for command in DB_COMMANDS]),
        strict=True,
    ):
        assert f"\n  {command} " in asked[COMMANDS.index("db")].out
        assert ran.out.startswith(f"Usage: threadkeep db {command}")
        assert "--json" in ran.out


def test_the_version_is_that_of_the_distribution(corpus: Cli) -> None:
    assert corpus.run("--version").out == f"threadkeep {version('threadkeep')}\n"
    as_module = (sys.executable, "-P", "-m", "cli")
    assert corpus.run("--version", prefix=as_module).out.startswith("threadkeep ")


def test_completion_works_in_bash(corpus: Cli) -> None:
    path = f"{Path(COMMAND[0]).parent}{os.pathsep}{os.environ['PATH']}"
    script = corpus.run(
        "-c", "threadkeep --show-completion; true", prefix=["bash"], env={"PATH": path}
    )
    assert "complete -o default -F _threadkeep_completion threadkeep" in script.out
    words = {
        "_THREADKEEP_COMPLETE": "complete_bash",
        "COMP_WORDS": "threadkeep ",
        "COMP_CWORD": "1",
    }
    assert set(corpus.run(env=words).lines) == set(COMMANDS)


def test_show_is_the_thread_as_the_list_has_it(corpus: Cli) -> None:
    listed = corpus.run("list", "--limit", "1", "--json").json["data"][0]
    ran = corpus.run("show", listed["id"], "--meta", "--json")
    assert list(ran.json) == ["thread", "movedTo"]
    assert list(ran.json["thread"]) == THREAD_KEYS
    assert ran.json["thread"] == listed
    assert ran.err == ""


def test_show_tells_people_what_there_is(corpus: Cli) -> None:
    ran = corpus.run("show", "01a1f8e4", "--meta")
    shown = dict(line.split(maxsplit=1) for line in ran.lines if not line.startswith("begins"))
    assert shown["id"] == "01a1f8e4-1d64-7932-9342-2e48327ab20e"
    assert shown["folder"] == "/home/dev/projects/delta"
    assert shown["created"] == "2026-11-20T12:17:41Z"
    assert shown["tokens"] == "26,094"
    assert shown["history"] == "legacy"
    assert shown["file"].startswith("sessions/2026/11/20/rollout-2026-11-20T12-17-41-01a1f8e4")
    assert ran.err == ""


def test_a_thread_is_found_by_id_prefix_name_and_path(small: Cli) -> None:
    write_rollout(small.home, 0xABC)
    named = {"id": thread_id(1), "thread_name": "My näme"}
    (small.home / "session_index.jsonl").write_text(json.dumps(named) + "\n")
    path = next(small.home.rglob(f"*{thread_id(2)}.jsonl"))
    references = {
        thread_id(0): 0,
        thread_id(0xABC).upper(): 0xABC,
        thread_id(0xABC)[:12]: 0xABC,
        "My näme": 1,
        str(path): 2,
        str(path.relative_to(small.home)): 2,
    }
    small.run("backfill")
    shown = small.run_each([("show", reference, "--json") for reference in references])
    for ran, number in zip(shown, references.values(), strict=True):
        assert ran.json["thread"]["id"] == thread_id(number)


@pytest.mark.parametrize("command", ["backfill", "sync", "reindex"])
def test_a_job_ends_with_its_counters(small: Cli, command: str) -> None:
    (small.home / "sessions" / "rollout-2026-10-15T00-00-00-x.txt").write_text("no rollout")
    size = sum(path.stat().st_size for path in small.home.rglob("*.jsonl"))
    ran = small.run(command, "--json")
    assert list(ran.json) == JOB_KEYS
    assert ran.json | {"seconds": 0} == {
        "version": 1,
        "job": command,
        "files": 4,
        "read": 3,
        "unreadable": 0,
        "dropped": 0,
        "bytesRead": size,
        "seconds": 0,
    }
    assert ran.json["seconds"] > 0
    assert ran.err == ""
    next(small.home.rglob("*.jsonl")).unlink()
    again = small.run(command)
    assert again.out == ""
    assert "3 files" in again.err
    assert "0 unreadable" in again.err
    assert len(again.err.splitlines()) == 1
    assert len(small.ids()) == 2


def test_a_forced_backfill_reads_every_file_again(small: Cli) -> None:
    assert small.run("backfill", "--json").json["read"] == 3
    assert small.run("backfill", "--json").json["read"] == 0
    assert small.run("backfill", "--force", "--batch-size", "1", "--json").json["read"] == 3
    assert len(small.ids()) == 3


def test_status_tells_how_the_index_stands(small: Cli) -> None:
    before = small.run("status", "--json").json
    assert before["backfill"]["status"] == "pending"
    assert before["threads"] == 0
    since = "2025-10-09T08:53:20Z"
    assert before["pending"] == {"toRead": 3, "vanished": 0, "names": True, "since": since}
    bad = write_rollout(small.home, 7)
    bad.write_bytes(b"")
    torn = write_rollout(small.home, 8)
    torn.write_bytes(torn.read_bytes() + b"{torn\n")
    small.run("backfill", status=6)
    next(small.home.rglob(f"*{thread_id(0)}.jsonl")).unlink()
    ran = small.run("status", "--json")
    status = ran.json
    assert ran.err == ""
    assert list(status) == [
        "version",
        "home",
        "index",
        "indexBytes",
        "threads",
        "archived",
        "files",
        "buckets",
        "damaged",
        "leftOut",
        "pending",
        "search",
        "backfill",
        "problems",
        "problemsCut",
    ]
    assert status["home"] == str(small.home)
    assert status["index"] == str(small.index)
    assert status["indexBytes"] == small.index.stat().st_size
    assert (status["threads"], status["archived"], status["files"]) == (4, 0, 5)
    assert status["buckets"] == {"indexed": 4, "unreadable": 1}
    assert status["damaged"] == 1
    assert status["pending"] == {"toRead": 0, "vanished": 1, "names": False, "since": None}
    assert status["search"] == {"toIndex": 0}
    job = status["backfill"]
    assert list(job) == [
        "status",
        "active",
        "owner",
        "fence",
        "watermark",
        "filesTotal",
        "filesDone",
        "filesUnreadable",
        "startedAt",
        "completedAt",
        "lastError",
    ]
    assert (job["status"], job["active"], job["owner"], job["fence"]) == (
        "complete",
        False,
        None,
        1,
    )
    assert (job["filesTotal"], job["filesDone"], job["filesUnreadable"]) == (5, 5, 1)
    assert status["problemsCut"] is False
    damaged, unreadable = status["problems"]
    keys = ["path", "bucket", "threadId", "reason", "offset", "badLines"]
    assert list(damaged) == [*keys, "leftOutLines", "leftOutOffset"]
    assert (damaged["bucket"], damaged["threadId"], damaged["badLines"]) == (
        "indexed",
        thread_id(8),
        1,
    )
    assert unreadable | {"path": ""} == {
        "path": "",
        "bucket": "unreadable",
        "threadId": None,
        "reason": "empty file",
        "offset": 0,
        "badLines": 0,
        "leftOutLines": 0,
        "leftOutOffset": None,
    }
    words = small.run("status").out
    assert "1 unreadable" in words
    assert "behind    0 to read, 1 vanished (threadkeep sync)" in words
    assert "empty file" in words
    (small.home / "session_index.jsonl").write_text("", "utf-8")
    assert "names" in small.run("status").out.partition("behind")[2].splitlines()[0]


def test_a_backfill_counts_each_file_once(small: Cli) -> None:
    for number in range(150):
        write_rollout(small.home, number)
    small.run("backfill")
    job = small.run("status", "--json").json["backfill"]
    assert (job["filesTotal"], job["filesDone"]) == (150, 150)


def test_the_index_lies_in_the_state_folder_and_is_private(small: Cli) -> None:
    small.run("sync")
    assert small.index == index_path(small.home, small.base / "state")
    assert small.index.stat().st_mode & 0o777 == 0o600
    assert small.index.parent.stat().st_mode & 0o777 == 0o700
    names = {path.name for path in small.index.parent.iterdir()}
    assert names == {"index.sqlite3", "index.sqlite3.lock"}


def test_the_places_come_from_options_then_environment_then_defaults(small: Cli) -> None:
    user = small.base / "user"
    other = small.base / "other"
    write_rollout(other, 9)
    write_rollout(user / ".codex", 8)

    def found(*options: str, env: Mapping[str, str]) -> tuple[Path, Path]:
        status = small.run(*options, "status", "--json", env=env).json
        return Path(status["home"]), Path(status["index"])

    elsewhere = small.base / "elsewhere" / "my.sqlite3"
    option = small.base / "option.sqlite3"
    state = small.base / "state"
    named = {"THREADKEEP_DB": str(elsewhere)}
    assert found(env={}) == (small.home, index_path(small.home, state))
    assert found(env=named) == (small.home, elsewhere)
    both = ("--home", str(other), "--db", str(option))
    assert found(*both, env=named) == (other, option)
    default = found(env={"CODEX_HOME": "", "XDG_STATE_HOME": "not/absolute"})
    assert default == (user / ".codex", index_path(user / ".codex", user / ".local" / "state"))
    assert small.ids("--all", env={"CODEX_HOME": str(other)}) == [thread_id(9)]


def test_no_command_ever_writes_to_the_home(tmp_path: Path) -> None:
    cli = Inside(copy_corpus(tmp_path / "home"), tmp_path)
    before = snapshot(cli.home)
    for arguments in (["list"], ["backfill", "--force"], ["reindex"], ["list", "--no-sync"]):
        cli.run(*arguments)
    cli.run_each([["show", "01a1f8e4"], ["sync"], ["status"]])
    assert snapshot(cli.home) == before


def test_a_home_that_cannot_be_written_is_listed(small: Cli) -> None:
    folders = [small.home, *(path for path in small.home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        assert len(small.ids()) == 3
    finally:
        for folder in folders:
            folder.chmod(0o700)


async def set_name(cli: Cli, number: int, name: str) -> None:
    """Name a thread as a command would: the journal first, then the index."""
    fact = UserValue(thread_id(number), "name", name, 1_760_000_000_000)
    append_settings(cli.index, [fact])
    async with (
        open_index(cli.home, cli.index) as index,
        index.database.write() as connection,
    ):
        await put_settings(connection, [fact])


def test_reindex_keeps_what_users_set(small: Cli) -> None:
    small.run("sync")
    asyncio.run(set_name(small, 1, "mine"))
    small.run("reindex")
    assert small.run("show", "mine", "--json").json["thread"]["id"] == thread_id(1)
    journal_path(small.index).unlink()
    small.run("reindex")
    assert small.run("show", thread_id(1), "--json").json["thread"]["name"] == "mine"


def test_what_users_set_survives_the_loss_of_the_index(small: Cli) -> None:
    small.run("sync")
    asyncio.run(set_name(small, 1, "mine"))
    for path in small.index.parent.glob("index.sqlite3*"):
        path.unlink()
    assert len(small.ids()) == 3
    assert small.run("show", thread_id(1), "--json").json["thread"]["name"] == "mine"


def test_reindex_puts_garbage_aside_and_keeps_the_journal(small: Cli) -> None:
    small.run("sync")
    asyncio.run(set_name(small, 1, "mine"))
    garbage = b"this is no database " * 500
    small.index.write_bytes(garbage)
    ran = small.run("reindex", "--json")
    aside = small.index.with_name("index.sqlite3.damaged-1")
    assert ran.json["read"] == 3
    assert str(aside) in ran.err
    assert aside.read_bytes() == garbage
    assert small.run("show", "mine", "--json").json["thread"]["id"] == thread_id(1)
    names = {path.name for path in small.index.parent.iterdir()}
    assert names == {
        "index.sqlite3",
        "index.sqlite3.lock",
        "index.sqlite3.damaged-1",
        "facts.jsonl",
    }


def test_a_reader_keeps_its_state_while_the_index_is_built_anew(small: Cli) -> None:
    small.run("sync")
    title = "SELECT title FROM threads WHERE id = ?"
    with closing(sqlite3.connect(small.index, isolation_level=None)) as reader:
        reader.execute("UPDATE threads SET title = 'the old index'")
        reader.execute("BEGIN")
        old = reader.execute(title, [thread_id(1)]).fetchone()
        small.run("reindex")
        assert reader.execute(title, [thread_id(1)]).fetchone() == old == ("the old index",)
        reader.execute("COMMIT")
        assert reader.execute(title, [thread_id(1)]).fetchone() == ("thread number 1",)


def files_done(index: Path) -> int:
    """How far the backfill of an index is, which may not be there yet."""
    try:
        with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT files_done FROM backfill_state").fetchone()
    except sqlite3.Error:
        return 0
    return int(row[0]) if row else 0


def test_an_interrupted_backfill_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    for number in range(900):
        write_rollout(cli.home, number)
    process = cli.start("backfill", "--batch-size", "1", stdout=-1, stderr=-1)
    deadline = time.monotonic() + 30
    while files_done(cli.index) < 20 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    words = "Interrupted. What was read is kept; threadkeep backfill goes on from there.\n"
    assert err.decode() == words
    interrupted = cli.run("status", "--json").json
    assert interrupted["backfill"]["status"] == "running"
    assert interrupted["backfill"]["active"] is False
    kept = interrupted["buckets"]["indexed"]
    assert 20 <= kept < 900
    assert cli.run("backfill", "--json").json["read"] == 900 - kept
    finished = cli.run("status", "--json").json
    assert finished["backfill"]["status"] == "complete"
    assert finished["buckets"] == {"indexed": 900}


def test_two_homes_have_two_indexes(small: Cli) -> None:
    other = small.base / "second" / "home"
    write_rollout(other, 5)
    assert len(small.ids()) == 3
    assert Inside(other, small.base).ids() == [thread_id(5)]
    assert len(list((small.base / "state" / "threadkeep").iterdir())) == 2


def test_a_closed_pipe_is_quiet(corpus: Cli) -> None:
    for arguments in (
        ["list", "--all"],
        ["list", "--all", "--json"],
        ["status"],
        ["show", "01a1f8e4"],
    ):
        read_end, write_end = os.pipe()
        os.close(read_end)
        process = corpus.start(*arguments, stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, (arguments, err.decode())
        assert b"rror" not in err
        assert b"Traceback" not in err
    script = f"{COMMAND[0]} list --all --json | head -1"
    ran = corpus.run("-c", script, prefix=["sh"])
    assert (ran.out, ran.err) == ("{\n", "")
