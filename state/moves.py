"""Archive threads, take them out of the archive, delete them.

What a thread has spawned goes with it. Check first, files second, rows third: a refused thread
is as it was, and one that anybody is writing is refused.
"""

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.errors import RolloutError, WriterActive
from rollout.extract import Extracted, extract_file
from rollout.moving import Group, Move, archive_path, in_the_way, session_path, trash_folder
from rollout.paths import is_archived, parse_name, parse_uuid
from rollout.writer_lock import WriterLock
from state import rows
from state.errors import (
    AlreadyArchived,
    FileUnusable,
    ForkDepends,
    NotArchived,
    StateError,
    TargetExists,
    ThreadNotFound,
)
from state.index import ThreadIndex
from state.journal import move_all, moving
from state.schema import rollout_files, thread_spawn_edges, threads

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
    group: Group | None = None
    """What was moved, or would be; None if it had gone along with an earlier one."""
    error: StateError | RolloutError | None = None
    """Why nothing was moved."""


async def archive(index: ThreadIndex, thread_id: str) -> list[str]:
    """Move all files of a thread, and of what it has spawned, into the archive, their names and
    content unchanged (rollout-format §1.4). Gives the ids of the threads that were moved.

    Raises:
        AlreadyArchived: it is there.
        FileUnusable: a file cannot be moved; none was.
        TargetExists: another file lies where one would go; nothing was moved.
        ThreadNotFound: no thread has this id.
        WriterActive: somebody writes it, or one that it has spawned; nothing was moved.
    """
    return await _one(index, Action.ARCHIVE, thread_id)


async def unarchive(index: ThreadIndex, thread_id: str) -> list[str]:
    """Move all files of a thread, and of what it has spawned, out of the archive, to the days
    that their names tell; their mtime is now then, as Codex has it (rollout-format §1.4).

    Raises:
        NotArchived: it is not there.
        FileUnusable, TargetExists, ThreadNotFound, WriterActive: as :func:`archive`.
    """
    return await _one(index, Action.UNARCHIVE, thread_id)


async def delete(index: ThreadIndex, thread_id: str, *, purge: bool = False) -> list[str]:
    """Move all files of a thread, and of what it has spawned, into the trash folder of the home;
    with ``purge`` remove them, their names and what users set for them, for good.

    Raises:
        ForkDepends: the history of a thread that would stay begins in one of the files.
        FileUnusable, ThreadNotFound, WriterActive: as :func:`archive`.
    """
    return await _one(index, Action.PURGE if purge else Action.DELETE, thread_id)


async def _one(index: ThreadIndex, action: Action, thread_id: str) -> list[str]:
    (outcome,) = await move_threads(index, action, [thread_id])
    if outcome.error:
        raise outcome.error
    return outcome.group.thread_ids if outcome.group else []


async def move_threads(
    index: ThreadIndex, action: Action, thread_ids: Iterable[str], *, dry_run: bool = False
) -> list[Outcome]:
    """Do one thing with threads, each by itself: what became of them, in their order.

    With ``dry_run`` nothing is done, and it is not known yet whether anybody writes them.

    Raises:
        FileUnusable: the journal of moves cannot be written; nothing was moved since.
        IndexBusy: another process moves threads; nothing was moved since.
    """
    outcomes: list[Outcome] = []
    done: set[str] = set()
    waiting = iter(dict.fromkeys(thread_ids))
    while batch := list(itertools.islice(waiting, _BATCH_THREADS)):
        work = _Batch(index, action, batch, done)
        if dry_run:
            await index.sync()
            await work.plan()
        else:
            async with moving(index.database, index.home):
                await work.carry_out()
        outcomes += work.outcomes
        for outcome in work.outcomes:
            if outcome.group and not outcome.error:
                done.update(outcome.group.thread_ids)
    return outcomes


class _Batch:
    """Threads that are looked at, locked and moved together."""

    def __init__(
        self, index: ThreadIndex, action: Action, thread_ids: Sequence[str], done: set[str]
    ) -> None:
        self.outcomes = [Outcome(id_) for id_ in thread_ids]
        self._index = index
        self._action = action
        self._done = done
        """Threads that earlier batches have moved."""
        self._trash: set[str] = set()

    async def carry_out(self) -> None:
        """Lock, check, move."""
        home = self._index.home
        with ExitStack() as held:
            locked: set[str] = set()
            while True:
                await self._index.sync()
                await self.plan()
                going = self._going()
                if all(locked.issuperset(group.thread_ids) for _, group in going):
                    break
                # Look again: until it was locked, a thread may have been written or have spawned.
                await asyncio.to_thread(_lock, home, going, locked, held)
            if not going:
                return
            failed = await move_all(self._index.database, home, [group for _, group in going])
        for outcome, _ in going:
            outcome.error = failed.get(outcome.thread_id)

    async def plan(self) -> None:
        """Say what is to be moved for each thread, or why it cannot be."""
        claimed = set(self._done)
        self._trash.clear()
        async with self._index.database.read() as connection:
            known = await _known(connection, [o.thread_id for o in self.outcomes if not o.error])
        for outcome in self.outcomes:
            outcome.group = None
            if outcome.error is None and outcome.thread_id not in claimed:
                try:
                    outcome.group = self._group(outcome.thread_id, known, claimed)
                except StateError as error:
                    outcome.error = error
                else:
                    claimed.update(outcome.group.thread_ids)
        if self._action in (Action.DELETE, Action.PURGE):
            await self._spare_bases()

    def _going(self) -> list[tuple[Outcome, Group]]:
        return [(o, o.group) for o in self.outcomes if o.group and not o.error]

    def _group(self, thread_id: str, known: "dict[str, _Known]", claimed: set[str]) -> Group:
        """What is moved for a thread, the deepest of what it has spawned first."""
        if thread_id not in known:
            raise ThreadNotFound(thread_id)
        archived = known[thread_id].archived
        if self._action is Action.ARCHIVE and archived:
            raise AlreadyArchived(thread_id)
        if self._action is Action.UNARCHIVE and not archived:
            raise NotArchived(thread_id)
        home = self._index.home
        deleting = self._action in (Action.DELETE, Action.PURGE)
        trash = trash_folder(home, thread_id, self._trash) if deleting else None
        moves = []
        for id_ in reversed(_family(thread_id, known)):
            if id_ in claimed or (known[id_].archived != archived and not deleting):
                continue
            for path in known[id_].files:
                if trash:
                    moves.append(Move(id_, path, f"{trash}/{path}"))
                elif is_archived(path) == archived:
                    created_ms = known[id_].created_at_ms
                    target = session_path(path, created_ms) if archived else archive_path(path)
                    moves.append(Move(id_, path, target))
        taken = in_the_way(home, moves)
        if taken is not None:
            raise TargetExists(thread_id, home / taken)
        if trash:
            self._trash.add(trash)
        return Group(
            thread_id,
            tuple(moves),
            touch_ns=time.time_ns() if self._action is Action.UNARCHIVE else None,
            trash=trash,
            purge=self._action is Action.PURGE,
        )

    async def _spare_bases(self) -> None:
        """Refuse what a thread that would stay depends on, until no more is refused."""
        going = self._going()
        if not going:
            return
        bases = await _bases(self._index)
        while True:
            leaving = {id_ for _, group in going for id_ in group.thread_ids}
            needed = {base: fork for fork, base in bases if fork not in leaving}
            for outcome, group in going:
                held = {rollout for move in group.moves for rollout in _rollout_ids(move)}
                base = next((base for base in sorted(held) if base in needed), None)
                if base is not None:
                    outcome.error = ForkDepends(outcome.thread_id, needed[base])
            left = self._going()
            if len(left) == len(going):
                return
            going = left


def _lock(
    home: Path, going: Sequence[tuple[Outcome, Group]], locked: set[str], held: ExitStack
) -> None:
    """Become the one writer of all threads of each group; a group of which one is being written
    is refused."""
    for outcome, group in going:
        with ExitStack() as taken:
            fresh = [id_ for id_ in group.thread_ids if id_ not in locked]
            try:
                for thread_id in fresh:
                    taken.enter_context(WriterLock.acquire(home, thread_id))
            except WriterActive as error:
                outcome.error = error
            except OSError as error:
                path = Path(error.filename or home)
                outcome.error = FileUnusable(path, error.strerror or str(error))
            else:
                locked.update(fresh)
                held.enter_context(taken.pop_all())


@dataclass(slots=True)
class _Known:
    """What the index has of a thread."""

    archived: bool
    created_at_ms: int
    files: list[str] = field(default_factory=list)
    """All of them, also those that cannot be read and only have its id in their name."""
    spawned: list[str] = field(default_factory=list)


async def _known(connection: AsyncConnection, thread_ids: Sequence[str]) -> dict[str, _Known]:
    """Threads with all that they have spawned, as far as they are here."""
    edge, c, f = thread_spawn_edges.c, threads.c, rollout_files.c
    found: dict[str, _Known] = {}
    level = list(thread_ids)
    while level:
        chosen = sa.select(c.id, c.archived, c.created_at_ms).where(rows.among(c.id, level))
        found |= {
            row.id: _Known(bool(row.archived), row.created_at_ms)
            for row in await connection.execute(chosen)
        }
        spawned = sa.select(edge.parent_thread_id, edge.child_thread_id).where(
            rows.among(edge.parent_thread_id, level)
        )
        named = sa.select(c.parent_thread_id, c.id).where(rows.among(c.parent_thread_id, level))
        level = []
        for parent, child in await connection.execute(
            sa.union(spawned, named).order_by("child_thread_id")
        ):
            if parent in found:
                found[parent].spawned.append(child)
            if child not in found:
                level.append(child)
    own = sa.select(f.path, f.thread_id).where(rows.among(f.thread_id, found))
    for path, thread_id in await connection.execute(own.order_by(f.path)):
        found[thread_id].files.append(path)
    unreadable = sa.select(f.path).where(f.bucket == "unreadable").order_by(f.path)
    for path in await connection.scalars(unreadable):
        name = parse_name(path.rsplit("/", 1)[-1])
        if name and name.thread_id in found:
            found[name.thread_id].files.append(path)
    return found


def _family(thread_id: str, known: dict[str, _Known]) -> list[str]:
    """A thread and what it has spawned, itself first and the deepest last. Lineage in damaged
    files may go in circles."""
    family = {thread_id: None}
    waiting = [thread_id]
    for id_ in waiting:
        for child in known[id_].spawned:
            if child in known and child not in family:
                family[child] = None
                waiting.append(child)
    return waiting


def _rollout_ids(move: Move) -> set[str]:
    """By what a ``history_base`` may mean the file: its own id, or the thread's (§13.2)."""
    name = parse_name(move.source.rsplit("/", 1)[-1])
    return {move.thread_id} | ({name.rollout_id} if name and name.rollout_id else set())


async def _bases(index: ThreadIndex) -> list[tuple[str, str]]:
    """Each thread whose history begins in another file, with the id of that file; for all files,
    as segments that were left behind go on from somewhere too."""
    c, f = threads.c, rollout_files.c
    async with index.database.read() as connection:
        forked = await connection.execute(
            sa.select(c.id, c.history_base).where(c.history_base.is_not(None)).order_by(c.id)
        )
        found = [(row.id, row.history_base) for row in forked]
        segments = list(await connection.scalars(sa.select(f.path).where(f.bucket == "segment")))
    for path in segments:
        outcome = await asyncio.to_thread(extract_file, index.home, path)
        if isinstance(outcome, Extracted) and outcome.facts.history_base:
            found.append((outcome.facts.id, outcome.facts.history_base))
    return [(id_, base) for id_, text in found if (base := _base_id(text))]


def _base_id(history_base: str) -> str | None:
    try:
        value = orjson.loads(history_base)
    except orjson.JSONDecodeError:
        return None
    return parse_uuid(value.get("thread_id")) if isinstance(value, dict) else None
