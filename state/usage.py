"""What the rollout files of a home take, by what they belong to."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from rollout.fold import SEEN_BARE_META
from rollout.images import ImageShare, image_shares
from rollout.paths import COMPRESSED_SUFFIX, is_archived
from rollout.picker import HISTORY_MODES
from state.extractor import worker_pool
from state.index import ThreadIndex
from state.schema import rollout_files, threads
from state.sync import Counts, Report, now_ms

DIMENSIONS: Final = ("project", "source", "age", "era", "form", "place", "bucket")
NO_THREAD: Final = "(no thread)"
_DAY_MS: Final = 86_400_000
_AGES: Final = (("day", 1), ("week", 7), ("month", 30), ("quarter", 91), ("year", 365))
_OLDER: Final = "older"
_POOL_FROM_BYTES: Final = 200_000_000
_TASK_FILES: Final = 50


@dataclass(slots=True)
class Amount:
    """Files, their bytes on disk, and of their content the bytes in images, if it was read."""

    files: int = 0
    bytes: int = 0
    image_bytes: int = 0

    def add(self, size: int, share: ImageShare | None) -> None:
        """Count a file."""
        self.files += 1
        self.bytes += size
        self.image_bytes += share.image_bytes if share else 0


@dataclass(slots=True)
class ThreadUsage:
    """A thread and all its files."""

    id: str
    name: str
    cwd: str
    amount: Amount = field(default_factory=Amount)


@dataclass(slots=True)
class Usage:
    """What a home takes. The amounts of every dimension add up to the total."""

    total: Amount = field(default_factory=Amount)
    content_bytes: int | None = None
    """Of all files, uncompressed; None if they were not read."""
    by: dict[str, dict[str, Amount]] = field(default_factory=dict)
    """By dimension and key, the largest first."""
    threads: list[ThreadUsage] = field(default_factory=list)
    """The largest first."""


async def usage(index: ThreadIndex, *, images: bool = False, report: Report | None = None) -> Usage:
    """What the files that ``index`` knows take. ``images`` has all of them read."""
    f, t = rollout_files.c, threads.c
    joined = rollout_files.outerjoin(threads, f.thread_id == t.id)
    columns = (f.path, f.bucket, f.size_bytes, f.mtime_ns, f.thread_id)
    facts = (t.cwd, t.source_kind, t.history_mode, t.fold_flags, t.name, t.preview)
    async with index.database.read() as connection:
        rows = (await connection.execute(sa.select(*columns, *facts).select_from(joined))).all()
    shares: Mapping[str, ImageShare | None] = {}
    if images:
        shares = await _read_images(index, [(row.path, row.size_bytes) for row in rows], report)
    found = Usage()
    groups: dict[str, dict[str, Amount]] = {name: defaultdict(Amount) for name in DIMENSIONS}
    by_thread: dict[str, ThreadUsage] = {}
    now = now_ms()
    for row in rows:
        share = shares.get(row.path)
        for name, key in zip(DIMENSIONS, _keys(row, now), strict=True):
            groups[name][key].add(row.size_bytes, share)
        found.total.add(row.size_bytes, share)
        if row.thread_id and row.cwd is not None:
            thread = by_thread.get(row.thread_id)
            if thread is None:
                thread = ThreadUsage(row.thread_id, row.name or row.preview, row.cwd)
                by_thread[row.thread_id] = thread
            thread.amount.add(row.size_bytes, share)
    if images:
        found.content_bytes = sum(share.content_bytes for share in shares.values() if share)
    found.by = {
        name: dict(sorted(group.items(), key=lambda item: (-item[1].bytes, item[0])))
        for name, group in groups.items()
    }
    found.threads = sorted(by_thread.values(), key=lambda one: (-one.amount.bytes, one.id))
    return found


def _keys(row: Any, now: int) -> tuple[str, ...]:
    """What a file counts for, in the order of ``DIMENSIONS``."""
    path = row.path
    return (
        NO_THREAD if row.cwd is None else row.cwd,
        NO_THREAD if row.source_kind is None else row.source_kind,
        _age(now - row.mtime_ns // 1_000_000),
        _era(row.history_mode, row.fold_flags),
        "compressed" if path.endswith(COMPRESSED_SUFFIX) else "plain",
        "archived" if is_archived(path) else "active",
        row.bucket,
    )


def _age(since_ms: int) -> str:
    return next((name for name, days in _AGES if since_ms < days * _DAY_MS), _OLDER)


def _era(mode: str | None, flags: int | None) -> str:
    if mode is None:
        return NO_THREAD
    if (flags or 0) & SEEN_BARE_META:
        return "bare"
    return mode if mode in HISTORY_MODES else "unknown"


async def _read_images(
    index: ThreadIndex, files: Sequence[tuple[str, int]], report: Report | None
) -> dict[str, ImageShare | None]:
    """The share of images of every file, in processes where that is worth their start."""
    counts = Counts(files=len(files), to_read=len(files))
    home = str(index.home)
    tasks = [files[at : at + _TASK_FILES] for at in range(0, len(files), _TASK_FILES)]
    pool = worker_pool() if sum(size for _, size in files) >= _POOL_FROM_BYTES else None
    found: dict[str, ImageShare | None] = {}
    loop = asyncio.get_running_loop()
    try:
        work = [
            loop.run_in_executor(pool, image_shares, home, [path for path, _ in task])
            for task in tasks
        ]
        for task, shares in zip(tasks, work, strict=True):
            found.update(zip((path for path, _ in task), await shares, strict=True))
            counts.read += len(task)
            counts.bytes_read += sum(size for _, size in task)
            if report:
                report(counts)
    finally:
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)
    return found
