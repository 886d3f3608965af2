"""Put threads of the trash back where they were, or remove them for good.

A thread comes back with what it has spawned and with what its history begins in, as far as that was
deleted by the same command. Files keep their names, times and content, and are never put over
others; the index and Codex's own database follow as when threads leave the archive.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rollout.errors import RolloutError, WriterActive
from rollout.files.access import is_there
from rollout.files.move import Move, MoveGroup, occupied_target
from rollout.files.trash import (
    TRASH,
    TrashedThread,
    TrashFolder,
    matching,
    read_trash,
    threads_of_delete,
)
from rollout.files.writer_lock import WriterBarrier
from state.aio import shielded
from state.codex_db.database import codex_database
from state.codex_db.notify import codex_refusal
from state.edit.lineage import file_ids
from state.edit.move_plan import MoveOutcome
from state.errors import (
    AmbiguousThread,
    FileUnusable,
    NotInTrash,
    StateError,
    TargetExists,
    file_errors,
)
from state.jobs.progress import JobProgress, Report
from state.sync.emptying import Emptied
from state.sync.move_journal import empty_folders, exclusive_moves, move_all
from state.thread_index import ThreadIndex

_BATCH_GROUPS: Final = 1000
"""Threads that are put back at a time, besides what comes along."""


async def trash_of(index: ThreadIndex) -> list[TrashFolder]:
    """What is in the trash of the home, the newest delete first. Raises FileUnusable if it cannot
    be read."""
    return await index.database.workers.run(partial(_read, index.home))


def chosen(folders: Sequence[TrashFolder], reference: str) -> list[TrashedThread]:
    """The threads in the trash that a reference means: one, or all of a delete. Raises NotInTrash
    if it means none, and AmbiguousThread if it may mean several."""
    if found := threads_of_delete(folders, reference):
        return found
    found = matching(folders, reference)
    if not found:
        raise NotInTrash(reference)
    if len(found) > 1:
        raise AmbiguousThread(reference, [thread.thread_id for thread in found])
    return found


def groups_of(
    folders: Sequence[TrashFolder], wanted: Iterable[TrashedThread]
) -> Iterator[MoveGroup]:
    """What is moved to put each thread back, with all that comes along."""
    by_id = {folder.delete_id: folder for folder in folders}
    relatives = {name: _Relatives(by_id[name]) for name in {thread.delete_id for thread in wanted}}
    claimed: set[str] = set()
    for thread in wanted:
        if thread.thread_id not in claimed:
            along = relatives[thread.delete_id].of(thread)
            together = [one for one in along if one.thread_id not in claimed]
            claimed.update(one.thread_id for one in together)
            moves = [
                Move(one.thread_id, f"{TRASH}/{one.delete_id}/{path}", path, size)
                for one in together
                for path, size in one.files.items()
            ]
            yield MoveGroup(thread.thread_id, tuple(moves))


async def restore_threads(
    index: ThreadIndex,
    groups: Sequence[MoveGroup],
    sqlite_home: Path | None = None,
    *,
    dry_run: bool = False,
    report: Report | None = None,
    outcomes: list[MoveOutcome] | None = None,
) -> list[MoveOutcome]:
    """Put threads back. Gives what became of each group; if the caller is cancelled, ``outcomes``
    has those so far. Raises what :func:`state.edit.archive.move_threads` raises."""
    outcomes = [] if outcomes is None else outcomes
    database, home = index.database, index.home
    codex = await database.workers.run(partial(codex_database, home, sqlite_home))
    refusal = await database.workers.run(partial(codex_refusal, codex, dry_run=dry_run))
    waiting = iter(groups)
    while batch := list(itertools.islice(waiting, _BATCH_GROUPS)):
        made = [MoveOutcome(group.thread_id, group, refusal) for group in batch]
        cancelled = False
        if dry_run:
            await database.workers.run(partial(_check, home, made, None))
        else:
            async with exclusive_moves(database, home):
                cancelled = await _put_back(index, made, codex)
        outcomes += made
        if report and not dry_run and len(groups) > 1:
            report(JobProgress(len(groups), len(outcomes)))
        if cancelled:
            raise asyncio.CancelledError
    return outcomes


async def empty_trash(
    index: ThreadIndex, delete_ids: Sequence[str], sqlite_home: Path | None = None
) -> Emptied:
    """Remove for good what some deletes put into the trash, with the names and the user data of
    threads that are nowhere else. Raises FileUnusable if the journal of moves cannot be written,
    and IndexBusy if another process is moving threads."""
    database, home = index.database, index.home
    codex = await database.workers.run(partial(codex_database, home, sqlite_home))
    async with exclusive_moves(database, home):
        emptied, cancelled = await shielded(empty_folders(database, home, delete_ids, codex))
    if cancelled:
        raise asyncio.CancelledError
    return emptied


async def _put_back(index: ThreadIndex, made: Sequence[MoveOutcome], codex: Path) -> bool:
    """Gives whether the caller was cancelled while files were moved."""
    workers, home = index.database.workers, index.home
    try:
        barrier = await workers.finish(partial(_barrier, home), undo=WriterBarrier.release)
    except (FileUnusable, WriterActive) as error:
        for outcome in made:
            outcome.error = outcome.error or error
        return False
    with barrier:
        await workers.finish(partial(_check, home, made, barrier))
        going = [outcome.group for outcome in made if outcome.group and not outcome.error]
        if not going:
            return False
        failed, cancelled = await shielded(move_all(index.database, home, going, codex))
    for outcome in made:
        outcome.error = outcome.error or failed.get(outcome.thread_id)
    return cancelled


def _check(home: Path, made: Sequence[MoveOutcome], barrier: WriterBarrier | None) -> None:
    """Note why threads cannot be put back."""
    for outcome in made:
        group = outcome.group
        if group is None or outcome.error:
            continue
        try:
            outcome.error = _refusal(home, group, barrier)
        except StateError as error:
            outcome.error = error


def _refusal(
    home: Path, group: MoveGroup, barrier: WriterBarrier | None
) -> StateError | RolloutError | None:
    with file_errors(home):
        if not any(is_there(home / move.source) for move in group.moves):
            return NotInTrash(group.thread_id)  # another process was faster
        for move in group.moves:
            if is_there(home / move.target) and occupied_target(home, [move]):
                return TargetExists(move.thread_id, home / move.target)
        written = barrier.writers(group.thread_ids) if barrier else {}
    return next(iter(written.values()), None)


def _barrier(home: Path) -> WriterBarrier:
    with file_errors(home):
        return WriterBarrier.acquire(home)


def _read(home: Path) -> list[TrashFolder]:
    with file_errors(home / TRASH):
        return read_trash(home)


class _Relatives:
    """Which threads of a delete belong together."""

    def __init__(self, folder: TrashFolder) -> None:
        self._threads = {thread.thread_id: thread for thread in folder.threads}
        self._spawned: defaultdict[str, list[str]] = defaultdict(list)
        self._owners: dict[str, str] = {}
        for thread in folder.threads:
            if thread.record.parent_id:
                self._spawned[thread.record.parent_id].append(thread.thread_id)
            for path in thread.files:
                names = file_ids(Move(thread.thread_id, path, path))
                self._owners |= dict.fromkeys(names, thread.thread_id)

    def of(self, thread: TrashedThread) -> list[TrashedThread]:
        """A thread with those that it has spawned, and those that any of them needs."""
        together = {thread.thread_id: thread}
        waiting = [thread]
        for one in waiting:
            needed = [self._owners.get(what) for what in one.record.needs]
            for id_ in (*self._spawned[one.thread_id], *needed):
                if id_ is not None and id_ in self._threads and id_ not in together:
                    together[id_] = self._threads[id_]
                    waiting.append(self._threads[id_])
        return waiting
