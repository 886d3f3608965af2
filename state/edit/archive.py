"""Archive threads, take them out of the archive, or delete them, with all that they have spawned.

First everything is checked, then the files are moved, then the rows follow. A refused thread stays
as it is; so does one that somebody else is writing, and every thread if Codex's own database
exists and cannot be notified. Recorders of this process (``live``) end when nothing else stands in
the way, and hand over their locks. ``sqlite_home`` is the value of ``CODEX_SQLITE_HOME``.
"""

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from rollout.errors import WriterActive
from rollout.files.move import MoveGroup
from rollout.files.trash import new_folder
from rollout.files.writer_lock import WriterBarrier
from state.aio import shielded
from state.codex_db.database import codex_database
from state.codex_db.notify import CodexError, codex_refusal
from state.edit.lineage import (
    Dependency,
    Segments,
    dependencies,
    dependents_first,
    read_threads_steps,
    trash_records,
)
from state.edit.move_plan import Action, MoveOutcome, MovePlan
from state.errors import FileUnusable, RecorderClosed, RecorderFailed, file_errors
from state.jobs.progress import JobProgress, Report
from state.recording.recorder import NO_RECORDERS, LiveRecorders
from state.sync.move_journal import exclusive_moves, move_all
from state.thread_index import ThreadIndex

_BATCH_THREADS: Final = 1000
"""Threads that are checked and moved at a time, besides their descendants. Nobody can begin to
write a thread meanwhile."""
_Going = tuple[MoveOutcome, MoveGroup]


async def move_thread(
    index: ThreadIndex,
    thread_id: str,
    action: Action,
    *,
    live: LiveRecorders = NO_RECORDERS,
    sqlite_home: Path | None = None,
) -> list[str]:
    """Do ``action`` with all files of a thread and of what it has spawned. Gives the ids of the
    threads that were moved. Files keep their names and content; out of the archive they go into
    the folders of the days in their names, and their mtime becomes the present time, as in Codex.

    Raises, and nothing is moved:
        AlreadyArchived, NotArchived: the thread is where it should go.
        CodexLocked, CodexSchemaUnknown, CodexUnusable: Codex cannot be notified.
        FileUnusable: a file cannot be moved.
        HasDependents: a thread that is not deleted is attached to a deleted one, or its history
            begins there.
        TargetExists: another file is in the place of one.
        ThreadNotFound: no thread has this id.
        RecorderFailed: it is live here and cannot be written now.
        WriterActive: somebody else is writing it, or a thread that it has spawned.
    """
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
    outcomes: list[MoveOutcome] | None = None,
    back: Mapping[str, str] | None = None,
) -> list[MoveOutcome]:
    """Do ``action`` with each thread. Gives the outcomes in the order of the ids; if the caller is
    cancelled, ``outcomes`` has those so far.

    With ``dry_run`` nothing is moved, and it is not checked whether somebody is writing them.
    ``back`` undoes what was done before: it has the files and where each was. These alone move,
    without what the threads have spawned, and keep their mtimes.

    Raises, and no further thread is moved:
        CodexLocked: Codex cannot be notified yet of moves that a killed process left unfinished.
        FileUnusable: the journal of moves cannot be written.
        IndexBusy: another process is moving threads.
    """
    outcomes = [] if outcomes is None else outcomes
    moved: set[str] = set()
    asked = list(dict.fromkeys(thread_ids))
    waiting = iter(asked)
    segments: Segments = {}
    await index.sync()
    if action.deletes and len(asked) > _BATCH_THREADS:
        waiting = iter(await dependents_first(index, asked, segments))
    trash = None
    if action.deletes:
        with file_errors(index.home):
            trash = new_folder(index.home)
    codex = await index.database.workers.run(partial(codex_database, index.home, sqlite_home))
    refusal = await index.database.workers.run(partial(codex_refusal, codex, dry_run=dry_run))
    mover = _Mover(index, live, codex, refusal, segments)
    needed: Sequence[Dependency] | None = None
    while batch := list(itertools.islice(waiting, _BATCH_THREADS)):
        plan, cancelled = MovePlan(index.home, action, batch, moved, trash, back), False
        if dry_run:
            needed = await mover.make(plan, needed)
        else:
            async with exclusive_moves(index.database, index.home):
                cancelled = await mover.carry_out(plan)
            plan.forget_records()
        outcomes += plan.outcomes
        if report and not dry_run and len(asked) > 1:
            report(JobProgress(len(asked), len(outcomes)))
        moved.update(*(group.thread_ids for _, group in plan.going))
        if cancelled:
            raise asyncio.CancelledError
    order = {thread_id: number for number, thread_id in enumerate(asked)}
    outcomes.sort(key=lambda outcome: order[outcome.thread_id])
    return outcomes


class _Mover:
    """Makes plans for the index as it is, and carries them out."""

    def __init__(
        self,
        index: ThreadIndex,
        live: LiveRecorders,
        codex: Path,
        refusal: CodexError | None,
        segments: Segments,
    ) -> None:
        """``refusal`` is why Codex cannot be notified."""
        self._index = index
        self._live = {id_: recorder for id_, recorder in live.items() if not recorder.closed}
        self._codex = codex
        self._refusal = refusal
        self._segments = segments

    async def make(
        self, plan: MovePlan, needed: Sequence[Dependency] | None = None
    ) -> Sequence[Dependency]:
        """Make a plan for what the index has. Gives the dependencies that it has looked at, which
        are the given ones, or by default those of this moment."""
        asked = read_threads_steps([outcome.thread_id for outcome in plan.outcomes])
        nodes = await self._index.database.query(asked)
        if needed is None:
            deletes = plan.action.deletes
            needed = await dependencies(self._index, self._segments) if deletes else []
        plan.make(nodes, needed)
        for outcome, _ in plan.going:
            outcome.error = self._refusal
        return needed

    async def carry_out(self, plan: MovePlan) -> bool:
        """Hold off writers, check the threads, move them. Gives whether the caller was cancelled
        while they were moved."""
        if len(plan.outcomes) == 1:  # if it is refused, nobody is kept waiting
            await self.make(plan)
            if not plan.going:
                return False
        workers = self._index.database.workers
        with ExitStack() as handed_over:
            try:
                barrier = await workers.finish(self._barrier, undo=WriterBarrier.release)
            except (FileUnusable, WriterActive) as error:
                await self.make(plan)
                plan.fail({group.thread_id: error for _, group in plan.going})
                return False
            with barrier:
                free: set[str] = set()
                while True:
                    # Again: until now, one may have been written or have spawned.
                    await self._index.sync()
                    needed = await self.make(plan)
                    while await workers.finish(partial(self._refuse, plan, barrier, free)):
                        needed = await self.make(plan)
                    if not await self._end_recorders(plan.going, free, handed_over):
                        break
                if not plan.going:
                    return False
                if plan.action is Action.DELETE:
                    ids = [id_ for _, group in plan.going for id_ in group.thread_ids]
                    plan.note(await trash_records(self._index, ids, needed))
                groups = [group for _, group in plan.going]
                work = move_all(self._index.database, self._index.home, groups, self._codex)
                failed, cancelled = await shielded(work)
        plan.fail(failed)
        return cancelled

    def _barrier(self) -> WriterBarrier:
        with file_errors(self._index.home):
            return WriterBarrier.acquire(self._index.home)

    def _refuse(self, plan: MovePlan, barrier: WriterBarrier, free: set[str]) -> bool:
        """Refuse the groups with a thread that somebody is writing, but for those that are recorded
        here, and note the others as ``free``. Gives whether there were any."""
        ids = [id_ for _, group in plan.going for id_ in group.thread_ids]
        asked = [id_ for id_ in ids if id_ not in free and id_ not in self._live]
        try:
            with file_errors(self._index.home):
                written = barrier.writers(asked)
        except FileUnusable as error:
            plan.fail({group.thread_id: error for _, group in plan.going})
            return True
        free.update(id_ for id_ in ids if id_ not in written)
        refused = False
        for outcome, group in plan.going:
            for id_ in group.thread_ids:
                if id_ in written and not outcome.error:
                    outcome.error, refused = written[id_], True
        return refused

    async def _end_recorders(
        self, going: Sequence[_Going], free: set[str], handed_over: ExitStack
    ) -> bool:
        """Take over the locks of threads that are recorded here. Gives whether there were any."""
        found = [(o, id_) for o, group in going for id_ in group.thread_ids if id_ in self._live]
        for outcome, thread_id in found:
            try:
                handed_over.enter_context(await self._live.pop(thread_id).hand_over())
            except RecorderFailed as error:
                outcome.error = error
            except RecorderClosed:
                free.discard(thread_id)  # it is looked at as others are
        return bool(found)
