"""The disk usage of the rollout files of a home, by project and other dimensions."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rollout.files.scan import INACCESSIBLE
from rollout.metadata.image_share import image_shares
from rollout.metadata.model import SEEN_BARE_META
from rollout.schema.modes import MODES
from state.clock import now_ms
from state.db.steps import Steps, select_steps
from state.jobs.pool import read_files
from state.jobs.progress import Report
from state.prices.spending import NOTHING, Spending, spending
from state.query.projects import folder_projects_steps
from state.query.rows import COLUMNS, Row
from state.thread_index import ThreadIndex

NO_THREAD: Final = "(no thread)"
_DAY_MS: Final = 86_400_000
_AGES: Final = (("day", 1), ("week", 7), ("month", 30), ("quarter", 91), ("year", 365))
_OLDER: Final = "older"
_MODES: Final = ", ".join(f"'{mode}'" for mode in MODES)
_AGE_CASES: Final = " ".join(f"WHEN f.mtime_ns > ? THEN '{name}'" for name, _ in _AGES)
_KEYS: Final = {
    "project": f"coalesce(t.cwd_key, '{NO_THREAD}')",
    "source": f"coalesce(t.source_kind, '{NO_THREAD}')",
    "age": f"CASE {_AGE_CASES} ELSE '{_OLDER}' END",
    "era": f"CASE WHEN t.id IS NULL THEN '{NO_THREAD}'"
    f" WHEN t.flags & {SEEN_BARE_META} THEN 'bare'"
    f" WHEN t.history_mode IN ({_MODES}) THEN t.history_mode ELSE 'unknown' END",
    "provider": f"coalesce(t.model_provider, '{NO_THREAD}')",
    "model": f"CASE WHEN t.id IS NULL THEN '{NO_THREAD}' ELSE coalesce(t.model, '') END",
    "form": "CASE WHEN f.path LIKE '%.zst' THEN 'compressed' ELSE 'plain' END",
    "place": "CASE WHEN f.path LIKE 'archived_sessions/%' THEN 'archived' ELSE 'active' END",
    "bucket": "f.bucket",
}
"""The key of a file ``f`` and its thread ``t`` in each dimension, in SQL."""
DIMENSIONS: Final = tuple(_KEYS)
_FROM: Final = "FROM rollout_files f LEFT JOIN threads t ON t.id = f.thread_id"


@dataclass(slots=True)
class Amount:
    """Files, their bytes on disk, the bytes of images in their content, if it was read, and what
    their threads have spent, if that was asked for."""

    files: int = 0
    bytes: int = 0
    image_bytes: int = 0
    spent: Spending = NOTHING

    def add(self, files: int, size: int, image_bytes: int, spent: Spending) -> None:
        """Add files."""
        self.files += files
        self.bytes += size
        self.image_bytes += image_bytes
        self.spent = self.spent.plus(spent)


@dataclass(slots=True)
class ThreadDiskUsage:
    """A thread and all its files."""

    row: Row
    amount: Amount


@dataclass(slots=True)
class Images:
    """The images in all rollouts."""

    content_bytes: int = 0
    """Uncompressed, of all files."""
    by_path: dict[str, int] = field(default_factory=dict)
    """Bytes of images."""
    by_thread: Counter[str] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)
    """Files that could not be read to their end, and why."""


@dataclass(slots=True)
class DiskUsage:
    """The usage of a home. The amounts of each dimension add up to the total."""

    total: Amount
    threads: int
    """Threads with a file."""
    by: dict[str, dict[str, Amount]]
    """By dimension and key, the largest first."""
    biggest: list[ThreadDiskUsage]
    images: Images | None
    """None if the files were not read."""
    away: int = 0
    """Files and folders that cannot be accessed, whose usage is not known."""


async def disk_usage(
    index: ThreadIndex,
    most: int,
    *,
    images: bool = False,
    costs: bool = False,
    report: Report | None = None,
) -> DiskUsage:
    """The disk usage of the files in ``index``, with the ``most`` biggest threads. ``images`` has
    all files read; ``costs`` adds what the tokens of their threads cost."""
    shares = await _read_images(index, report) if images else None
    spent = await spending(index.database) if costs else None
    return await index.database.query(_disk_usage_steps(now_ms(), most, shares, spent))


def _disk_usage_steps(
    now: int, most: int, images: Images | None, spent: Mapping[str, Spending] | None
) -> Steps[DiskUsage]:
    keys = ", ".join(_KEYS.values())
    ages = [(now - days * _DAY_MS) * 1_000_000 for _, days in _AGES]
    if images is None and spent is None:
        groups = ", ".join(str(number) for number in range(1, len(_KEYS) + 1))
        sql = f"SELECT {keys}, count(*), sum(f.size_bytes), NULL, NULL {_FROM} GROUP BY {groups}"
    else:
        own = "iif(f.path = t.rollout_path, t.id, NULL)"  # a thread's cost counts once
        sql = f"SELECT {keys}, 1, f.size_bytes, f.path, {own} {_FROM}"
    rows = yield sql, ages
    by_path: Mapping[str, int] = images.by_path if images else {}
    total = Amount()
    found: dict[str, dict[str, Amount]] = {name: defaultdict(Amount) for name in DIMENSIONS}
    projects = yield from folder_projects_steps()
    spent = spent or {}
    for *values, files, size, path, thread_id in rows:
        amount = (files, size, by_path.get(path, 0), spent.get(thread_id, NOTHING))
        total.add(*amount)
        for name, key in zip(DIMENSIONS, values, strict=True):
            found[name][projects.get(key, key) if name == "project" else key].add(*amount)
    by = {
        name: dict(sorted(group.items(), key=lambda item: (-item[1].bytes, item[0])))
        for name, group in found.items()
    }
    ((threads,),) = yield "SELECT count(*) FROM threads", []
    ((away,),) = yield (
        "SELECT count(*) FROM rollout_files WHERE bucket = 'ignored' AND instr(reason, ?) = 1",
        [INACCESSIBLE],
    )
    return DiskUsage(
        total, threads, by, (yield from _biggest_steps(most, images, spent)), images, away
    )


def _biggest_steps(
    most: int, images: Images | None, spent: Mapping[str, Spending]
) -> Steps[list[ThreadDiskUsage]]:
    sums = yield (
        "SELECT thread_id, count(*), sum(size_bytes) AS size FROM rollout_files"
        " WHERE thread_id IN (SELECT id FROM threads)"
        " GROUP BY thread_id ORDER BY size DESC, thread_id LIMIT ?",
        [most],
    )
    marks = ",".join("?" * len(sums))
    rows = yield f"SELECT {COLUMNS} FROM threads WHERE id IN ({marks})", [one[0] for one in sums]
    by_id = {row[0]: dict(zip(COLUMNS.split(", "), row, strict=True)) for row in rows}
    in_images: Mapping[str, int] = images.by_thread if images else {}
    return [
        ThreadDiskUsage(
            by_id[id_],
            Amount(files, size, in_images.get(id_, 0), spent.get(id_, NOTHING)),
        )
        for id_, files, size in sums
    ]


async def _read_images(index: ThreadIndex, report: Report | None) -> Images:
    """The images of every rollout. Other files are not opened: a pipe would never end."""
    asked = "SELECT path, thread_id, size_bytes FROM rollout_files WHERE bucket <> 'ignored'"
    files = await index.database.query(select_steps(asked))
    sizes = [(path, size) for path, _, size in files]
    # Nothing is parsed, which takes a quarter of the time.
    reading = read_files(index.home, image_shares, sizes, effort=1 / 4, report=report)
    shares = [share async for share in reading]
    found = Images()
    for (path, thread_id, _), share in zip(files, shares, strict=True):
        found.content_bytes += share.content_bytes
        found.by_path[path] = share.image_bytes
        found.by_thread[thread_id or ""] += share.image_bytes
        if share.problem:
            found.problems[path] = share.problem
    return found
