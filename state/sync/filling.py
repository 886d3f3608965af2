"""Read the files of some changes and store them, a batch in one transaction, the last changed
first."""

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from rollout.files.layout import parse_name
from rollout.files.scan import FoundFile
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from state.db.database import Database, Writer
from state.jobs.pool import ReadPool, ordered_map
from state.jobs.progress import Report, SyncProgress
from state.rows import thread_rows as rows
from state.rows.ledger import Changes
from state.rows.writer import Context, StoredBatch, move_entries, store_files
from state.sync.unread import Unread, Waiting, last_changed_first

_FIRST_BATCH: Final = 100
_FIRST_BYTES: Final = 2**24
"""The first batches are small: the newest threads are there before worker processes are."""
FIRST_FILES: Final = 400
"""So many files, or four times so many bytes, are read in small batches if somebody waits: and of
no more nobody needs an answer before all are read."""
_BATCHES_AHEAD: Final = 4


def is_much(files: Sequence[FoundFile]) -> bool:
    """Whether reading all of them takes long enough that somebody should not wait for it."""
    return len(files) > FIRST_FILES or sum(file.stamp.size for file in files) > 4 * _FIRST_BYTES


Read = tuple[Extracted | Unusable, Any]


class Beside(NamedTuple):
    """What is made of files besides their rows, in the same pass over their lines."""

    read: Callable[[str, Sequence[tuple[str, EarlierMetadata | None, str]]], list[Read]]
    """What some files of a home give, in their order: each a path, what an earlier pass gave, and
    the name that its thread probably has. It is called in processes of its own."""
    store: Callable[[sqlite3.Connection, Sequence[Read]], None]
    """Stores what is made of some files in the transaction that has stored their rows."""


@dataclass(slots=True)
class Filling:
    """The files of some changes on their way into the index."""

    database: Database
    write: Writer
    pool: ReadPool
    changes: Changes
    context: Context
    counts: SyncProgress
    batch_files: int
    report: Report | None = None
    waiting: Waiting | None = None
    stored: Callable[[FoundFile], None] | None = None
    """Told the last file of each batch, in its transaction."""
    beside: Beside | None = None
    _left: list[FoundFile] = field(init=False)

    async def first(self) -> None:
        """Read the files that changed last; for somebody who waits also those that they need, until
        they have their answer, but not more than a few hundred. Raises Answered if they want no
        more than that."""
        self._left = sorted(self.changes.to_read, key=last_changed_first, reverse=True)
        if not is_much(self._left):
            self.waiting = None
        files, size = 0, 0
        wanted = await self._asked(self._left)
        while self._left and files < FIRST_FILES and size < 4 * _FIRST_BYTES:
            batch = self._taken(wanted)
            await self._store(batch)
            files += len(batch)
            size += sum(file.stamp.size for file in batch)
            if self.waiting is None:
                return
            wanted = await self._asked(self._left)

    def _taken(self, wanted: Collection[str]) -> list[FoundFile]:
        """The next small batch: files of the ids that are ``wanted``, if there are any."""
        batch: list[FoundFile] = []
        size = 0
        for file in (wanted and Unread(self._left).of_ids(wanted)) or self._left:
            size += file.stamp.size
            if batch and (len(batch) == _FIRST_BATCH or size > _FIRST_BYTES):
                break
            batch.append(file)
        taken = {file.path for file in batch}
        self._left = [file for file in self._left if file.path not in taken]
        return batch

    async def rest(self) -> None:
        """Read the others. Who still waits is asked again each time that twice as much is there."""
        files, self._left = self._left, []
        # Those that were moved are not read: processes would cost more than they save.
        self.pool.prepare(files=sum(file.path not in self.changes.moved_from for file in files))
        done, ask_at = 0, self.counts.done * 2
        async for batch in self._stored(files):
            done += batch
            if self.waiting and self.counts.done >= ask_at:
                ask_at = self.counts.done * 2
                await self._asked(files[done:])

    async def _asked(self, left: Sequence[FoundFile]) -> Collection[str]:
        if self.waiting is None:
            return ()
        wanted = await self.waiting(Unread(left))
        if wanted is None:
            self.waiting = None
        return wanted or ()

    async def _store(self, files: Sequence[FoundFile]) -> None:
        async for _ in self._stored(files):
            pass

    async def _stored(self, files: Sequence[FoundFile]) -> AsyncGenerator[int]:
        """Store the files, and tell of each batch how many they were."""
        async with self._batches(files) as batches:
            async for batch, read in batches:
                stored = await self.write(partial(self._put, batch, read))
                await reread(self.write, self.pool, stored, self.context)
                if self.report:
                    self.report(self.counts)
                yield len(batch)

    def _put(
        self, batch: Sequence[FoundFile], read: Sequence[Read], connection: sqlite3.Connection
    ) -> StoredBatch:
        outcomes = [outcome for outcome, _ in read]
        move_entries(connection, self._moved(outcomes))
        stored = store_files(connection, outcomes, self.context, self.changes.vanished)
        if self.beside:
            self.beside.store(connection, read)
        tally(self.counts, stored, batch)
        if self.stored:
            self.stored(batch[-1])
        return stored

    def _moved(self, outcomes: Sequence[Extracted | Unusable]) -> list[tuple[str, str]]:
        moved_from = self.changes.moved_from
        return [
            (moved_from[each.path], each.path)
            for each in outcomes
            if isinstance(each, Extracted) and each.path in moved_from
        ]

    def _batches(
        self, files: Sequence[FoundFile]
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[Sequence[FoundFile], list[Read]]]]:
        """The files with what they give, in batches that are read ahead."""
        return ordered_map(self._read, files, batch=self.batch_files, ahead=_BATCHES_AHEAD)

    async def _read(self, batch: Sequence[FoundFile]) -> list[Read]:
        paths, moved_from = [file.path for file in batch], self.changes.moved_from
        earlier: dict[str, EarlierMetadata] = {}
        if self.changes.known and not self.changes.reread:
            known = {path: moved_from.get(path, path) for path in paths}
            earlier = await self.database.look(partial(rows.earlier_extractions, paths=known))
        if self.beside:
            items = [(path, earlier.get(path), self._name(path)) for path in paths]
            return await self.pool.map(self.beside.read, items)
        return [(outcome, None) for outcome in await self.pool.extract(paths, earlier)]

    def _name(self, path: str) -> str:
        name = parse_name(path)
        given = self.context.names.get(name.thread_id or "") if name else None
        return given.name if given else ""


async def reread(write: Writer, pool: ReadPool, stored: StoredBatch, context: Context) -> None:
    """Give threads that lost their own file the best of their others."""
    if stored.reread:
        outcomes = await pool.extract(stored.reread, {})
        await write(partial(store_files, outcomes=outcomes, context=context))


def tally(counts: SyncProgress, stored: StoredBatch, batch: Sequence[FoundFile]) -> None:
    """Add a stored batch to the counts."""
    counts.done += len(batch)
    counts.unreadable += stored.unreadable
    counts.dropped += stored.dropped
    counts.bytes_done += sum(file.stamp.size for file in batch)
