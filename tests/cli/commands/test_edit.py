"""``resume``, ``fork``, ``rename``, ``git-info`` and ``memory`` as commands."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from rollout.files.writer_lock import WriterLock
from tests.state.codex.databases import Codex
from tests.support.command import Cli, Inside, thread_id, write_rollout


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of four threads, one of them archived."""
    home = tmp_path / "home"
    for number in range(3):
        write_rollout(home, number, f"thread {number}", cwd="/a" if number else "/b c")
    write_rollout(home, 3, "thread 3", archived=True)
    return Inside(home, tmp_path)


def test_resume_prints_a_line_for_a_shell(cli: Cli) -> None:
    ran = cli.run("resume", thread_id(0))
    assert ran.out == f"codex resume {thread_id(0)}\n"
    assert "/b c cannot be entered" in ran.err
    printed = cli.run("resume", thread_id(0), "--json").json
    assert (printed["cwd"], printed["cwdExists"]) == ("/b c", False)
    assert printed["shell"] == f"codex resume {thread_id(0)}"
    cli.run("relink", "/b c", str(cli.base))
    ran = cli.run("resume", thread_id(0))
    assert (ran.out, ran.err) == (f"cd {cli.base} && codex resume {thread_id(0)}\n", "")
    printed = cli.run("resume", thread_id(0), "--json").json
    assert (printed["cwd"], printed["cwdExists"]) == (str(cli.base), True)
    assert printed["command"] == ["codex", "resume", thread_id(0)]
    assert "is archived" in cli.run("resume", thread_id(3), status=2).err


@pytest.mark.parametrize("cwd", ["C:\\work", "work", "/etc/passwd", "/", ""])
def test_resume_goes_only_where_a_shell_can_go(cli: Cli, cwd: str) -> None:
    (cli.base / "work").mkdir()
    write_rollout(cli.home, 4, cwd=cwd)
    ran = cli.run("resume", thread_id(4))
    assert ran.out == f"{'cd / && ' * (cwd == '/')}codex resume {thread_id(4)}\n"
    assert ("cannot be entered" in ran.err) == (cwd not in ("/", ""))


def test_resume_quotes_any_folder(cli: Cli) -> None:
    folder = cli.base / "a'b\n\x1b[31m$(x)ü"
    folder.mkdir()
    write_rollout(cli.home, 4, cwd=str(folder))
    (line,) = cli.run("resume", thread_id(4)).lines
    assert line.isprintable()
    script = f"{line.split(' && ')[0]} && pwd"
    where = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert where.decode() == f"{folder}\n"


def test_resume_runs_codex_in_the_folder(cli: Cli) -> None:
    folder, programs = cli.base / "there", cli.base / "bin"
    folder.mkdir()
    programs.mkdir()
    write_rollout(cli.home, 4, cwd=str(folder))
    command = programs / "codex"
    command.write_text('#!/bin/sh\necho "$0 $@ in $PWD"; exit 9\n')
    outside = Cli(cli.home, cli.base)
    path = {"PATH": f"{programs}:{os.defpath}"}
    ran = outside.run("resume", thread_id(4), "--exec", status=3, env=path)
    assert "no codex on PATH\n  install Codex, or put" in ran.err
    command.chmod(0o755)
    ran = outside.run("resume", thread_id(4), "--exec", status=9, env=path)
    assert ran.out == f"{command} resume {thread_id(4)} in {folder}\n"
    folder.rmdir()
    ran = outside.run("resume", thread_id(4), "--exec", status=3, env=path)
    assert "No such file" in ran.err
    assert "relink" in ran.err


def test_a_fork_is_listed_at_once(cli: Cli) -> None:
    ran = cli.run("fork", thread_id(1))
    (id_,) = ran.lines
    assert f"codex resume {id_}" in ran.err
    assert set(cli.ids("--no-sync")) == {id_, *map(thread_id, range(3))}
    (printed,) = cli.run("fork", id_, "--before-turn", "rollout-2", "--json").json["threads"]
    assert (printed["id"], printed["done"], printed["indexed"]) == (id_, True, True)
    assert Path(printed["path"]).is_file()
    assert printed["forkId"] in printed["path"]
    ran = cli.run("fork", id_, "--through-turn", "rollout-9", status=3)
    assert "the thread has no turn 'rollout-9' (its only turn" in ran.err
    cli.run("fork", id_, "--through-turn", "", status=3)
    (numbered,) = cli.run("fork", id_, "--before-turn", "1").lines
    assert cli.run("show", numbered, "--json").json["thread"]["turns"] == []
    (through,) = cli.run("fork", id_, "--through-turn", "-1").lines
    assert len(cli.run("show", through, "--outline").lines) == 1
    assert "is archived" in cli.run("fork", thread_id(3), status=2).err
    cli.run("fork", id_, "--through-turn", "a", "--before-turn", "b", status=2)
    assert cli.run("verify", "--deep").status == 0


def test_many_threads_are_forked_each_by_itself(cli: Cli) -> None:
    before = cli.ids()
    ran = cli.run("fork", "--cwd", "/a", "--dry-run")
    assert sorted(ran.lines) == [f"{thread_id(n)}\twould be forked" for n in (1, 2)]
    cli.run("fork", "--cwd", "/a", status=2)
    cli.run("fork", "--cwd", "/a", "--yes", "--before-turn", "x", status=2)
    cli.run("fork", "-", "--before-turn", "x", stdin="x", status=2)
    assert cli.ids() == before
    made = cli.run("fork", "--cwd", "/a", "--yes").lines
    text = f"{thread_id(0)}\tits name\n\n{thread_id(3)}\nnobody\n"
    ran = cli.run("fork", "-", stdin=text, status=3)
    assert "is archived" in ran.err
    assert "nobody" in ran.err
    assert len(made) == 2
    assert sorted(cli.ids()) == sorted([*before, *made, *ran.lines])


def test_rename_names_a_thread_and_can_be_repeated(cli: Cli) -> None:
    ran = cli.run("rename", thread_id(1), "  my \x1b[1mname ")
    assert ran.out == ""
    assert "\x1b" not in ran.err
    printed = cli.run("rename", thread_id(1), " other ", "--json").json
    assert printed == {
        "version": 1,
        "action": "rename",
        "dryRun": False,
        "interrupted": False,
        "threads": [
            {
                "id": thread_id(1),
                "reference": thread_id(1),
                "done": True,
                "name": "other",
                "indexed": True,
                "codexError": None,
                "error": None,
            }
        ],
    }
    assert cli.run("show", "other", "--json").json["thread"]["id"] == thread_id(1)
    assert "must not be empty" in cli.run("rename", thread_id(1), " ", status=2).err
    cli.run("rename", "nobody", "x", status=3)


def test_names_come_from_stdin(cli: Cli) -> None:
    before = cli.run("list").out
    assert "each line needs" in cli.run("rename", "-", stdin=before, status=2).err
    text = f"{thread_id(0)}\tone tab\n{thread_id(1)[:8]}\ttwo\n{thread_id(1)}\t two \n"
    ran = cli.run("rename", "-", "--dry-run", stdin=text, status=2)
    assert "would be named one" in ran.err
    assert "matches 4 threads" in ran.err
    assert not (cli.home / "session_index.jsonl").exists()
    cli.run("rename", "-", stdin=text, status=2)
    names = cli.run("query", "SELECT name FROM v_threads ORDER BY id").lines[1:]
    assert names == ["one tab", "two", "", ""]
    cli.run("rename", "-", stdin=f"{thread_id(2)}\n", status=2)
    cli.run("rename", "-", "name", status=2)
    cli.run("rename", thread_id(2), status=2)
    assert cli.run("rename", "-", stdin="", status=1).out == ""


def test_git_info_is_shown_and_set(cli: Cli) -> None:
    one, two = thread_id(1), thread_id(2)
    assert cli.run("git-info", one).out == f"{one}\t-\t-\t-\n"
    words = ["--branch", "b", "--origin", "https://u:p@h.invalid/x"]
    ran = cli.run("git-info", one, *words, "--dry-run")
    assert ran.lines == [f"{one}\t-\tb\thttps://h.invalid/x\twould be set"]
    assert cli.run("git-info", one).out == f"{one}\t-\t-\t-\n"
    assert cli.run("git-info", one, *words).lines == [f"{one}\t-\tb\thttps://h.invalid/x"]
    (printed,) = cli.run("git-info", one, "--clear-branch", "--sha", "a", "--json").json["threads"]
    assert printed["gitInfo"] == {"sha": "a", "branch": None, "originUrl": "https://h.invalid/x"}
    cli.run("git-info", one, "--sha", "a", "--clear-sha", status=2)
    cli.run("git-info", one, "--sha", " ", status=2)
    with WriterLock.acquire(cli.home, one):
        ran = cli.run("git-info", "--cwd", "/a", "--sha", "b", "--yes", "--json", status=5)
    printed, written = sorted(ran.json["threads"], key=lambda entry: entry["id"])
    assert (printed["error"]["kind"], printed["error"]["retryable"]) == ("writer_active", True)
    assert f"pid {os.getpid()}" in printed["error"]["message"]
    assert (written["id"], written["done"], written["gitInfo"]["sha"]) == (two, True, "b")
    assert len(cli.run("git-info", "--cwd", "/a").lines) == 2, "showing needs no --yes"


def test_memory_is_set_for_many_threads(cli: Cli) -> None:
    def modes() -> list[str]:
        rows = cli.run("query", "SELECT memory_mode FROM threads ORDER BY id").lines
        return rows[1:]

    ran = cli.run("memory", thread_id(0), thread_id(3), "nobody", "disabled", status=3)
    assert ran.lines == [f"{thread_id(0)}\tdisabled"]
    assert "is archived" in ran.err
    assert "nobody" in ran.err
    cli.run("memory", "--cwd", "/a", "disabled", status=2)
    ran = cli.run("memory", "--cwd", "/a", "disabled", "--dry-run")
    assert sorted(ran.lines) == [f"{thread_id(n)}\twould be disabled" for n in (1, 2)]
    assert modes() == ["disabled", "enabled", "enabled", "enabled"]
    printed = cli.run("memory", "--cwd", "/a", "disabled", "--yes", "--json").json
    assert [entry["done"] for entry in printed["threads"]] == [True, True]
    assert modes() == ["disabled", "disabled", "disabled", "enabled"]
    assert cli.run("memory", "--cwd", "/nowhere", "enabled", "--yes", status=1).lines == []
    cli.run("memory", "disabled", status=2)
    cli.run("memory", thread_id(1), "odd", status=2)


CHANGES = [
    ("rename", thread_id(1), "new"),
    ("git-info", thread_id(1), "--branch", "b"),
    ("memory", thread_id(1), "disabled"),
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[0])
def test_a_change_that_codex_does_not_have_is_no_plain_success(
    cli: Cli, change: tuple[str, ...]
) -> None:
    codex = Codex.empty(cli.home)
    (file,) = cli.home.rglob(f"*{thread_id(1)}.jsonl")
    codex.insert(thread_id(1), file)
    (printed,) = cli.run(*change, "--json").json["threads"]
    assert (printed["done"], printed["codexError"]) == (True, None)
    before = codex.threads()
    codex.change("CREATE TRIGGER news AFTER UPDATE ON threads BEGIN SELECT 1; END")
    ran = cli.run(*change, status=6)
    assert "the change is made, but Codex's own database still has the old value" in ran.err
    assert "an unknown trigger: CREATE TRIGGER NEWS" in ran.err
    assert "or let Codex do it (codex archive, unarchive, delete; /rename)" in ran.err
    (printed,) = cli.run(*change, "--json", status=6).json["threads"]
    assert (printed["done"], printed["error"]) == (True, None)
    assert printed["codexError"]["kind"] == "codex_schema_unknown"
    with closing(sqlite3.connect(codex.path, isolation_level=None)) as other:
        codex.change("DROP TRIGGER news")
        other.execute("BEGIN IMMEDIATE")
        ran = cli.run(*change, status=6)
        assert "is locked by another process" in ran.err
        assert "run the same command again in a moment" in ran.err
    assert codex.threads() == before
    cli.run(*change)
