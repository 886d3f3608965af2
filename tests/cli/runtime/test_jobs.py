"""Jobs that fill the index: what they count, interruptions, reindex, and status."""

import asyncio
import json
import signal
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from state.db.location import journal_path
from state.thread_index import open_index
from state.userdata.journal import append_settings
from state.userdata.model import UserValue
from state.userdata.store import put_settings
from tests.cli.test_commands import small
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

__all__ = ["small"]


JOB_KEYS = [
    *("version", "job", "files", "read", "unreadable", "away", "dropped", "bytesRead", "seconds"),
]


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
        "away": [],
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


def test_status_shows_the_state_of_the_index(small: Cli) -> None:
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
        "away",
        "search",
        "push",
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
    assert status["push"] is None
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
    assert "changes    1 file is gone: threadkeep sync updates the index" in words
    assert "empty file" in words
    (small.home / "session_index.jsonl").write_text("", "utf-8")
    changes = small.run("status").out.partition("changes")[2].splitlines()[0]
    assert "thread names changed" in changes
    owner = json.dumps({"id": "x", "host": "elsewhere", "pid": 7, "started": ""})
    with closing(sqlite3.connect(small.index)) as connection, connection:
        connection.execute(
            "UPDATE backfill_state SET status = 'running', owner = ?, lease_expires_at_ms = 9e15,"
            " files_total = 20000, files_done = 5000, started_at_ms = ?",
            [owner, time.time_ns() // 1_000_000 - 1_000_000],
        )
    running = small.run("status").out.partition("backfill   ")[2].splitlines()[0]
    assert running.startswith("running: 5,000 of 20,000 files, 25%, 5 files/s, about 50 min left")


def test_a_backfill_counts_each_file_once(small: Cli) -> None:
    for number in range(150):
        write_rollout(small.home, number)
    small.run("backfill")
    job = small.run("status", "--json").json["backfill"]
    assert (job["filesTotal"], job["filesDone"]) == (150, 150)


async def set_name(cli: Cli, number: int, name: str) -> None:
    """Name a thread as a command would: the journal first, then the index."""
    fact = UserValue(thread_id(number), "name", name, 1_760_000_000_000)
    append_settings(cli.index, [fact])
    async with open_index(cli.home, cli.index) as index:
        await index.database.transact(partial(put_settings, settings=[fact]))


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
    deadline = time.monotonic() + PATIENCE_S
    while files_done(cli.index) < 20 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, b"")
    words = "Interrupted. What has been read is kept; threadkeep backfill continues from there.\n"
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
