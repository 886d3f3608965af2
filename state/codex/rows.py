"""Rows for Codex's ``threads``, as its own backfill makes them
(docs/schema.md#codexs-own-database)."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rollout.metadata.outcomes import Extracted
from rollout.schema.session_source import thread_spawn
from state.codex.index_side import IndexSide, absolute
from state.codex_db.tables import THREAD_COLUMNS
from state.jobs.pool import ReadPool, ordered_map
from state.rows.home_config import default_provider
from state.rows.thread_rows import thread_row

_BATCH_FILES = 400


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to insert, with its spawn edge."""

    values: dict[str, Any]
    parent_id: str | None
    """The thread that spawned this one."""


async def read_rows(home: Path, ours: IndexSide, ids: Iterable[str]) -> list[NewRow]:
    """Rows for threads of the index, from their files, which are read again for whole texts.

    A thread whose file can no longer be read, or now holds another thread, gives none.
    """
    wanted = {ours.threads[thread_id].path: thread_id for thread_id in ids}
    paths = list(wanted)
    first_times = _first_times(ours, wanted.values())
    provider = default_provider(home)
    found = []
    async with ReadPool(home) as pool:
        pool.prepare(files=len(paths))
        read = partial(pool.extract, earlier={}, longest=None)
        async with ordered_map(read, paths, batch=_BATCH_FILES, ahead=2) as batches:
            async for _, files in batches:
                for file in files:
                    if isinstance(file, Extracted) and file.metadata.id == wanted[file.path]:
                        first_ms = first_times.get(file.metadata.id)
                        found.append(_new_row(home, file, provider, first_ms))
    return found


def _new_row(home: Path, file: Extracted, provider: str, recency_ms: int | None) -> NewRow:
    # The name is not in the file: Codex leaves the column empty, and it is set afterwards.
    row = thread_row(file, None, provider)
    row["rollout_path"] = absolute(home, file.path)
    row["cwd"] = _canonical(row["cwd"])
    # A backfill knows no turns: it takes the time of the file.
    row["recency_at_ms"] = row["updated_at_ms"] if recency_ms is None else recency_ms
    for name in ("created_at", "updated_at", "recency_at"):
        row[name] = row[f"{name}_ms"] // 1000
    row |= {"has_user_event": 0, "is_pinned": 0}
    values = {name: row.get(name) for name in THREAD_COLUMNS}
    spawned = thread_spawn(file.metadata.source) is not None
    return NewRow(values, file.metadata.parent_thread_id if spawned else None)


def _first_times(ours: IndexSide, ids: Iterable[str]) -> dict[str, int]:
    """For each thread of several files, when the first was last written. Codex's backfill takes
    that for its recency: it goes by path, and later files do not change the recency."""
    wanted = set(ids)
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for path, file in ours.files.items():
        if file.thread_id in wanted:
            paths[file.thread_id].append(path)
    return {
        thread_id: ours.files[min(found)].mtime_ns // 1_000_000
        for thread_id, found in paths.items()
        if len(found) > 1
    }


def _canonical(cwd: str) -> str:
    """A folder as Codex stores it: with links resolved if it exists, else as it is."""
    if not os.path.isabs(cwd):
        return cwd
    try:
        return os.path.realpath(cwd, strict=True)
    except (OSError, ValueError):
        return cwd
