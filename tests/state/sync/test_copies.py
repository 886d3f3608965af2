"""Copies that other programs leave beside a rollout: every command means the same file."""

import shutil
from pathlib import Path

import pytest

from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.command import Cli, Inside

COPY = ".sync-conflict-20261102-101010-ABCDEFG"
STAMP = "2026-05-28T21:00:00.000Z"
ID = thread_id(1)
COUNTS = {"total": 5000, "last": 4899}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Inside(tmp_path / "home", tmp_path)


def copied(path: Path, added: str, content: bytes) -> Path:
    """A copy of a rollout, touched later, whose name sorts behind it."""
    copy = path.with_name(path.name.replace(".jsonl", f"{added}.jsonl"))
    copy.write_bytes(content)
    return copy


def short(number: int) -> bytes:
    return encoded(lines(number, "common words"))


def long(number: int, text: str = "only in the real file") -> bytes:
    usage = {
        f"{name}_token_usage": {"input_tokens": count, "total_tokens": count}
        for name, count in COUNTS.items()
    }
    more = [
        event(STAMP, "user_message", message=text),
        event(STAMP, "token_count", info=usage),
    ]
    return short(number) + encoded(more)


@pytest.mark.parametrize("added", [COPY, " (1)", ".orig", "~"])
def test_all_commands_mean_the_regular_file(cli: Cli, added: str) -> None:
    own = write(cli.home, 1, long(1))
    copy = copied(own, added, short(1))
    (thread,) = cli.run("list", "--json").json["data"]
    assert thread["path"] == str(own)
    assert "5,000" in cli.run("stats").out
    assert cli.run("search", "--literal", "only in the real file").lines
    assert "only in the real file" in cli.run("show", ID).out
    before = copy.read_bytes()
    cli.run("git-info", ID, "--branch", "X", "--yes")
    assert b'"X"' in own.read_bytes()
    assert copy.read_bytes() == before
    assert cli.run("verify", "--deep", "--json").json["findings"][0]["code"] == "duplicate"
    cli.run("archive", ID, "--yes")
    assert not own.exists()
    assert not copy.exists()
    assert cli.ids("--archived") == [ID]


def test_a_copy_with_more_in_it_is_not_taken_for_the_thread(cli: Cli) -> None:
    own = write(cli.home, 1, short(1))
    copied(own, COPY, long(1, "only in the copy"))
    cli.run("search", "only in the copy", status=1)
    assert "(duplicate)" in cli.run("show", ID, "--meta").out


def test_an_archived_thread_stays_archived_beside_an_active_copy(cli: Cli) -> None:
    own = write(cli.home, 1, short(1), archived=True)
    folder = cli.home / "sessions/2026/05/28"
    folder.mkdir(parents=True)
    (folder / own.name.replace(".jsonl", f"{COPY}.jsonl")).write_bytes(long(1))
    cli.run("list", status=1)
    assert cli.ids("--archived") == [ID]


def test_a_copy_stands_in_for_a_file_that_cannot_be_read(cli: Cli) -> None:
    own = write(cli.home, 1, b"")
    small, large = copied(own, " (2)", short(1)), copied(own, " (1)", long(1))
    (thread,) = cli.run("list", "--json").json["data"]
    assert thread["path"] == str(large)
    cli.run("git-info", ID, "--branch", "X", "--yes")
    assert b'"X"' in large.read_bytes()
    assert b'"X"' not in small.read_bytes()
    small.write_bytes(long(1) + encoded([event(STAMP, "user_message", message="most of all")] * 9))
    (thread,) = cli.run("list", "--json").json["data"]
    assert thread["path"] == str(small)
    shutil.copy(small, own)
    (thread,) = cli.run("list", "--json").json["data"]
    assert thread["path"] == str(own)


def test_the_largest_copy_that_shrinks_is_followed_by_the_next(cli: Cli) -> None:
    own = write(cli.home, 1, short(1))
    middle, large = copied(own, " (1)", long(1)), copied(own, " (2)", long(1) * 2)
    own.unlink()
    (thread,) = cli.run("list", "--json").json["data"]
    assert thread["path"] == str(large)
    large.write_bytes(short(1))
    (thread,) = cli.run("list", "--json").json["data"]
    assert thread["path"] == str(middle)


def test_a_file_named_after_another_thread_is_a_copy(cli: Cli) -> None:
    own = write(cli.home, 1, long(1))
    shutil.copy(own, write(cli.home, 2))
    (thread,) = cli.run("list", "--json").json["data"]
    assert (thread["id"], thread["path"]) == (ID, str(own))


def test_a_fork_begins_in_the_copy_of_a_file_that_is_gone(cli: Cli) -> None:
    begin = encoded(lines(1, "the beginning", history_mode="paginated"))
    numbered = begin.splitlines(keepends=True)
    content = b"".join(
        line.replace(b'{"timestamp"', b'{"ordinal":%d,"timestamp"' % n, 1)
        for n, line in enumerate(numbered)
    )
    base = {"thread_id": ID, "end_ordinal_exclusive": 4, "end_byte_offset": len(content)}
    own = write(cli.home, 1, content)
    fork = lines(2, "the end", history_mode="paginated", history_base=base, forked_from_id=ID)
    write(cli.home, 2, encoded(fork))
    own.rename(own.with_name(own.name.replace(".jsonl", " (1).jsonl")))
    ran = cli.run("verify", "--json", status=None).json
    assert not [each for each in ran["findings"] if each["code"] == "base_elsewhere"]
