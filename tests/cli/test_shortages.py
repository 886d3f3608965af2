"""What commands say where the system has too little of something, or does not know the user."""

import errno
import os
import resource
import sqlite3
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from cli.errors import outcome
from rollout.search.grep import grep_rollouts
from rollout.search.terms import terms_of
from state.db.translate import translated
from state.errors import FileUnusable, IndexNotWritable, IndexUnavailable, file_errors
from state.jobs import pool as pools
from tests.support.command import (
    COMMAND,
    ON_FULL_DISK,
    WITHOUT_STDOUT,
    Cli,
    Inside,
    Within,
    thread_id,
    write_rollout,
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    write_rollout(tmp_path / "home", 1)
    return Cli(tmp_path / "home", tmp_path)


def limited(what: str) -> tuple[str, ...]:
    """What to run a command with, so that it has no more than that."""
    return ("bash", "-c", f'ulimit {what}; exec "$0" "$@"')


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, "disk_full", "free some space"),
        (errno.EDQUOT, "disk_full", "free some space"),
        (errno.EFBIG, "file_too_large", "ulimit -f"),
        (errno.EMFILE, "too_many_open_files", "ulimit -n"),
        (errno.ENOMEM, "too_little_memory", "ulimit -v"),
        (errno.EACCES, "file_unusable", "make it readable"),
        (errno.EXDEV, "file_unusable", "only within one file system"),
    ],
)
def test_what_is_lacking_is_named_with_what_to_do(number: int, kind: str, hint: str) -> None:
    with pytest.raises(FileUnusable) as raised, file_errors(Path("/f")):
        raise OSError(number, os.strerror(number))
    found = outcome(raised.value)

    assert found.kind == kind
    assert hint in found.hint


@pytest.mark.parametrize(
    ("name", "limit", "kind"),
    [
        ("SQLITE_FULL", None, "disk_full"),
        ("SQLITE_IOERR_WRITE", resource.RLIMIT_FSIZE, "file_too_large"),
        ("SQLITE_CANTOPEN", resource.RLIMIT_NOFILE, "too_many_open_files"),
        ("SQLITE_PERM", None, "index_not_writable"),
    ],
)
def test_what_sqlite_lacks_is_named_too(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: int | None, kind: str
) -> None:
    limits = {limit: (20, 20)}
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda what: limits.get(what, unlimited))
    with pytest.raises(IndexUnavailable) as raised, translated(Path("/i")):
        raise _sqlite_error(name, "words that SQLite may change")

    assert outcome(raised.value).kind == kind


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("-n 6", "\n  allow more open files: ulimit -n"),
        ("-v 50000", "\n  allow more memory: ulimit -v"),
        ("-f 20", "File too large\n  allow larger files: ulimit -f"),
    ],
)
def test_a_limit_of_the_system_is_one_clear_line(cli: Cli, limit: str, message: str) -> None:
    ran = cli.run("backfill", status=7, prefix=(*limited(limit), *COMMAND))

    assert message in ran.err
    assert "a file" not in ran.err


def test_little_address_space_is_enough_for_a_list(cli: Cli) -> None:
    ran = cli.run("list", prefix=(*limited("-v 200000"), *COMMAND))

    assert thread_id(1) in ran.out


_UNCHANGED = "  free some space on its disk (see df), then run the same command again"
_CHANGED = "  the changes were made; threadkeep list shows the threads"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("list",), _UNCHANGED),
        (("--help",), _UNCHANGED),
        (("--version",), _UNCHANGED),
        (("archive", "--dry-run", thread_id(1)), _UNCHANGED),
        (("archive", thread_id(1)), _CHANGED),
        (("archive", thread_id(1), "--json"), _CHANGED),
        (("memory", thread_id(1), "disabled"), _CHANGED),
    ],
    ids=str,
)
def test_a_full_disk_under_stdout_is_reported(cli: Cli, words: Sequence[str], hint: str) -> None:
    ran = cli.run(*words, status=7, prefix=ON_FULL_DISK)

    assert ran.err.splitlines() == [
        "threadkeep: the output cannot be written: No space left on device",
        hint,
    ]


def test_a_full_disk_is_reported_by_a_process_from_its_start_to_its_end(cli: Cli) -> None:
    ran = cli.run("list", status=7, prefix=("bash", "-c", 'exec "$0" "$@" > /dev/full', *COMMAND))

    assert "the output cannot be written: No space left on device" in ran.err


def test_a_closed_stdout_is_reported_where_something_is_lost(cli: Cli) -> None:
    closed = ("bash", "-c", 'exec "$0" "$@" >&-', *COMMAND)
    wanted: dict[tuple[str, ...], Sequence[str] | Within] = {
        ("list",): closed,
        ("status", "--json"): WITHOUT_STDOUT,
        ("--help",): WITHOUT_STDOUT,
    }
    for words, prefix in wanted.items():
        ran = cli.run(*words, status=7, prefix=prefix)
        assert ran.err.splitlines() == [
            "threadkeep: the output cannot be written: Bad file descriptor",
            "  give it an output that can be written, then run the same command again",
        ]
    assert "Up to date" in cli.run("sync", prefix=WITHOUT_STDOUT).err


_ON_A_FULL_DISK = (
    'mount -t tmpfs -o size=2m tmpfs "$1" && cp "$2" "$1" && touch "$1/index.sqlite3.lock"'
    ' && { dd if=/dev/zero of="$1/fill" bs=4k count=999 2>&1; df "$1"; } >/dev/null'
    ' && shift 2 && exec "$@"'
)


def test_an_index_without_room_for_its_wal_is_on_a_full_disk(cli: Cli) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("disks cannot be mounted here")
    cli.run("list")
    full = cli.base / "full"
    full.mkdir()
    around = ("unshare", "-m", "sh", "-c", _ON_A_FULL_DISK, "sh", str(full), str(cli.index))
    index = full / "index.sqlite3"
    words_of_system = os.strerror(errno.ENOSPC)
    for words in (("sync",), ("archive", thread_id(1)), ("reindex",)):
        ran = cli.run("--db", str(index), *words, status=7, prefix=(*around, *COMMAND))
        assert ran.err.splitlines() == [
            f"threadkeep: the index {index} cannot be used: disk I/O error: {words_of_system}",
            _UNCHANGED,
        ]
    assert list((cli.home / "sessions").rglob("rollout-*"))


def test_without_address_space_there_are_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (400_000 * 1024, -1))

    assert pools.worker_pool() is None


def _ends_in_a_worker(here: int, value: int) -> int:
    if os.getpid() != here:
        os._exit(1)
    return value + 1


def test_what_a_worker_that_ends_was_to_do_is_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    pools.warn_once.cache_clear()
    pool = pools.worker_pool()
    assert pool is not None
    with pool:
        futures: list[Future[int]] = [
            pool.submit(_ends_in_a_worker, os.getpid(), number) for number in range(5)
        ]
        assert [future.result() for future in futures] == [1, 2, 3, 4, 5]
    assert "continuing without them" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("options", [["--home", "~nobody-x/y"], ["--db", "~nobody-x/y"]])
def test_a_folder_that_nobody_knows_is_one_clear_line(tmp_path: Path, options: list[str]) -> None:
    ran = Inside(tmp_path, tmp_path).run(*options, "list", status=2)

    assert ran.err.startswith("threadkeep: ~nobody-x/y cannot be resolved: there is no such user")
    assert "--home (CODEX_HOME) and --db (THREADKEEP_DB)" in ran.err


def test_a_home_that_is_a_loop_of_links_is_none(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    ran = Inside(tmp_path / "loop", tmp_path).run("list", status=None)

    assert ran.status in (3, 7)


def test_too_few_descriptors_are_no_fault_of_a_thread(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, 1).relative_to(tmp_path).as_posix()
    terms = list(terms_of("words"))
    grep_rollouts(str(tmp_path), [path], terms, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            grep_rollouts(str(tmp_path), [path], terms, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_full_disk_is_reported_with_the_bytes_needed(tmp_path: Path) -> None:
    with (
        pytest.raises(IndexNotWritable, match=r"is full: 7,000 bytes are needed, [\d,]+ "),
        translated(tmp_path / "i", needed_bytes=7_000),
    ):
        raise _sqlite_error("SQLITE_FULL", "database or disk is full")

    with (
        pytest.raises(IndexNotWritable, match=r"denied$"),
        translated(tmp_path / "i", needed_bytes=7_000),
    ):
        raise _sqlite_error("SQLITE_PERM", "access permission denied")


def _sqlite_error(name: str, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    return error
