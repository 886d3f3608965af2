"""An index in a bad state: every command has a defined outcome, and no thread is lost."""

import asyncio
import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from state.db.connect import connect
from state.db.lock import lock_path
from state.errors import IndexDamaged
from state.repair.recovery import recover
from state.rows.thread_rows import rename
from state.thread_index import open_index
from state.userdata.journal import append_settings
from state.userdata.model import UserValue
from state.userdata.store import put_settings
from tests.support.command import (
    Cli,
    Inside,
    Ran,
    Within,
    plain_user,
    thread_id,
    with_files_of_at_most,
    write_rollout,
)
from tests.support.damage import damaged_pages, garbage, sql, truncated
from tests.support.effort import PATIENCE_S

__all__ = ["plain_user"]

ALL = [thread_id(number) for number in (2, 1, 0)]


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads, one of them named here, all indexed."""
    cli = Inside(tmp_path / "home", tmp_path)
    for number in range(3):
        write_rollout(cli.home, number)
    cli.run("sync")
    fact = UserValue(thread_id(1), "name", "mine", 5)
    append_settings(cli.index, [fact])

    async def put() -> None:
        async with open_index(cli.home, cli.index) as index:
            await index.database.transact(partial(put_settings, settings=[fact]))
            await index.database.transact(partial(rename, names={thread_id(1): "mine"}))

    asyncio.run(put())
    return cli


def is_whole(cli: Cli) -> None:
    """All threads are listed, with what was set, and verifying finds nothing."""
    assert cli.ids() == ALL
    assert cli.run("show", thread_id(1), "--json").json["thread"]["name"] == "mine"
    assert cli.run("verify", "--deep", "--json").json["findings"] == []


WRECKS: dict[str, Callable[[Path], None]] = {
    "garbage": garbage,
    "truncated": truncated,
    "damaged pages": damaged_pages,
    "table missing": sql("DROP TABLE rollout_files"),
    "no revision": sql("DROP TABLE alembic_version"),
    "half migrated": sql("DELETE FROM alembic_version"),
    "no such revision": sql("UPDATE alembic_version SET version_num = 'garbage'"),
    "no job": sql("DELETE FROM backfill_state"),
}


@pytest.mark.parametrize(
    ("what", "command"),
    [
        *((what, "list") for what in WRECKS),
        ("garbage", "sync"),
        *(
            pytest.param(what, "sync", marks=pytest.mark.full)
            for what in WRECKS
            if what != "garbage"
        ),
    ],
)
def test_a_damaged_index_is_put_aside_and_built_anew_by_the_command_that_meets_it(
    what: str, command: str, small: Cli
) -> None:
    WRECKS[what](small.index)
    wreck = small.index.read_bytes()
    ran = small.run(command, "--json")
    aside = small.index.with_name("index.sqlite3.damaged-1")
    assert f"It was moved to {aside}" in ran.err
    assert "damaged" in ran.err.splitlines()[0]
    if what in ("garbage", "truncated"):
        assert aside.read_bytes() == wreck
    assert ran.json
    assert "was moved to" not in small.run("list").err
    is_whole(small)


def test_status_and_verify_leave_a_damaged_index_where_it_is(small: Cli) -> None:
    garbage(small.index)
    wreck = small.index.read_bytes()
    ran = small.run("status", status=7)
    assert "is damaged" in ran.err
    assert "threadkeep reindex" in ran.err
    found = small.run("verify", "--json", status=1).json
    assert found["codes"] == {"index_damaged": 1}
    assert found["findings"][0]["mend"] == "threadkeep repair"
    assert small.index.read_bytes() == wreck
    done = small.run("repair", "--apply", "--json").json
    assert done["before"] == f"{small.index}.damaged-1"
    is_whole(small)


def test_a_file_that_was_never_an_index_of_ours_is_left_alone(small: Cli) -> None:
    photo = small.base / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff" + os.urandom(9000))
    before = photo.read_bytes()
    for command in ("list", "sync", "backfill", "status"):
        ran = small.run("--db", str(photo), command, status=7)
        assert "is damaged: file is not a database" in ran.err
    assert photo.read_bytes() == before
    assert sorted(small.base.glob("photo*")) == [photo]


@pytest.mark.usefixtures("impatient")
def test_an_index_that_another_process_fills_is_not_put_aside(small: Cli) -> None:
    damage = IndexDamaged(small.index, "as it was a moment ago")
    with closing(connect(small.index)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert asyncio.run(recover(small.index, damage)) is None
    with closing(connect(small.index)) as writer:
        writer.execute("UPDATE threads SET title = CAST(x'ff' AS TEXT)")
        writer.execute("BEGIN IMMEDIATE")
        assert asyncio.run(recover(small.index, damage))


def test_an_index_that_another_process_is_making_stays(tmp_path: Path) -> None:
    index = tmp_path / "index.sqlite3"
    lock_path(index).touch()
    with closing(sqlite3.connect(index, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE threads (id TEXT)")
        assert asyncio.run(recover(index, IndexDamaged(index, "it was"))) is None
    assert index.exists()


def test_processes_that_meet_one_damaged_index_put_it_aside_once(small: Cli) -> None:
    garbage(small.index)
    running = [small.start("list", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "1234"]
    for process in running:
        out, err = process.communicate(timeout=PATIENCE_S)
        # While one fills the new index, the others say that theirs may not be whole.
        notes = (b"may be incomplete", b"Not caught up with the files")
        assert out.count(b"\n") == len(ALL) or any(note in err for note in notes), err
        assert process.returncode in (0, 1)
    assert len(list(small.index.parent.glob("*.damaged-*"))) == 1
    is_whole(small)


def told_from_a_copy(ran: Ran) -> None:
    assert "Answering from a temporary copy" in ran.err


def test_a_read_only_index_is_read_true_to_the_files_and_left_as_it_is(
    small: Cli, plain_user: Within
) -> None:
    write_rollout(small.home, 9)
    small.index.chmod(0o400)
    small.index.parent.chmod(0o500)
    before = {path: path.stat().st_mtime_ns for path in small.index.parent.iterdir()}
    try:
        listed = small.run("list", "--json", prefix=plain_user)
        told_from_a_copy(listed)
        assert [thread["id"] for thread in listed.json["data"]] == [thread_id(9), *ALL]
        shown = small.run("show", thread_id(1), "--json", prefix=plain_user)
        told_from_a_copy(shown)
        assert shown.json["thread"]["name"] == "mine"
        told_from_a_copy(small.run("status", prefix=plain_user))
        found = small.run("verify", "--json", status=1, prefix=plain_user).json
        assert found["codes"] == {"not_indexed": 1}
        for command in ("sync", "backfill", "reindex"):
            refused = small.run(command, "--json", status=7, prefix=plain_user).json["error"]
            assert refused["kind"] == "index_not_writable"
        assert {path: path.stat().st_mtime_ns for path in small.index.parent.iterdir()} == before
    finally:
        small.index.parent.chmod(0o700)
        small.index.chmod(0o600)
    assert thread_id(9) in small.ids()


def test_a_home_can_be_listed_where_no_index_can_be_made(small: Cli, plain_user: Within) -> None:
    locked = small.base / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    env = {"THREADKEEP_DB": str(locked / "index.sqlite3")}
    listed = small.run("list", "--json", env=env, prefix=plain_user)
    told_from_a_copy(listed)
    assert [thread["id"] for thread in listed.json["data"]] == ALL
    ran = small.run("reindex", status=7, env=env, prefix=plain_user)
    assert "cannot be used: Permission denied" in ran.err
    assert "make its folder writable, or name another file with --db" in ran.err
    locked.chmod(0o700)


@pytest.mark.parametrize("size", [40_000, 250_000])
def test_a_full_disk_in_the_middle_ends_clearly_and_the_work_goes_on_later(
    size: int, small: Cli
) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    for number in range(3, 200):
        write_rollout(small.home, number)
    for command in (("backfill", "--batch-size", "20"), ("sync",), ("list",), ("reindex",)):
        ran = small.run(*command, status=7, prefix=with_files_of_at_most(size))
        assert "cannot be used" in ran.err
        assert "allow larger files: ulimit -f unlimited" in ran.err
    small.run("sync")
    assert len(small.ids("--all")) == 200
    assert small.run("verify", "--deep", "--json").json["findings"] == []
    left = {path.name for path in small.index.parent.iterdir()}
    assert not [name for name in left if ".new-" in name]


@pytest.mark.usefixtures("impatient")
def test_a_list_does_without_the_lock_that_another_process_keeps(small: Cli) -> None:
    write_rollout(small.home, 9)
    with closing(sqlite3.connect(small.index, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        (small.home / "sessions/2026/10/15").rename(small.home / "away")
        (small.home / "sessions/2026/10/15").mkdir()
        for path in (small.home / "away").glob(f"*{thread_id(1)}*"):
            path.rename(small.home / "sessions/2026/10/15" / path.name)
        ran = small.run("list", "--json")
        writer.execute("ROLLBACK")
    assert "Not caught up with the files: the index " in ran.err
    # What is gone is not shown, even so.
    assert [thread["id"] for thread in ran.json["data"]] == [thread_id(1)]
    assert ran.json["complete"] is False
    assert small.ids() == [thread_id(1)]


def test_a_missing_column_is_met_by_whoever_needs_it(small: Cli) -> None:
    sql("ALTER TABLE backfill_state DROP COLUMN last_error")(small.index)
    assert "was moved to" in small.run("sync").err
    dropped = ("DROP TRIGGER fleet_threads_update", "ALTER TABLE threads DROP COLUMN agent_role")
    sql(*dropped)(small.index)
    assert "was moved to" in small.run("list").err
    is_whole(small)


def test_a_first_command_after_a_kill_at_any_time_is_served(small: Cli) -> None:
    """Also with the sidecars of a killed process beside the index, or with only some of them."""
    process = small.start("backfill", "--force", stderr=subprocess.DEVNULL)
    process.kill()
    process.wait()
    Path(f"{small.index}-shm").unlink(missing_ok=True)
    is_whole(small)
