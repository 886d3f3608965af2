"""What threads used since the index was last brought up to date, without writing it.

Only files that are likely to be in use are looked at: those of the threads that were used last, and
those in the folders of these days. Where more has changed than appended lines and new threads, the
index has to catch up.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.files.layout import parse_name
from rollout.files.scan import FoundFile, stat_file
from rollout.files.stamp import FileStamp
from rollout.jsonl.resume import ResumePoint
from rollout.metadata.version import EXTRACTOR_VERSION
from rollout.usage.model import (
    FileUsage,
    RateLimits,
    UsageKey,
    UsageSums,
    add_rows,
    newest_limits,
    without,
)
from state.db.sql import AMONG, listed
from state.db.steps import LAST_TEXT, Steps
from state.query.listing import key_steps
from state.query.model import Query

_IN_FOLDER: Final = "SELECT path FROM rollout_files WHERE path > ? AND path < ?"
_LATEST: Final = 32
_FOLDER: Final = "sessions/"
_MOST_BYTES: Final = 16 * 2**20
"""If there is more to read, the index had better catch up."""
_KNOWN: Final = (
    "SELECT f.path, f.bucket, f.size_bytes, f.mtime_ns, f.inode, f.extractor_version,"
    " o.row_id, u.only_here, u.sums,"
    " u.state, u.limits_at_ms, u.limits, p.size_bytes, p.mtime_ns, p.inode, p.end_offset, p.guard"
    " FROM rollout_files f LEFT JOIN file_usage u ON u.path = f.path"
    " LEFT JOIN threads o ON o.id = f.thread_id"
    " LEFT JOIN threads t ON t.id = f.thread_id AND t.rollout_path = f.path"
    " LEFT JOIN resume_points p ON p.row_id = t.row_id AND p.pass = 'metadata' AND p.part = 0"
    f" WHERE f.path {AMONG}"
)


class Recent(NamedTuple):
    """What the index does not have yet."""

    rows: dict[int, dict[UsageKey, UsageSums]]
    """By the row of the thread; those of new threads are negative. May have less than nothing: of a
    file that has less than before."""
    limits: RateLimits | None = None


def recent_steps(home: Path, days: Sequence[str]) -> Steps[Recent | None]:
    """What files tell that the index does not have: those used last, and those in the folders of
    ``days`` (``2026/10/15``). None if the index has to catch up."""
    latest = Query(sort_key="updated_at", all_sources=True, attached=True)
    keys = yield from key_steps(latest, None, _LATEST)
    paths = yield (
        f"SELECT rollout_path FROM threads WHERE row_id {AMONG}",
        [listed(row_id for _, _, row_id in keys)],
    )
    for day in days:
        folder = f"{_FOLDER}{day}/"
        paths += yield _IN_FOLDER, [folder, f"{folder}{LAST_TEXT}"]
    found = {path: stat_file(home, path) for (path,) in paths} | _in_folders(home, days)
    if None in found.values():  # a file was deleted, or moved to the archive
        return None
    files = {path: file for path, file in found.items() if file and file.ignored is None}
    known = {row[0]: row[1:] for row in (yield (_KNOWN, [listed(files)]))}
    changed = [
        file
        for path, file in files.items()
        if path not in known or known[path][1:5] != (*file.stamp, EXTRACTOR_VERSION)
    ]
    ids = [name.thread_id for file in changed if (name := parse_name(file.path))]
    threads = yield f"SELECT id FROM threads WHERE id {AMONG}", [listed(filter(None, ids))]
    there = {id_ for (id_,) in threads}
    made: list[Recent] = []
    left = _MOST_BYTES
    for file in changed:
        name = parse_name(file.path)
        new = file.path not in known
        if name is None or (new and name.thread_id in there) or name.compressed:
            return None
        earlier = None if new else _earlier(known[file.path])
        if not new and earlier is None:
            return None
        read = earlier.resume.end if earlier else 0
        left -= file.stamp.size - (read if read <= file.stamp.size else 0)
        if left < 0:
            return None
        made.append(_added(home, file, earlier, -1 - len(made)))
    rows: dict[int, dict[UsageKey, UsageSums]] = {}
    for recent in made:
        for row_id, added in recent.rows.items():
            rows[row_id] = add_rows([rows.get(row_id, {}), added])
    return Recent(rows, newest_limits(recent.limits for recent in made))


class _Earlier(NamedTuple):
    row_id: int
    """Of the thread."""
    usage: FileUsage
    resume: ResumePoint


def _in_folders(home: Path, days: Sequence[str]) -> dict[str, FoundFile | None]:
    return {path: stat_file(home, path) for day in days for path in _listed(home, day)}


def _listed(home: Path, day: str) -> Iterator[str]:
    folder = f"{_FOLDER}{day}"
    try:
        names = os.listdir(home / folder)
    except OSError:
        return
    yield from (f"{folder}/{name}" for name in names if name.startswith("rollout-"))


def _earlier(row: tuple[Any, ...]) -> _Earlier | None:
    """What the index has of a file, and up to where; None if that cannot be continued."""
    bucket, _, _, _, version, row_id, only_here, sums, state, limits_at_ms, limits, *point = row
    if bucket != "indexed" or version != EXTRACTOR_VERSION or sums is None or not point[-1]:
        return None
    if row_id is None or only_here is not None:  # of a copy, only a part counts
        return None
    from rollout.usage.file import stored_usage  # rarely needed

    usage = stored_usage(sums, state, limits_at_ms, limits)
    return usage and _Earlier(row_id, usage, ResumePoint(FileStamp(*point[:3]), *point[3:]))


def _added(home: Path, file: FoundFile, earlier: _Earlier | None, new_row: int) -> Recent:
    """What a file tells that the index does not have; of a new thread as row ``new_row``."""
    from rollout.usage.file import usage_now  # rarely needed

    row_id, usage, resume = earlier or (new_row, None, None)
    try:
        now = usage_now(f"{home}/{file.path}", usage, resume)
    except OSError:  # the index tells when it catches up
        return Recent({})
    rows = without(now.rows, usage.rows) if usage else now.rows
    return Recent({row_id: rows}, now.limits)
