"""What the bytes of a home are spent on: every file of the ledger, counted in several ways."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from rollout.fold import SEEN_BARE_META
from rollout.images import ImageShare
from rollout.picker import HISTORY_MODES
from state.extractor import Extractor
from state.index import ThreadIndex
from state.listing import COLUMNS, Row, Steps
from state.sync import Counts, Report

_HOUR_MS: Final = 3_600_000
AGES: Final = {"day": 24, "week": 7 * 24, "month": 30 * 24, "quarter": 91 * 24, "year": 365 * 24}
"""Ages by name: last touched less than so many hours ago."""
OLDER: Final = "older"
ERAS: Final = ("bare", *HISTORY_MODES, "unknown")
"""How a file is written: without envelopes (Codex up to 0.29), by its history mode, or in a
history mode that this version does not know."""

_BATCH_FILES: Final = 400


@dataclass(slots=True)
class Part:
    """What files that have one thing in common come to."""

    name: str | None
    """None for files that belong to no thread."""
    files: int = 0
    size_bytes: int = 0
    threads: int = 0
    """Threads whose own file is among them."""

    def add(self, files: int, size_bytes: int, threads: int) -> None:
        """Count some more files."""
        self.files += files
        self.size_bytes += size_bytes
        self.threads += threads


@dataclass(slots=True)
class BigThread:
    """A thread with all its files."""

    row: Row
    files: int
    size_bytes: int


@dataclass(slots=True)
class Usage:
    """Bytes on disk of all that the ledger has, and how they are spread."""

    total: Part
    by: dict[str, list[Part]]
    """Every file once in each: in order of size, or of age."""
    biggest: list[BigThread]


def usage_steps(now_ms: int, most: int) -> Steps[Usage]:
    """The usage by the index alone, with the ``most`` biggest threads. ``now_ms`` is what ages
    go by."""
    ways = _ways(now_ms)
    numbers = ", ".join(str(number) for number in range(1, len(ways) + 1))
    rows = yield (
        f"SELECT {', '.join(ways.values())}, count(*), sum(f.size_bytes),"
        " coalesce(sum(f.path = t.rollout_path), 0)"
        " FROM rollout_files f LEFT JOIN threads t ON t.id = f.thread_id"
        f" GROUP BY {numbers}",
        [],
    )
    total = Part(None)
    parts: dict[str, dict[str | None, Part]] = {way: {} for way in ways}
    for row in rows:
        *names, files, size_bytes, threads = row
        total.add(files, size_bytes, threads)
        for way, name in zip(ways, names, strict=True):
            part = parts[way].setdefault(name, Part(name))
            part.add(files, size_bytes, threads)
    by = {way: sorted(found.values(), key=_largest_first) for way, found in parts.items()}
    order = (*AGES, OLDER)
    by["age"].sort(key=lambda part: order.index(str(part.name)))
    return Usage(total, by, (yield from _biggest(most)))


def _ways(now_ms: int) -> dict[str, str]:
    """What files are counted by: an SQL expression for each, of ledger ``f`` and threads ``t``."""
    touched = "coalesce(t.updated_at_ms, f.mtime_ns / 1000000)"
    ages = " ".join(
        f"WHEN {touched} > {now_ms - hours * _HOUR_MS} THEN '{age}'" for age, hours in AGES.items()
    )
    known = ", ".join(f"'{mode}'" for mode in HISTORY_MODES)
    return {
        "project": "t.cwd_key",
        "source": "t.source_kind",
        "age": f"CASE {ages} ELSE '{OLDER}' END",
        "era": f"CASE WHEN t.fold_flags & {SEEN_BARE_META} THEN 'bare'"
        f" WHEN t.history_mode IN ({known}) THEN t.history_mode"
        " WHEN t.history_mode IS NOT NULL THEN 'unknown' END",
        "provider": "t.model_provider",
        "model": "CASE WHEN t.id IS NOT NULL THEN coalesce(t.model, '') END",
        "compression": "CASE WHEN f.path LIKE '%.zst' THEN 'compressed' ELSE 'plain' END",
        "archived": "CASE WHEN f.path LIKE 'archived_sessions/%' THEN 'archived' ELSE 'active' END",
        "bucket": "f.bucket",
    }


WAYS: Final = tuple(_ways(0))
"""What the usage is told by."""


def _largest_first(part: Part) -> tuple[int, int, str]:
    return (-part.size_bytes, -part.files, part.name or "")


def _biggest(most: int) -> Steps[list[BigThread]]:
    sums = yield (
        "SELECT thread_id, count(*), sum(size_bytes) AS size FROM rollout_files"
        " WHERE thread_id IN (SELECT id FROM threads)"
        " GROUP BY thread_id ORDER BY size DESC, thread_id LIMIT ?",
        [most],
    )
    marks = ",".join("?" * len(sums))
    found = yield (
        f"SELECT {COLUMNS} FROM threads WHERE id IN ({marks})",
        [thread_id for thread_id, _, _ in sums],
    )
    rows = {row[0]: dict(zip(COLUMNS.split(", "), row, strict=True)) for row in found}
    return [BigThread(rows[thread_id], files, size) for thread_id, files, size in sums]


@dataclass(slots=True)
class Images:
    """How much of some files is images."""

    content_bytes: int = 0
    """Of the uncompressed content that was read."""
    images: int = 0
    image_bytes: int = 0
    """Encoded, as they stand in the files."""
    problems: dict[str, str] = field(default_factory=dict)
    """Files that could not be read to their end, by path, and why."""

    def add(self, path: str, share: ImageShare) -> None:
        """Count one more file."""
        self.content_bytes += share.content_bytes
        self.images += share.images
        self.image_bytes += share.image_bytes
        if share.problem:
            self.problems[path] = share.problem


async def measure_images(
    index: ThreadIndex, report: Report | None = None
) -> tuple[Images, dict[str, Images]]:
    """Read every rollout of the ledger for its images, in processes if there are many: what all
    come to, and the files of each thread by its id."""
    async with index.database.read() as connection:
        found = await connection.exec_driver_sql(
            "SELECT path, thread_id, size_bytes FROM rollout_files"
            " WHERE bucket <> 'ignored' ORDER BY path DESC"
        )
        files = found.all()
    batches = [files[at : at + _BATCH_FILES] for at in range(0, len(files), _BATCH_FILES)]
    counts = Counts(files=len(files), to_read=len(files))
    total, by_thread = Images(), defaultdict[str, Images](Images)
    async with Extractor(index.home) as extractor:
        extractor.prepare(len(files))
        under_way = [
            asyncio.create_task(extractor.images([file.path for file in batch]))
            for batch in batches
        ]
        try:
            for batch, task in zip(batches, under_way, strict=True):
                for file, share in zip(batch, await task, strict=True):
                    total.add(file.path, share)
                    if file.thread_id:
                        by_thread[file.thread_id].add(file.path, share)
                counts.read += len(batch)
                counts.bytes_read += sum(file.size_bytes for file in batch)
                if report:
                    report(counts)
        finally:
            for task in under_way:
                task.cancel()
    return total, dict(by_thread)
