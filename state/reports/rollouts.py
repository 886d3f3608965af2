"""The rollout files of threads, for what reads all of them."""

from collections.abc import Collection
from typing import Any, NamedTuple

from state.db.steps import Steps
from state.thread_index import ThreadIndex


class RolloutFile(NamedTuple):
    """A rollout that the index knows."""

    path: str
    size_bytes: int
    thread_id: str | None
    """None if no thread can be read from it."""
    thread_path: str
    """The file that its thread shows: another one if the thread was reverted, or there are
    copies."""


async def rollout_files(
    index: ThreadIndex, thread_ids: Collection[str] | None = None
) -> list[RolloutFile]:
    """The files of these threads, by default all that there are; those of the thread that was used
    last first."""
    rows = await index.database.query(_files_steps())
    files = [RolloutFile(*row) for row in rows]
    wanted = None if thread_ids is None else {*thread_ids}
    return [file for file in files if wanted is None or file.thread_id in wanted]


def _files_steps() -> Steps[Any]:
    rows = yield (
        "SELECT f.path, f.size_bytes, t.id, coalesce(t.rollout_path, f.path)"
        " FROM rollout_files f LEFT JOIN threads t ON t.id = f.thread_id"
        " WHERE f.bucket <> 'ignored' ORDER BY t.recency_at_ms DESC, t.id, f.path",
        [],
    )
    return rows
