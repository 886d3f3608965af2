"""The other commands, the places they work on, and what every command keeps to."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from state.db.location import index_path
from tests.conftest import copy_corpus
from tests.support.command import COMMAND, THREAD_KEYS, Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

COMMANDS = (
    "app-server",
    "mcp",
    "list",
    "search",
    "show",
    "export",
    "secrets",
    "stats",
    "resume",
    "fork",
    "rename",
    "tag",
    "untag",
    "pin",
    "unpin",
    "note",
    "mark",
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
    "help",
)


DB_COMMANDS = ("path", "check", "vacuum")


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
        assert ("--json" in ran.out) == (command not in ("db", "app-server", "mcp", "help"))
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


def test_show_is_the_thread_as_the_list_has_it(corpus: Cli) -> None:
    listed = corpus.run("list", "--limit", "1", "--json").json["data"][0]
    ran = corpus.run("show", listed["id"], "--meta", "--json")
    assert list(ran.json) == ["thread", "movedTo", "usage"]
    assert list(ran.json["thread"]) == THREAD_KEYS
    assert ran.json["thread"] == listed
    assert ran.err == ""


def test_show_prints_what_there_is(corpus: Cli) -> None:
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
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, (arguments, err.decode())
        assert b"rror" not in err
        assert b"Traceback" not in err
    script = f"{COMMAND[0]} list --all --json | head -1"
    ran = corpus.run("-c", script, prefix=["sh"])
    assert (ran.out, ran.err) == ("{\n", "")
