"""What the bytes of a home are spent on: sums that add up, and what each file counts as."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from state.index import ThreadIndex, open_index
from state.usage import WAYS, Part, Usage, measure_images, usage_steps

from . import rollouts
from .command import Cli, plain_user, thread_id, write_rollout

__all__ = ["plain_user"]

HOUR_MS = 3_600_000


def usage_of(home: Path, index: Path, now_ms: int, most: int = 10) -> Usage:
    async def ask() -> Usage:
        async with open_index(home, index) as opened:
            await opened.catch_up()
            return await opened.database.run(usage_steps(now_ms, most))

    return asyncio.run(ask())


def shape(parts: Sequence[Part]) -> dict[str | None, tuple[int, int]]:
    """Files and threads by name."""
    return {part.name: (part.files, part.threads) for part in parts}


def size_on_disk(home: Path) -> tuple[int, int]:
    """Bytes and files below the rollout folders, as ``find -type f`` has them."""
    sizes = [
        path.lstat().st_size
        for root in ("sessions", "archived_sessions")
        for path in (home / root).rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    return sum(sizes), len(sizes)


def test_every_way_of_counting_adds_up_to_what_is_on_the_disk(
    corpus_home: Path, corpus_index: Path
) -> None:
    usage = usage_of(corpus_home, corpus_index, time.time_ns() // 1_000_000)
    assert (usage.total.size_bytes, usage.total.files) == size_on_disk(corpus_home)
    assert usage.total.threads == 194
    assert tuple(usage.by) == WAYS
    for way, parts in usage.by.items():
        for number in ("size_bytes", "files", "threads"):
            total = sum(getattr(part, number) for part in parts)
            assert total == getattr(usage.total, number), (way, number)
    assert shape(usage.by["bucket"]) == {"indexed": (194, 194), "segment": (4, 0)}
    assert shape(usage.by["era"]) == {"legacy": (106, 106), "paginated": (80, 76), "bare": (12, 12)}
    assert shape(usage.by["compression"]) == {"plain": (193, 189), "compressed": (5, 5)}
    assert shape(usage.by["archived"]) == {"active": (191, 187), "archived": (7, 7)}
    assert shape(usage.by["provider"])["acme"] == (2, 2)
    for way in set(WAYS) - {"age"}:
        sizes = [part.size_bytes for part in usage.by[way]]
        assert sizes == sorted(sizes, reverse=True)


def test_ages_go_by_when_a_thread_was_last_touched(home: Path, index_path: Path) -> None:
    now_ms = 1_795_000_000_000
    ages = {"older": 366 * 24, "day": 23, "week": 25, "month": 8 * 24, "quarter": 31 * 24}
    ages |= {"year": 92 * 24}
    for number, hours in enumerate([*ages.values(), -5], start=1):
        touched = (now_ms - hours * HOUR_MS) * 1_000_000
        os.utime(write_rollout(home, number), ns=(touched, touched))
    by_age = usage_of(home, index_path, now_ms).by["age"]
    assert [(part.name, part.files) for part in by_age] == [
        ("day", 2),  # the clock of a file may be ahead
        ("week", 1),
        ("month", 1),
        ("quarter", 1),
        ("year", 1),
        ("older", 1),
    ]


def test_files_without_a_thread_are_counted_apart(home: Path, index_path: Path) -> None:
    write_rollout(home, 1, cwd="/a")
    write_rollout(home, 2, cwd="/a/.")
    write_rollout(home, 3, cwd="")
    write_rollout(home, 4).write_bytes(b"garbage\n")
    (home / "sessions" / "notes.txt").write_text("12345")
    usage = usage_of(home, index_path, 0)
    assert (usage.total.size_bytes, usage.total.files) == size_on_disk(home)
    assert shape(usage.by["project"]) == {"/a": (2, 2), "": (1, 1), None: (2, 0)}
    assert shape(usage.by["model"]) == {"": (3, 3), None: (2, 0)}
    assert shape(usage.by["bucket"]) == {"indexed": (3, 3), "unreadable": (1, 0), "ignored": (1, 0)}
    for way in ("source", "era", "provider"):
        assert shape(usage.by[way])[None] == (2, 0), way


def test_a_strange_history_mode_is_an_era_of_its_own(home: Path, index_path: Path) -> None:
    path = write_rollout(home, 1)
    path.write_bytes(path.read_bytes().replace(b'"source"', b'"history_mode": "new", "source"'))
    assert shape(usage_of(home, index_path, 0).by["era"]) == {"unknown": (1, 1)}


def test_the_biggest_threads_count_with_all_their_files(home: Path, index_path: Path) -> None:
    for number in range(1, 5):
        write_rollout(home, number, "x" * 100 * number)
    original = write_rollout(home, 1, "x" * 300)
    copy = original.with_name(original.name.replace("T00-00-01", "T00-00-02"))
    copy.write_bytes(original.read_bytes())
    biggest = usage_of(home, index_path, 0, most=2).biggest
    sizes = [original.stat().st_size * 2, write_rollout(home, 4, "x" * 400).stat().st_size]
    assert [(big.row["id"], big.files, big.size_bytes) for big in biggest] == [
        (thread_id(1), 2, sizes[0]),
        (thread_id(4), 1, sizes[1]),
    ]


def test_an_empty_home_uses_nothing(home: Path, index_path: Path) -> None:
    usage = usage_of(home, index_path, 0)
    assert usage.total == Part(None)
    assert not any(usage.by.values())
    assert usage.biggest == []


def with_images(home: Path, number: int, count: int) -> bytes:
    """Add so many equal images to a thread; gives one of them."""
    image = b"data:image/png;base64," + b"A" * 1000
    with write_rollout(home, number).open("ab") as file:
        file.write(rollouts.content(rollouts.user("look", images=[image.decode()] * count)))
    return image


def test_images_are_measured_in_processes_as_well(home: Path, index_path: Path) -> None:
    image = with_images(home, 1, 2)
    with_images(home, 2, 3)
    filler = write_rollout(home, 3).read_bytes()
    for number in range(4, 1010):
        name = f"rollout-2026-10-15T07-00-00-{thread_id(number)}.jsonl"
        (home / "sessions" / name).write_bytes(filler.replace(b"0003", f"{number:04x}".encode()))

    async def measure(index: ThreadIndex) -> Any:
        seen: list[tuple[int, int]] = []
        found = await measure_images(index, lambda counts: seen.append((counts.read, counts.files)))
        return found, seen

    async def work() -> Any:
        async with open_index(home, index_path) as index:
            await index.catch_up()
            return await measure(index)

    (total, by_thread), seen = asyncio.run(work())
    assert (total.images, total.image_bytes) == (5, 5 * len(image))
    assert total.content_bytes == size_on_disk(home)[0]
    assert by_thread[thread_id(2)].image_bytes == 3 * len(image)
    assert sum(found.content_bytes for found in by_thread.values()) == total.content_bytes
    assert seen[-1] == (1009, 1009)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a small home with something of everything."""
    cli = Cli(tmp_path / "home", tmp_path)
    with_images(cli.home, 1, 1)
    write_rollout(cli.home, 2, "two \x1b[31m lines\nof text", cwd="/a\tb", archived=True)
    write_rollout(cli.home, 3).write_bytes(b"garbage\n")
    cli.run("sync", status=6)
    return cli


def test_the_command_tells_it_in_tables(cli: Cli) -> None:
    ran = cli.run("du")
    bytes_on_disk, _ = size_on_disk(cli.home)
    assert ran.lines[0] == f"{bytes_on_disk / 1000:.1f}kB in 3 files of 2 threads"
    heads = [line.split()[-1] for line in ran.lines if line.split()[:1] == ["bytes"]]
    assert heads == [*WAYS, "thread"]
    assert "\x1b" not in ran.out
    assert any(line.endswith("  two [31m lines of text") for line in ran.lines)
    assert any(line.endswith("  /a b") for line in ran.lines)
    assert any(line.endswith("  (no thread)") for line in ran.lines)
    assert ran.err == ""


def test_one_table_and_its_limit(cli: Cli) -> None:
    project, threads = cli.run_each(
        [["du", "--by", "project", "--limit", "1"], ["du", "--by", "thread", "--limit", "1"]]
    )
    assert [line.split()[-1] for line in project.lines if line][1:3] == ["project", "/w"]
    assert project.lines[-1].split() == ["and", "2", "more:", "--by", "project", "--limit", "N"]
    assert len([line for line in threads.lines if thread_id(1) in line]) == 1
    assert thread_id(2) not in threads.out


def test_json_has_everything(cli: Cli) -> None:
    plain, images = (
        ran.json for ran in cli.run_each([["du", "--json"], ["du", "--json", "--images"]])
    )
    assert plain["bytes"] == size_on_disk(cli.home)[0]
    assert plain["images"] is None
    assert plain["biggest"][0]["images"] is None
    assert set(plain["by"]) == set(WAYS)
    assert images["images"]["images"] == 1
    assert images["biggest"][0]["threadId"] == thread_id(1)
    found = images["biggest"][0]["images"]
    assert found["share"] == round(found["imageBytes"] / found["contentBytes"], 4)
    assert images["biggest"][1]["images"]["imageBytes"] == 0


def test_a_file_that_cannot_be_read_is_told(cli: Cli, plain_user: tuple[str, ...]) -> None:
    path = write_rollout(cli.home, 4)
    cli.run("sync")
    path.chmod(0)
    ran = cli.run("du", "--images", status=6, prefix=plain_user)
    assert ran.err.splitlines()[-1] == (
        f"{path.relative_to(cli.home)}: cannot be read: Permission denied"
    )


def test_a_table_that_there_is_not(cli: Cli) -> None:
    ran = cli.run("du", "--by", "colour", status=2)
    assert "'colour' is no table: use one of thread, project" in " ".join(ran.err.split())
