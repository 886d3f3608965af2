"""Files and folders without permission: nothing in them is gone, and each command says so."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli.terminal.text import plural
from rollout.schema.modes import PAGINATED
from tests.samples.histories import numbered, spell
from tests.samples.long_threads import content, head, put, turn_lines
from tests.support.command import Cli, Inside, Within, plain_user, thread_id, write_rollout

__all__ = ["plain_user"]

DAY = "sessions/2026/11/20"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of four indexed threads: the third has a name and a folder of its
    own, the fourth is archived."""
    home = tmp_path / "home"
    for number in (1, 2):
        write_rollout(home, number)
    file = write_rollout(home, 3)
    (home / DAY).mkdir(parents=True)
    file.rename(home / DAY / file.name)
    write_rollout(home, 4, archived=True)
    (home / "session_index.jsonl").write_text(
        json.dumps({"id": thread_id(3), "thread_name": "Third"}) + "\n"
    )
    cli = Inside(home, tmp_path)
    cli.run("sync")
    return cli


@contextmanager
def mode(path: Path, bits: int = 0) -> Iterator[None]:
    """Give ``path`` these permissions for a while."""
    before = path.stat().st_mode & 0o777
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


def canonical(home: Path) -> dict[str, bytes]:
    """The rollouts and names of a home."""
    files = [*home.rglob("rollout-*"), home / "session_index.jsonl"]
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "command",
    [
        ("archive",),
        ("archive", "--dry-run"),
        ("delete", "--yes"),
        ("delete", "--purge", "--yes"),
    ],
    ids=" ".join,
)
def test_a_thread_in_a_folder_without_permission_is_not_moved(
    cli: Cli, plain_user: Within, command: Sequence[str]
) -> None:
    before = canonical(cli.home)
    with mode(cli.home / DAY):
        ran = cli.run(*command, thread_id(3), status=7, prefix=plain_user)
    assert ran.out == ""
    assert ran.err.splitlines()[1:] == [
        f"threadkeep: {cli.home / DAY} cannot be used: Permission denied",
        "  make it readable and writable",
    ]
    assert canonical(cli.home) == before
    assert not (cli.home / ".threadkeep-trash").exists()
    assert "Third" in cli.run("list").out


def test_a_folder_without_permission_is_named_until_it_is_back(
    cli: Cli, plain_user: Within
) -> None:
    away = {"path": DAY, "reason": "cannot be accessed: Permission denied"}
    line = f"{DAY} cannot be accessed: Permission denied. Threads there stay in the index"
    with mode(cli.home / DAY):
        for _ in range(2):
            ran = cli.run("list", prefix=plain_user)
            assert len(ran.lines) == 3
            assert line in ran.err
        assert cli.run("list", "--json", prefix=plain_user).json["complete"] is False
        ran = cli.run("sync", status=6, prefix=plain_user)
        assert "1 unreadable" in ran.err
        assert line in ran.err
        assert cli.run("sync", "--json", status=6, prefix=plain_user).json["away"] == [away]
        assert line in cli.run("backfill", "--force", status=6, prefix=plain_user).err
        ran = cli.run("status", prefix=plain_user)
        assert f"skipped    {DAY}: cannot be accessed: Permission denied" in ran.out
        assert "up to date with the files that can be read" in ran.out
        assert cli.run("status", "--json", prefix=plain_user).json["away"] == [away]
    (finding,) = cli.run("verify", "--json", status=1).json["findings"]
    assert (finding["code"], finding["path"]) == ("out_of_date", DAY)
    assert finding["mend"] == "threadkeep sync"
    cli.run("sync")
    cli.run("verify")
    assert cli.run("status", "--json").json["away"] == []


@pytest.mark.parametrize(("folder", "lost"), [(DAY, "1 thread"), ("sessions", "3 threads")])
def test_a_new_index_never_lacks_what_cannot_be_accessed(
    cli: Cli, plain_user: Within, folder: str, lost: str
) -> None:
    before = cli.ids()
    with mode(cli.home / folder):
        ran = cli.run("reindex", status=7, prefix=plain_user)
        assert f"{cli.home / folder} cannot be used: Permission denied. A new index" in ran.err
        assert f"would lack the {lost} there; the old one stays" in ran.err
        assert cli.ids("--no-sync", prefix=plain_user) == before
        cli.index.unlink()
        assert cli.run("reindex", "--json", status=6, prefix=plain_user).json["away"]
    assert cli.ids() == before


@pytest.mark.parametrize("path", ["", "session_index.jsonl"])
def test_names_that_cannot_be_read_now_stay(cli: Cli, plain_user: Within, path: str) -> None:
    os.utime(cli.home / "session_index.jsonl", (0, 0))
    with mode(cli.home / path):
        assert "Third" in cli.run("list", prefix=plain_user).out
    assert "Third" in cli.run("list").out
    cli.run("verify")


def test_a_rollout_without_permission_needs_more_than_a_sync(cli: Cli, plain_user: Within) -> None:
    file = next((cli.home / DAY).iterdir())
    os.utime(file, (0, 0))
    with mode(file):
        cli.run("sync", status=6, prefix=plain_user)
        (finding,) = cli.run("verify", "--json", status=1, prefix=plain_user).json["findings"]
        assert (finding["code"], finding["mend"]) == ("unreadable", None)
        assert "Make it readable; the next sync reads it." in finding["message"]
        ran = cli.run("status", prefix=plain_user)
        assert "changes    none: the index is up to date with the files that can be read" in ran.out
        assert "Permission denied; make it readable, then threadkeep sync" in ran.out
    assert "changes    1 file still to index" in cli.run("status").out
    found = cli.run("verify", "--json", status=1).json["findings"]
    assert [finding["code"] for finding in found] == ["out_of_date", "unreadable"]
    cli.run("sync")
    cli.run("verify")


@pytest.mark.parametrize(
    ("folder", "bits", "command"),
    [
        ("archived_sessions", 0o555, ("archive", thread_id(3))),
        ("archived_sessions", 0o000, ("unarchive", thread_id(4))),
        (DAY, 0o555, ("archive", thread_id(3))),
        ("sessions/2026", 0o555, ("unarchive", thread_id(4))),
        (".threadkeep-trash", 0o000, ("delete", "--yes", thread_id(3))),
        ("thread-writer-locks", 0o000, ("archive", thread_id(3))),
        ("", 0o555, ("rename", thread_id(3), "x")),
        ("", 0o555, ("delete", "--yes", thread_id(3))),
    ],
    ids=str,
)
def test_the_folder_that_lacks_a_permission_is_named(
    cli: Cli, plain_user: Within, folder: str, bits: int, command: Sequence[str]
) -> None:
    place = cli.home / folder
    place.mkdir(exist_ok=True)
    before = canonical(cli.home)
    if folder == "sessions/2026":
        (place / "10").rename(place / "09")  # a new folder is needed
        cli.run("sync")
        before = canonical(cli.home)
    with mode(place, bits):
        ran = cli.run(*command, status=7, prefix=plain_user)
    assert f"threadkeep: {place} cannot be used: Permission denied\n" in ran.err
    assert canonical(cli.home) == before


def say(file: Path, text: str) -> None:
    """Add an agent's message to a thread."""
    payload = {"type": "agent_message", "message": text}
    line = {"timestamp": "2026-11-20T00:00:00.000Z", "type": "event_msg", "payload": payload}
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")


def fulltext_fence(cli: Cli) -> int:
    """How many times the full-text job was begun."""
    with closing(sqlite3.connect(cli.index)) as connection:
        (fence,) = connection.execute("SELECT fence FROM fulltext_state").fetchone()
    return int(fence)


@pytest.mark.parametrize(
    ("due", "path", "bits", "lost"),
    [
        pytest.param((), f"{DAY}/{{}}", 0, 1, marks=pytest.mark.full),
        ((), DAY, 0o600, 1),
        (("rename", thread_id(3), "Anew"), f"{DAY}/{{}}", 0, 1),
        (("rename", thread_id(3), "Anew"), "sessions", 0, 1),  # the others were read before
        pytest.param(("backfill", "--force"), DAY, 0, 1, marks=pytest.mark.full),
        (("backfill", "--force"), "sessions", 0, 3),
    ],
    ids=str,
)
def test_messages_that_cannot_be_read_are_searched_when_they_can_be(
    cli: Cli, plain_user: Within, due: Sequence[str], path: str, bits: int, lost: int
) -> None:
    file = next((cli.home / DAY).iterdir())
    say(file, "only the agent says zanzibar")
    if due:
        cli.run("search", "zanzibar")
    else:
        cli.run("sync")
    note = f"{plural(lost, 'thread')} may match too, but cannot be read"
    with mode(cli.home / path.format(file.name), bits):
        if due:
            cli.run(*due, status=None, prefix=plain_user)
        begun = set()
        for _ in range(2):
            ran = cli.run("search", "zanzibar", status=1, prefix=plain_user)
            assert note in ran.err
            assert "index is" not in ran.err
            begun.add(fulltext_fence(cli))
        assert len(begun) == 1  # no job is begun for what still cannot be read
        ran = cli.run("search", "zanzibar", "--archived", status=1, prefix=plain_user)
        assert "may match too" not in ran.err
        name = "Anew" if "Anew" in due else "Third"
        assert name in cli.run("search", name, prefix=plain_user).out
    assert "search_index_differs" not in cli.run("verify", "--deep", status=None).out
    assert "zanzibar" in cli.run("search", "zanzibar").out
    assert cli.run("search", "--json", "zanzibar").json["complete"] is True
    cli.run("verify", "--deep")


def test_an_earlier_file_of_a_thread_that_cannot_be_read_is_read_when_it_can_be(
    tmp_path: Path, plain_user: Within
) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    earlier = put(cli.home, 1, content(1, PAGINATED, 3, bulk=10))
    count = earlier.read_bytes().count(b"\n")
    base = {"thread_id": earlier.stem[-36:], "end_ordinal_exclusive": count}
    own = [head(1, PAGINATED, history_base=base), *turn_lines(1, PAGINATED, 1, first=9, bulk=10)]
    put(cli.home, 1, spell(numbered(own, count)), segment=1)
    cli.run("sync")
    with mode(earlier):
        ran = cli.run("search", "answer", status=1, prefix=plain_user)
        assert "1 thread may match too, but cannot be read" in ran.err
        begun = fulltext_fence(cli)
        cli.run("search", "answer", status=1, prefix=plain_user)
        assert fulltext_fence(cli) == begun
    assert len(cli.run("search", "answer").lines) == 4
    cli.run("verify", "--deep")
    with mode(earlier):
        found = cli.run("verify", "--deep", "--json", status=1, prefix=plain_user).json["findings"]
        assert "search_index_differs" not in [finding["code"] for finding in found]
