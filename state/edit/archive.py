"""Archive threads, take them out of the archive, delete them.

What a thread has spawned goes with it. Check first, files second, rows third: a refused thread
is as it was, and one that anybody else is writing is refused, as are all if Codex's own database
is there and cannot be told. Recorders of this process, ``live``, are ended once nothing else
stands in the way, and hand their locks over. ``sqlite_home`` is what ``CODEX_SQLITE_HOME`` names.
"""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from rollout.errors import RolloutError, WriterActive
from rollout.files.layout import is_archived
from rollout.files.move import (
    Move,
    MoveGroup,
    archive_path,
    occupied_target,
    session_path,
    trash_folder,
)
from rollout.files.writer_lock import WriterLock
from state.aio import shielded
from state.codex_db.database import codex_database
from state.codex_db.notify import CodexError, codex_refusal
from state.edit.lineage import (
    Dependency,
    LineageNode,
    dependencies,
    dependents_first,
    file_ids,
    read_threads,
    with_descendants,
)
from state.errors import (
    AlreadyArchived,
    FileUnusable,
    HasDependents,
    NotArchived,
    RecorderClosed,
    RecorderFailed,
    StateError,
    TargetExists,
    ThreadNotFound,
    file_errors,
)
from state.jobs.progress import JobProgress, Report
from state.recording.recorder import NO_RECORDERS, LiveRecorders
from state.sync.move_journal import exclusive_moves, move_all
from state.thread_index import ThreadIndex

_BATCH_THREADS: Final = 100
"""How many threads are looked at, locked and moved at a time, besides what goes with them."""


class Action(StrEnum):
    """What is done with threads."""

    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    DELETE = "delete"
    """Into the trash."""
    PURGE = "purge"


@dataclass(slots=True)
class Outcome:
    """What became of one thread that was asked for."""

    thread_id: str
    group: MoveGroup | None = None
    """What was moved, or would be; None if it had gone along with an earlier one."""
    error: StateError | RolloutError | None = None
    """Why nothing was moved."""


async def archive(
    index: ThreadIndex,
    thread_id: str,
    live: LiveRecorders = NO_RECORDERS,
    sqlite_home: Path | None = None,
) -> list[str]:
    """Move all files of a thread, and of what it has spawned, into the archive, their names and
    content unchanged. Gives the ids of the threads that were moved.

    Raises:
        AlreadyArchived: it is there.
        CodexLocked, CodexSchemaUnknown, CodexUnusable: Codex cannot be told; nothing was moved.
        FileUnusable: a file cannot be moved; none was.
        TargetExists: another file lies where one would go; nothing was moved.
        ThreadNotFound: no thread has this id.
        RecorderFailed: it is live here and cannot be written now; nothing was moved.
        WriterActive: somebody else writes it, or one that it has spawned; nothing was moved.
    """
    return await _one(index, Action.ARCHIVE, thread_id, live, sqlite_home)


async def unarchive(
    index: ThreadIndex, thread_id: str, sqlite_home: Path | None = None
) -> list[str]:
    """Move all files of a thread, and of what it has spawned, out of the archive, to the days
    that their names tell; their mtime is now then, as Codex has it.

    Raises:
        NotArchived: it is not there.
        CodexLocked, CodexSchemaUnknown, CodexUnusable, FileUnusable, TargetExists,
        ThreadNotFound, WriterActive: as :func:`archive`.
    """
    return await _one(index, Action.UNARCHIVE, thread_id, NO_RECORDERS, sqlite_home)


async def delete(
    index: ThreadIndex,
    thread_id: str,
    live: LiveRecorders = NO_RECORDERS,
    sqlite_home: Path | None = None,
    *,
    purge: bool = False,
) -> list[str]:
    """Move all files of a thread, and of what it has spawned, into the trash folder of the home;
    with ``purge`` remove them, their names and what users set for them, for good.

    Raises:
        DependedOn: a thread that would stay is attached to it, or its history begins in it.
        CodexLocked, CodexSchemaUnknown, CodexUnusable, FileUnusable, RecorderFailed,
        ThreadNotFound, WriterActive: as :func:`archive`.
    """
    action = Action.PURGE if purge else Action.DELETE
    return await _one(index, action, thread_id, live, sqlite_home)


async def _one(
    index: ThreadIndex,
    action: Action,
    thread_id: str,
    live: LiveRecorders,
    sqlite_home: Path | None,
) -> list[str]:
    (outcome,) = await move_threads(index, action, [thread_id], sqlite_home, live=live)
    if outcome.error:
        raise outcome.error
    return outcome.group.thread_ids if outcome.group else []


async def move_threads(
    index: ThreadIndex,
    action: Action,
    thread_ids: Iterable[str],
    sqlite_home: Path | None = None,
    *,
    dry_run: bool = False,
    live: LiveRecorders = NO_RECORDERS,
    report: Report | None = None,
    outcomes: list[Outcome] | None = None,
) -> list[Outcome]:
    """Do one thing with threads, each by itself: what became of them, in their order; who is
    cancelled finds in ``outcomes`` what became of those that were come to.

    With ``dry_run`` nothing is done, and it is not known yet whether anybody writes them.

    Raises:
        CodexLocked: Codex cannot be told yet of moves that a killed process left; nothing was
            moved since.
        FileUnusable: the journal of moves cannot be written; nothing was moved since.
        IndexBusy: another process moves threads; nothing was moved since.
    """
    outcomes = [] if outcomes is None else outcomes
    done: set[str] = set()
    asked = list(dict.fromkeys(thread_ids))
    waiting = iter(asked)
    if action in (Action.DELETE, Action.PURGE) and len(asked) > _BATCH_THREADS:
        waiting = iter(await dependents_first(index, asked))
    codex = await index.database.workers.run(partial(codex_database, index.home, sqlite_home))
    refused = await index.database.workers.run(partial(codex_refusal, codex, dry_run=dry_run))
    while batch := list(itertools.islice(waiting, _BATCH_THREADS)):
        work = _Batch(index, action, batch, done, live, codex, refused)
        if dry_run:
            await index.sync()
            await work.plan()
        else:
            async with exclusive_moves(index.database, index.home):
                await work.move_group()
        outcomes += work.outcomes
        if report and not dry_run and len(asked) > 1:
            report(JobProgress(len(asked), len(outcomes)))
        for outcome in work.outcomes:
            if outcome.group and not outcome.error:
                done.update(outcome.group.thread_ids)
        if work.cancelled:
            raise asyncio.CancelledError
    places = {thread_id: place for place, thread_id in enumerate(asked)}
    outcomes.sort(key=lambda outcome: places[outcome.thread_id])
    return outcomes


class _Batch:
    """Threads that are looked at, locked and moved together."""

    def __init__(
        self,
        index: ThreadIndex,
        action: Action,
        thread_ids: Sequence[str],
        done: set[str],
        live: LiveRecorders,
        codex: Path,
        refused: CodexError | None,
    ) -> None:
        self.outcomes = [Outcome(id_) for id_ in thread_ids]
        self._live = {id_: recorder for id_, recorder in live.items() if not recorder.closed}
        self._index = index
        self._codex = codex
        self._refused = refused
        """Why Codex cannot be told of anything."""
        self._action = action
        self._done = done
        """Threads that earlier batches have moved."""
        self._deletes = action in (Action.DELETE, Action.PURGE)
        self._trash: set[str] = set()
        self.cancelled = False
        """Whether the caller was, while threads were moved."""

    async def move_group(self) -> None:
        """Lock, check, move."""
        home = self._index.home
        with ExitStack() as held:
            locked: set[str] = set()
            while True:
                await self._index.sync()
                await self.plan()
                going = self._going()
                if not all(locked.issuperset(group.thread_ids) for _, group in going):
                    # Look again: until it was locked, one may have been written or have spawned.
                    await self._index.database.workers.finish(
                        partial(_lock, home, going, locked, set(self._live), held)
                    )
                elif not await self._end_recorders(going, locked, held):
                    break
            if not going:
                return
            groups = [group for _, group in going]
            work = move_all(self._index.database, home, groups, self._codex)
            failed, self.cancelled = await shielded(work)
        stayed = {
            id_: failed[group.thread_id]
            for _, group in going
            if group.thread_id in failed
            for id_ in group.thread_ids
        }
        for outcome in self.outcomes:
            outcome.error = outcome.error or stayed.get(outcome.thread_id)

    async def _end_recorders(
        self, going: Sequence[tuple[Outcome, MoveGroup]], locked: set[str], held: ExitStack
    ) -> bool:
        """Take over the locks of those that are recorded here: whether there were any."""
        found = [(o, id_) for o, group in going for id_ in group.thread_ids if id_ in self._live]
        for outcome, thread_id in found:
            try:
                held.enter_context(await self._live.pop(thread_id).hand_over())
            except RecorderFailed as error:
                outcome.error = error
            except RecorderClosed:
                locked.discard(thread_id)  # to be locked as others are
        return bool(found)

    async def plan(self) -> None:
        """Say what is to be moved for each thread, or why it cannot be."""
        async with self._index.database.read() as connection:
            known = await read_threads(connection, [o.thread_id for o in self.outcomes])
        wanted = await dependencies(self._index) if self._deletes else []
        while True:
            self._plan_groups(known)
            if not self._refuse_needed(wanted):
                break  # else threads that were to go along with one that stays go by themselves
        for outcome, _ in self._going():
            outcome.error = self._refused

    def _plan_groups(self, known: dict[str, LineageNode]) -> None:
        claimed = set(self._done)
        self._trash.clear()
        for outcome in self.outcomes:
            outcome.group = None
            if outcome.error is None and outcome.thread_id not in claimed:
                try:
                    outcome.group = self._group(outcome.thread_id, known, claimed)
                except StateError as error:
                    outcome.error = error
                else:
                    claimed.update(outcome.group.thread_ids)

    def _going(self) -> list[tuple[Outcome, MoveGroup]]:
        return [(o, o.group) for o in self.outcomes if o.group and not o.error]

    def _group(self, thread_id: str, known: dict[str, LineageNode], claimed: set[str]) -> MoveGroup:
        """What is moved for a thread, the deepest of what it has spawned first."""
        if thread_id not in known:
            raise ThreadNotFound(thread_id)
        archived = known[thread_id].archived
        if self._action is Action.ARCHIVE and archived:
            raise AlreadyArchived(thread_id)
        if self._action is Action.UNARCHIVE and not archived:
            raise NotArchived(thread_id)
        home = self._index.home
        trash = trash_folder(home, thread_id, self._trash) if self._deletes else None
        moves = []
        for id_ in reversed(with_descendants(thread_id, known)):
            if id_ in claimed or (known[id_].archived != archived and not trash):
                continue
            for path in known[id_].files:
                if trash:
                    moves.append(Move(id_, path, f"{trash}/{path}"))
                elif is_archived(path) == archived:
                    created_ms = known[id_].created_at_ms
                    target = session_path(path, created_ms) if archived else archive_path(path)
                    moves.append(Move(id_, path, target))
        with file_errors(home):
            taken = occupied_target(home, moves)
        if taken is not None:
            rivals = [move.source for move in moves if move.target == taken]
            raise TargetExists(thread_id, home / taken, rivals if len(rivals) > 1 else ())
        if trash:
            self._trash.add(trash)
        return MoveGroup(
            thread_id,
            tuple(moves),
            touch_ns=time.time_ns() if self._action is Action.UNARCHIVE else None,
            trash=trash,
            purge=self._action is Action.PURGE,
        )

    def _refuse_needed(self, wanted: Sequence[Dependency]) -> bool:
        """Refuse what threads that would stay depend on: whether there was any."""
        going = self._going()
        by_thread: defaultdict[str, list[Dependency]] = defaultdict(list)
        for need in wanted:
            by_thread[need.thread_id].append(need)
        leaving = {id_ for _, group in going for id_ in group.thread_ids}
        owners = {
            id_: (outcome, group)
            for outcome, group in going
            for move in group.moves
            for id_ in file_ids(move)
        }
        refused = False
        gone = leaving | self._done  # a dry run has left them where they are
        waiting = [need for need in wanted if need.thread_id not in gone]
        for need in waiting:
            outcome, group = owners.get(need.what, (None, None))
            if outcome is None or group is None or outcome.error:
                continue
            outcome.error = HasDependents(outcome.thread_id, need.thread_id, need.how)
            refused = True
            if len(group.thread_ids) == 1:  # it stays for certain, and so does what it needs
                waiting += by_thread.get(outcome.thread_id, ())
        return refused


def _lock(
    home: Path,
    going: Sequence[tuple[Outcome, MoveGroup]],
    locked: set[str],
    ours: set[str],
    held: ExitStack,
) -> None:
    """Become the one writer of all threads of each group that are not ``ours`` already; a group of
    which one is being written is refused."""
    for outcome, group in going:
        with ExitStack() as taken:
            fresh = [id_ for id_ in group.thread_ids if id_ not in locked]
            try:
                with file_errors(home):
                    for thread_id in fresh:
                        if thread_id not in ours:
                            taken.enter_context(WriterLock.acquire(home, thread_id))
            except (FileUnusable, WriterActive) as error:
                outcome.error = error
            else:
                locked.update(fresh)
                held.enter_context(taken.pop_all())
