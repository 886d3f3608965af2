"""``archive``, ``unarchive`` and ``delete`` as commands: choosing, asking, answers, a race."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.files.writer_lock import WriterLock
from tests.state.codex.databases import Codex
from tests.support.checks import codes, verified
from tests.support.command import Cli, Inside, Within, plain_user, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

__all__ = ["plain_user"]

CODEX = os.environ.get("THREADKEEP_CODEX_BIN")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of six threads, two of them of another folder, one archived."""
    home = tmp_path / "home"
    for number in range(5):
        write_rollout(home, number, f"thread number {number}", cwd="/b" if number > 2 else "/a")
    write_rollout(home, 5, "thread number 5", archived=True)
    return Inside(home, tmp_path)


def places(home: Path) -> dict[str, str]:
    """Where each thread's one file is: the first folder below the home."""
    files = [path.relative_to(home) for path in home.rglob("rollout-*")]
    found = {path.name[-42:-6]: path.parts[0] for path in files}
    assert len(found) == len(files), files
    return found


def archived(home: Path) -> list[int]:
    return [n for n in range(6) if places(home).get(thread_id(n)) == "archived_sessions"]


def test_threads_that_are_named_are_moved_and_told(cli: Cli) -> None:
    ran = cli.run("archive", thread_id(1), thread_id(2)[:-1] + "2")
    assert ran.lines == [
        f"{thread_id(1)}\tarchived\tthread number 1",
        f"{thread_id(2)}\tarchived\tthread number 2",
    ]
    assert ran.err == ""
    assert archived(cli.home) == [1, 2, 5]
    assert set(cli.ids("--archived")) == {thread_id(n) for n in (1, 2, 5)}
    assert cli.run("unarchive", thread_id(1)).lines == [
        f"{thread_id(1)}\tunarchived\tthread number 1"
    ]
    assert set(cli.ids("--no-sync")) == {thread_id(n) for n in (0, 1, 3, 4)}
    ran = cli.run("delete", thread_id(0), "--yes")
    assert ran.lines == [f"{thread_id(0)}\ttrashed\tthread number 0"]
    assert ran.err.startswith("Moved to the trash: 1 thread, ")
    assert places(cli.home)[thread_id(0)] == ".threadkeep-trash"
    ran = cli.run("delete", thread_id(3), "--purge", "--yes")
    assert ran.lines == [f"{thread_id(3)}\tpurged\tthread number 3"]
    assert thread_id(3) not in places(cli.home)
    assert codes(verified(cli.home, cli.index)) == {}


def test_ids_come_from_stdin_as_list_prints_them(cli: Cli) -> None:
    listed = cli.run("list", "--cwd", "/a").out
    printed = cli.run("archive", "-", "--json", stdin=listed).json["threads"]
    assert [entry["done"] for entry in printed] == [True] * 3
    assert archived(cli.home) == [0, 1, 2, 5]
    found = cli.run("query", "SELECT id, name FROM v_threads WHERE archived").out
    assert found.startswith("id\t")
    assert len(cli.run("unarchive", "-", stdin=found).lines) == 4
    assert archived(cli.home) == []


def test_filters_choose_as_those_of_list_do(cli: Cli) -> None:
    chosen = cli.ids("--cwd", "/b")
    dry = cli.run("archive", "--cwd", "/b", "--dry-run")
    assert dry.lines == [
        f"{id_}\twould be archived\tthread number {int(id_[-4:], 16)}" for id_ in chosen
    ]
    assert archived(cli.home) == [5]
    cli.run("archive", "--cwd", "/b", "--yes")
    assert archived(cli.home) == [3, 4, 5]
    cli.run("unarchive", "--search", "NUMBER 4", "--yes")
    assert archived(cli.home) == [3, 5]
    cli.run("delete", "--archived", "--source", "cli", "--yes")
    assert archived(cli.home) == []
    assert (
        cli.run("archive", "--cwd", "/nobody", "--yes", status=1).err
        == "No threads selected. Nothing was changed.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "give thread ids, or filters"),
        ([thread_id(1), "--cwd", "/a"], "either thread ids or filters"),
        (["--all-sources", "--yes"], "add another filter"),
        (["--cwd", "/a"], "add --yes to confirm, or --dry-run"),
        (["--cwd", "/a", "--json"], "add --yes to confirm, or --dry-run"),
    ],
)
def test_what_is_not_chosen_clearly_is_wrong_usage(
    cli: Cli, arguments: Sequence[str], printed: str
) -> None:
    for command in ("archive", "unarchive", "delete"):
        ran = cli.run(command, *arguments, status=2)
        assert printed in " ".join((ran.err + ran.out).split())
    assert cli.run("delete", thread_id(1), status=2).out == ""
    assert archived(cli.home) == [5]
    assert len(places(cli.home)) == 6


def test_each_thread_has_its_own_answer_and_the_gravest_is_the_status(cli: Cli) -> None:
    write_rollout(cli.home, 1, archived=True)
    with WriterLock.acquire(cli.home, thread_id(2)):
        ran = cli.run(
            *("archive", "nobody", *(thread_id(n) for n in (0, 1, 2, 5)), "--json"), status=7
        )
    assert list(ran.json) == ["version", "action", "dryRun", "interrupted", "bytes", "threads"]
    assert [
        (t["id"] or t["reference"], t["done"], t["error"] and t["error"]["kind"])
        for t in ran.json["threads"]
    ] == [
        ("nobody", False, "thread_not_found"),
        (thread_id(0), True, None),
        (thread_id(1), False, "target_exists"),
        (thread_id(2), False, "writer_active"),
        (thread_id(5), False, "already_archived"),
    ]
    (files,) = [t["files"] for t in ran.json["threads"] if t["done"]]
    name = f"rollout-2026-10-15T00-00-00-{thread_id(0)}.jsonl"
    assert files == [{"from": f"sessions/2026/10/15/{name}", "to": f"archived_sessions/{name}"}]
    ran = cli.run("unarchive", thread_id(2), "nobody", status=3)
    assert ran.out == ""
    assert "threadkeep search nobody" in ran.err.splitlines()[1]
    assert ran.err.splitlines()[2] == f"threadkeep: thread {thread_id(2)} is not archived"
    with WriterLock.acquire(cli.home, thread_id(2)):
        printed = cli.run("delete", thread_id(2), "--yes", status=5).err
    assert f"already has an active writer: pid {os.getpid()}" in printed


def test_nothing_is_changed_in_a_home_that_cannot_be_written(cli: Cli, plain_user: Within) -> None:
    cli.run("list")
    before = places(cli.home)
    cli.home.chmod(0o555)
    try:
        ran = cli.run("archive", thread_id(1), status=7, prefix=plain_user)
        assert "cannot be used: Permission denied" in ran.err
    finally:
        cli.home.chmod(0o755)
    (cli.home / "sessions/2026/10/15").chmod(0o555)
    try:
        ran = cli.run("archive", thread_id(1), "--json", status=7, prefix=plain_user)
        assert ran.json["threads"][0]["error"]["kind"] == "file_unusable"
    finally:
        (cli.home / "sessions/2026/10/15").chmod(0o755)
    assert places(cli.home) == before
    assert codes(verified(cli.home, cli.index)) == {}


@pytest.mark.usefixtures("impatient")
def test_what_codex_cannot_be_told_of_is_refused_before_anything_is_moved(cli: Cli) -> None:
    (cli.base / "sql").mkdir()
    (cli.home / "config.toml").write_text(f'sqlite_home = "{cli.base}/sql"\n')
    codex = Codex.empty(cli.base / "sql")
    for number in range(6):
        (file,) = cli.home.rglob(f"*{thread_id(number)}.jsonl")
        codex.insert(thread_id(number), file, archived=int(number == 5))
    cli.run("archive", thread_id(1))
    assert codex.threads()[thread_id(1)]["archived"] == 1
    codex.change("ALTER TABLE threads ADD COLUMN news TEXT")
    before, held = places(cli.home), codex.content()
    for command in (
        ("archive", thread_id(0)),
        ("archive", thread_id(0), "--dry-run"),
        ("archive", "--cwd", "/b", "--yes"),
        ("unarchive", thread_id(1)),
        ("delete", thread_id(0), "--yes"),
        ("delete", thread_id(5), "--purge", "--yes"),
    ):
        ran = cli.run(*command, status=4)
        assert ran.out == ""
        assert "does not know: threads has NEWS TEXT; nothing was changed in it" in ran.err
        assert "or let Codex do it (codex archive, unarchive, delete" in ran.err
        (printed, *_) = cli.run(*command, "--json", status=4).json["threads"]
        assert (printed["done"], printed["error"]["kind"]) == (False, "codex_schema_unknown")
    codex.change("ALTER TABLE threads DROP COLUMN news")
    with closing(sqlite3.connect(codex.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = cli.run("archive", thread_id(0), "--json", status=5)
    (printed,) = ran.json["threads"]
    assert (printed["error"]["kind"], printed["error"]["retryable"]) == ("codex_locked", True)
    assert places(cli.home) == before
    codex.change("ALTER TABLE threads ADD COLUMN news TEXT")
    assert codex.content() == held


def test_a_database_of_codex_that_cannot_be_written(cli: Cli, plain_user: Within) -> None:
    folder = cli.base / "sql"
    folder.mkdir()
    env = {"CODEX_SQLITE_HOME": str(folder)}
    codex = Codex.empty(folder)
    (file,) = cli.home.rglob(f"*{thread_id(1)}.jsonl")
    codex.insert(thread_id(1), file)
    cli.run("list")
    before, held = places(cli.home), codex.content()
    codex.path.chmod(0o400)
    folder.chmod(0o500)
    try:
        ran = cli.run("archive", thread_id(1), "--json", status=7, env=env, prefix=plain_user)
        assert ran.json["threads"][0]["error"]["kind"] == "codex_unusable"
        ran = cli.run("rename", thread_id(1), "x", status=6, env=env, prefix=plain_user)
        assert "Codex's own database still has the old value" in ran.err
        assert "threadkeep codex-check shows more" in ran.err
    finally:
        folder.chmod(0o700)
        codex.path.chmod(0o600)
    assert (places(cli.home), codex.content()) == (before, held)


def test_what_was_cut_off_is_finished_by_the_next_list(cli: Cli) -> None:
    cli.run("list")
    (file,) = cli.home.rglob(f"*{thread_id(1)}.jsonl")
    folder = cli.index.with_name(f"{cli.index.name}.moves")
    folder.mkdir()
    move = {
        "thread_id": thread_id(1),
        "source": str(file.relative_to(cli.home)),
        "target": f"archived_sessions/{file.name}",
    }
    entry = {
        "v": 1,
        "home": str(cli.home.resolve()),
        "groups": [{"thread_id": thread_id(1), "moves": [move]}],
    }
    (folder / "one.json").write_text(json.dumps(entry))
    assert thread_id(1) not in cli.ids("--no-sync")
    assert archived(cli.home) == [1, 5]
    (folder / "one.json").parent.mkdir(exist_ok=True)
    (folder / "two.json").write_text("garbage")
    ran = cli.run("list", "--archived")
    assert "cannot be finished yet" in ran.err
    assert thread_id(1) in ran.out


def test_processes_that_move_the_same_threads_leave_each_in_one_place(cli: Cli) -> None:
    """Each by an index of its own and by a common one."""
    cli.run("list")
    may_be_told = {"thread_not_found", "already_archived", "not_archived", "writer_active"}
    everybody = [thread_id(number) for number in range(5)]
    other = ("--db", str(cli.base / "other.sqlite3"))
    printed: Counter[str] = Counter()
    for command in (["archive"], ["unarchive"], ["delete", "--yes"]):
        opposite = "unarchive" if command[0] == "archive" else "archive"
        commands = [[*command], [*other, *command], [*other, opposite]]
        started = [
            cli.start(*one, *everybody, "--json", stdout=subprocess.PIPE) for one in commands
        ]
        for process in started:
            out, _ = process.communicate(timeout=PATIENCE_S)
            for entry in json.loads(out)["threads"]:
                if entry["error"]:
                    printed[entry["error"]["kind"]] += 1
        assert set(places(cli.home)) == {thread_id(number) for number in range(6)}
    assert set(printed) <= may_be_told
    assert printed
    cli.run("sync")
    assert codes(verified(cli.home, cli.index)) == {}


def asked(home: Path, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """What the real Codex answers: a result, or the message of an error."""
    assert CODEX
    process = subprocess.Popen(
        [CODEX, "app-server", "--listen", "stdio://"],
        env={"PATH": os.environ["PATH"], "HOME": str(home.parent), "CODEX_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    client = {"clientInfo": {"name": "test", "version": "1"}}
    capabilities = {"capabilities": {"experimentalApi": True}}
    answers = []
    with process:
        for number, (method, params) in enumerate([("initialize", client | capabilities), *calls]):
            request = {"id": number, "method": method, "params": params}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if answer.get("id") == number:
                    error = answer.get("error")
                    answers.append(error["message"] if error else answer["result"])
                    break
            if not number:
                process.stdin.write('{"method": "initialized"}\n')
        process.stdin.close()
        process.terminate()
    return answers[1:]


def codex_lists(home: Path) -> tuple[set[str], set[str]]:
    """The ids that Codex lists, active and archived."""
    active, old = asked(
        home,
        ("thread/list", {"limit": 100, "sortKey": "created_at"}),
        ("thread/list", {"limit": 100, "archived": True}),
    )
    return ({t["id"] for t in active["data"]}, {t["id"] for t in old["data"]})


@pytest.mark.skipif(not CODEX, reason="THREADKEEP_CODEX_BIN is not set")
def test_the_real_codex_agrees(cli: Cli) -> None:
    shutil.rmtree(cli.home / "archived_sessions")
    config = 'model_provider = "openai"\ncheck_for_update_on_startup = false\n'
    (cli.home / "config.toml").write_text(config)
    everybody = {thread_id(number) for number in range(5)}
    assert codex_lists(cli.home) == (everybody, set())
    cli.run("archive", thread_id(1), thread_id(2))
    assert codex_lists(cli.home) == (
        everybody - {thread_id(1), thread_id(2)},
        {*map(thread_id, (1, 2))},
    )
    asked(cli.home, ("thread/unarchive", {"threadId": thread_id(2)}))
    assert set(cli.ids("--archived")) == {thread_id(1)}
    cli.run("unarchive", thread_id(1))
    assert codex_lists(cli.home) == (everybody, set())
    asked(cli.home, ("thread/archive", {"threadId": thread_id(3)}))
    cli.run("unarchive", thread_id(3))
    cli.run("delete", thread_id(3), thread_id(4), "--yes")
    assert codex_lists(cli.home) == (everybody - {thread_id(3), thread_id(4)}, set())
    with WriterLock.acquire(cli.home, thread_id(1)):
        (printed,) = asked(cli.home, ("thread/archive", {"threadId": thread_id(1)}))
    assert printed == f"thread {thread_id(1)} already has an active writer"
