"""Where a thread has its file: what the names of files say, and what the index knows."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from rollout.errors import RolloutError
from rollout.files.layout import parse_uuid, precedence, thread_id_in_name
from rollout.files.scan import FoundFile, scan_home, stat_file
from rollout.history.segments import source_meta
from state.db.steps import Steps
from state.errors import StateError, ThreadNotFound
from state.thread_index import ThreadIndex


async def current_path(index: ThreadIndex, thread_id: str) -> str:
    """The path of a thread's file at this moment, relative to the home. Raises ThreadNotFound if it
    has none."""
    known = await indexed_path(index, thread_id)
    path = await index.database.workers.run(partial(_find, index.home, thread_id, known))
    if path is None:
        raise ThreadNotFound(thread_id)
    return path


async def indexed_path(index: ThreadIndex, thread_id: str) -> str | None:
    """The path that the index has, if it has one and can be read."""
    try:
        found = index.database.inline(path_steps(thread_id))
        return (
            await index.database.query(path_steps(thread_id)) if found is None else found
        ) or None
    except StateError:
        return None  # a broken index keeps nobody from writing


async def ensure_indexed(index: ThreadIndex, thread_id: str) -> None:
    """Read a thread's file into the index, if the index has none of it. Raises IndexBusy if another
    process holds the index, and ThreadNotFound if it has no file."""
    if await indexed_path(index, thread_id) is None:
        await index.refresh([await current_path(index, thread_id)])


def path_steps(thread_id: str) -> Steps[str]:
    """The path that the index has; empty if it has none."""
    rows = yield "SELECT rollout_path FROM threads WHERE id = ?", [thread_id]
    return str(rows[0][0]) if rows else ""


def _find(home: Path, thread_id: str, known: str | None) -> str | None:
    files = [
        file
        for file in scan_home(home)
        # Looking for the text first spares most names the parsing.
        if thread_id in file.path
        and file.ignored is None
        and thread_id_in_name(file.path) == thread_id
    ]
    if known is not None and (file := stat_file(home, known)):
        files.append(file)
    return _best(home, thread_id, files)


def _best(home: Path, thread_id: str, files: Iterable[FoundFile]) -> str | None:
    """The first file in rank that begins as one of the thread; the first in rank if none does."""
    ranks = {precedence(file.path, file.stamp.size, thread_id) for file in files}
    ranked = [rank.path for rank in sorted(ranks, reverse=True)]
    if len(ranked) > 1:
        ranked = [path for path in ranked if _is_of(home / path, thread_id)] or ranked
    return ranked[0] if ranked else None


def _is_of(path: Path, thread_id: str) -> bool:
    try:
        return parse_uuid(source_meta(path).get("id")) == thread_id
    except (OSError, RolloutError):
        return False
