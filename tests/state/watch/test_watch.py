"""``threadkeep watch``: whatever anybody does to the files, the index follows and a line tells."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from rollout.metadata.session_index import append_name
from tests.samples import homes
from tests.samples.homes import thread_id
from tests.support.command import Cli, Inside
from tests.support.effort import PATIENCE_S, is_full
from tests.support.watching import Watching, watching

ROUNDS = 8 if is_full() else 3
"""How often each thread is written to that nobody reads of: a pipe holds less than one round."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of three threads."""
    made = Inside(tmp_path / "home", tmp_path)
    for number in (1, 2, 3):
        homes.write(made.home, number)
    return made


def append(path: Path, text: str = "more") -> None:
    """Write one more message behind the others."""
    with path.open("ab") as file:
        file.write(homes.encoded([homes.event("2026-06-01T00:00:00.000Z", "user_message", m=text)]))


def file_of(cli: Cli, number: int) -> Path:
    """The thread's file."""
    return next(cli.home.rglob(homes.file_name(number)))


def size_in_index(cli: Cli, number: int) -> int | None:
    """The size of a thread's file as the index has it; nothing is brought in step for that."""
    with closing(sqlite3.connect(f"file:{cli.index}?mode=ro", uri=True)) as connection:
        asked = "SELECT size_bytes FROM threads WHERE id = ?"
        row = connection.execute(asked, (thread_id(number),)).fetchone()
        return row[0] if row else None


def test_an_append_is_in_the_index_and_told(cli: Cli) -> None:
    path = file_of(cli, 2)
    with watching(cli) as watch:
        for _ in range(3):
            append(path)
            change = watch.next()
            assert (change["kind"], change["id"]) == ("changed", thread_id(2))
            assert change["sizeBytes"] == path.stat().st_size == size_in_index(cli, 2)
            assert change["updatedAt"] == path.stat().st_mtime_ns // 1_000_000
            assert change["archived"] is False
            assert change["name"] is None


def test_new_threads_are_reported_also_in_folders_that_appear_with_them(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home", tmp_path)
    cli.home.mkdir()
    with watching(cli) as watch:
        homes.write(cli.home, 1)  # sessions/2026/05/28 with it
        assert watch.told() == ("appeared", thread_id(1))
        homes.write(cli.home, 2)
        assert watch.told() == ("appeared", thread_id(2))
        homes.write(cli.home, 3, archived=True)
        change = watch.next()
        assert (change["kind"], change["id"]) == ("appeared", thread_id(3))
        assert change["archived"] is True
        append(file_of(cli, 3))
        assert watch.told() == ("changed", thread_id(3))


def test_names_are_reported_whoever_gives_them(cli: Cli) -> None:
    with watching(cli) as watch:
        append_name(cli.home, thread_id(1), "From elsewhere")
        change = watch.next()
        assert (change["kind"], change["id"]) == ("changed", thread_id(1))
        assert change["name"] == "From elsewhere"
        cli.run("rename", thread_id(2), "From here")
        change = watch.next()
        assert (change["kind"], change["id"]) == ("changed", thread_id(2))
        assert change["name"] == "From here"


def test_the_archive_and_back_is_reported_once(cli: Cli) -> None:
    with watching(cli) as watch:
        cli.run("archive", thread_id(1))
        assert watch.told() == ("archived", thread_id(1))
        cli.run("unarchive", thread_id(1))
        assert watch.told() == ("unarchived", thread_id(1))
        path = file_of(cli, 2)
        path.rename(cli.home / "archived_sessions" / path.name)  # as Codex does
        assert watch.told() == ("archived", thread_id(2))
        assert not watch.has_more(0.5)


def test_removed_threads_are_reported_with_how_they_were(cli: Cli) -> None:
    size = file_of(cli, 1).stat().st_size
    with watching(cli) as watch:
        file_of(cli, 1).unlink()
        change = watch.next()
        assert (change["kind"], change["id"]) == ("vanished", thread_id(1))
        assert change["sizeBytes"] == size
        cli.run("delete", thread_id(2), "--yes")
        assert watch.told() == ("vanished", thread_id(2))
        shutil.rmtree(cli.home / "sessions")
        assert watch.told() == ("vanished", thread_id(3))
        homes.write(cli.home, 4)
        assert watch.told() == ("appeared", thread_id(4))


def test_folders_that_are_moved_and_replaced_are_followed(cli: Cli) -> None:
    sessions = cli.home / "sessions"
    with watching(cli) as watch:
        sessions.rename(cli.home / "aside")
        gone = {watch.told() for _ in range(3)}
        assert gone == {("vanished", thread_id(number)) for number in (1, 2, 3)}
        (cli.home / "aside").rename(sessions)
        back = {watch.told() for _ in range(3)}
        assert back == {("appeared", thread_id(number)) for number in (1, 2, 3)}
        (sessions / "2026").rename(sessions / "2027")
        append(file_of(cli, 1))
        assert watch.told() == ("changed", thread_id(1))
        append(file_of(cli, 2))
        assert watch.told() == ("changed", thread_id(2))


def test_a_home_that_is_away_for_a_while_ends_nothing(cli: Cli, tmp_path: Path) -> None:
    with watching(cli) as watch:
        cli.home.rename(tmp_path / "away")
        watch.until_said("Not up to date")
        (tmp_path / "away").rename(cli.home)
        watch.until_said("Up to date again")
        append(file_of(cli, 1))
        assert watch.told() == ("changed", thread_id(1))


def test_an_index_that_is_locked_is_waited_for(cli: Cli) -> None:
    with watching(cli) as watch:
        with closing(sqlite3.connect(cli.index, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            append(file_of(cli, 1))
            homes.write(cli.home, 4)
            watch.until_said("locked by another process")
            assert not watch.has_more(0.1)
            other.execute("ROLLBACK")
        assert {watch.told(), watch.told()} == {
            ("changed", thread_id(1)),
            ("appeared", thread_id(4)),
        }
        watch.until_said("Up to date again")


def test_it_waits_for_the_backfill_of_another_process(cli: Cli) -> None:
    cli.run("backfill")
    held = json.dumps({"id": "x", "host": "another", "pid": 1, "started": "1"})
    lease(cli, "status = 'running', owner = ?, lease_expires_at_ms = ?", held, 2**53)
    with watching(cli, ready=False) as watch:
        watch.until_said("a backfill is already running: pid 1 on another")
        assert not any("Watching" in line for line in watch.said)
        lease(cli, "lease_expires_at_ms = 0")
        watch.until_said("Watching 3 threads")
        append(file_of(cli, 1))
        assert watch.told() == ("changed", thread_id(1))


def lease(cli: Cli, changes: str, *values: str | int) -> None:
    """Set something of the lease of the backfill."""
    with closing(sqlite3.connect(cli.index)) as other, other:
        other.execute(f"UPDATE backfill_state SET {changes}", values)


def test_killed_and_started_again_it_goes_on(cli: Cli) -> None:
    with watching(cli) as watch:
        append(file_of(cli, 1))
        assert watch.told() == ("changed", thread_id(1))
        assert watch.end(signal.SIGKILL) == -signal.SIGKILL
    append(file_of(cli, 2))
    with watching(cli) as watch:
        assert size_in_index(cli, 2) == file_of(cli, 2).stat().st_size
        append(file_of(cli, 3))
        assert watch.told() == ("changed", thread_id(3))


def test_two_of_them_tell_the_same(cli: Cli) -> None:
    with watching(cli) as one, watching(cli) as two:
        append(file_of(cli, 1))
        homes.write(cli.home, 4)
        expected = {("changed", thread_id(1)), ("appeared", thread_id(4))}
        assert {one.told(), one.told()} == expected
        assert {two.told(), two.told()} == expected


def test_an_index_that_is_removed_is_built_again_and_no_change_is_lost(cli: Cli) -> None:
    with watching(cli) as watch:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{cli.index}{suffix}").unlink(missing_ok=True)
        append(file_of(cli, 1))
        watch.until_said("Opening it again")
        assert watch.told() == ("changed", thread_id(1))
        assert size_in_index(cli, 1) == file_of(cli, 1).stat().st_size
        assert not watch.has_more(0.5)


NO_WATCHES = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
"""In a user namespace of its own, where the system then has no watches to give."""


def test_where_nothing_can_be_watched_it_looks_every_few_seconds(cli: Cli) -> None:
    prefix = ("unshare", "-Ur", "sh", "-c", NO_WATCHES, "sh")
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("watches cannot be taken away here")
    with watching(cli, prefix=prefix) as watch:
        assert "every few seconds" in watch.said[0]
        append(file_of(cli, 1))
        assert watch.told() == ("changed", thread_id(1))
        append(file_of(cli, 2))
        assert watch.told() == ("changed", thread_id(2))


def test_a_name_that_no_event_can_tell_ends_nothing(cli: Cli) -> None:
    """The library for events gives up at a file name that is no UTF-8."""
    with watching(cli) as watch:
        name = os.fsencode(cli.home / "sessions/2026") + b"/rollout-\xff.jsonl"
        Path(os.fsdecode(name)).write_bytes(b"")
        time.sleep(0.5)
        append(file_of(cli, 1))
        assert watch.told() == ("changed", thread_id(1))
        append(file_of(cli, 2))
        assert watch.told() == ("changed", thread_id(2))


def test_links_are_followed_as_far_as_a_scan_does(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    homes.write(other, 7)
    path = file_of(cli, 1)
    (cli.home / "sessions").rename(tmp_path / "elsewhere")
    (cli.home / "sessions").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "link").symlink_to(other / "sessions")
    with watching(cli) as watch:
        append(path)
        assert watch.told() == ("changed", thread_id(1))
        append(file_of(Cli(other, tmp_path), 7))
        assert not watch.has_more(1)
        assert size_in_index(cli, 7) is None


def test_other_files_are_no_changes(cli: Cli) -> None:
    with watching(cli) as watch:
        (cli.home / "sessions" / "notes.txt").write_text("x")
        (cli.home / "history.jsonl").write_text("{}\n")
        path = file_of(cli, 1)
        path.chmod(0o600)
        path.read_bytes()
        assert not watch.has_more(1)


def test_an_interrupt_ends_it_quietly(cli: Cli) -> None:
    with watching(cli) as watch:
        assert watch.end() == 130
        assert len(watch.said) == 1


def test_an_interrupted_first_backfill_ends_and_goes_on_next_time(cli: Cli) -> None:
    for number in range(10, 400):
        homes.write(cli.home, number)
    for _ in range(3):
        with watching(cli, ready=False) as watch:
            end = time.monotonic() + PATIENCE_S
            while not cli.index.exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            time.sleep(0.3)
            assert watch.end() == 130
    with watching(cli) as watch:
        assert watch.said == [f"Watching 393 threads of {cli.home}. Ctrl-C ends it.\n"]


def test_it_ends_when_nobody_reads_any_more(cli: Cli) -> None:
    process = cli.start("watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout
        assert process.stderr
        assert process.stderr.readline().startswith(b"Watching 3 threads")
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == b""


def test_who_does_not_read_gets_fewer_changes_later(cli: Cli) -> None:
    """Far more is written than a pipe holds; the index follows all the same."""
    for number in range(100, 400):
        homes.write(cli.home, number)
    paths = [file_of(cli, number) for number in range(100, 400)]
    process = cli.start("watch", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stderr
        assert process.stderr.readline().startswith(b"Watching 303 threads")
        for _ in range(ROUNDS):
            for path in paths:
                append(path)
            end = time.monotonic() + PATIENCE_S
            while size_in_index(cli, 399) != paths[-1].stat().st_size:
                assert time.monotonic() < end
                time.sleep(0.05)
        watch = Watching(process)
        last: dict[str, int] = {}
        count = 0
        want = {thread_id(n): p.stat().st_size for n, p in enumerate(paths, 100)}
        while last != want:
            change = watch.next()
            assert change["kind"] == "changed"
            last[change["id"]] = change["sizeBytes"]
            count += 1
        assert count < ROUNDS * len(paths)
        assert watch.end() == 130


def test_words_for_people_name_the_thread(cli: Cli) -> None:
    process = cli.start("watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout
        assert process.stderr
        process.stderr.readline()
        append(file_of(cli, 1))
        line = process.stdout.readline().decode().split()
        assert line == ["changed", thread_id(1), "prompt", "1"]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


def test_a_home_that_is_not_there_is_refused(tmp_path: Path) -> None:
    Inside(tmp_path / "none", tmp_path).run("watch", status=3)
