"""The one live writer of a thread: takes items at once, writes them in order behind the caller.

Nothing is on disk until the thread's first message from a user, or until :meth:`persist`; then
the ``session_meta`` comes first and after it what had waited. What cannot be
written is kept and tried again with the next items and at each flush.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rollout.errors import RolloutError
from rollout.files.writer_lock import WriterLock
from rollout.jsonl.parse import Item
from rollout.jsonl.sources import FileSource, MemorySource, RolloutSource
from rollout.writing.amend import amended_meta
from rollout.writing.appender import RolloutAppender, encoded
from rollout.writing.retention import begins_history, persisted
from state.errors import RecorderClosed, RecorderFailed
from state.workers import Workers

MOST_WAITING: Final = 20_000
"""Items that may wait for the disk before :meth:`RolloutRecorder.append` waits too."""


class RolloutRecorder:
    """Writes one thread. Made by :class:`state.thread_store.ThreadStore`, in a running event
    loop."""

    def __init__(
        self,
        thread_id: str,
        mode: str,
        lock: WriterLock,
        appender: RolloutAppender,
        source: MemorySource | FileSource,
        workers: Workers,
        *,
        began_at: int = 0,
        late: "asyncio.Task[dict[str, Any]] | None" = None,
        extended: bool = False,
        history: RolloutSource | None = None,
        written: Callable[[], None] | None = None,
    ) -> None:
        """A thread that has its file comes with a :class:`FileSource`, a new one with its
        ``session_meta`` in memory, and ``late``, which gives what that lacks until it is written,
        such as ``git``. ``began_at`` is how many bytes its file had. ``history`` is what the
        thread holds if that is more than ``source``: it begins in other files. ``written`` is
        called after each burst that reached the file."""
        self.thread_id = thread_id
        self.mode = mode
        self.began_at = began_at
        """How many bytes the file had when this began: what comes later was recorded here."""
        self._source = source
        self._workers = workers
        self._history = history
        self._lock: WriterLock | None = lock
        self._appender = appender
        self._late = late
        self._extended = extended
        self._written = written
        self._lines: list[bytes] = []
        """What waits for the writer."""
        self._barriers: list[tuple[asyncio.Future[None], bool]] = []
        self._amending = asyncio.Lock()
        self._work = asyncio.Event()
        self._drained = asyncio.Event()
        self._begun = self._wanted = isinstance(source, FileSource)
        """Whether lines are made of items, and whether the thread is to have a file."""
        self._writer = asyncio.create_task(self._write_for_ever(), name=f"writer of {thread_id}")
        self._writer.add_done_callback(self._ended)

    @property
    def path(self) -> Path:
        """Where the rollout is, or will be."""
        return self._appender.path

    @property
    def source(self) -> RolloutSource:
        """What the thread holds: what is in its files, or what waits while it has none."""
        return self._history or self._source

    @property
    def closed(self) -> bool:
        """Whether it takes no more items."""
        return self._writer.done()

    async def append(self, items: Sequence[Item]) -> None:
        """Take items, in order; returns before they are written. Those that a thread of this mode
        does not keep are passed over.

        Waits for the disk only when very many items wait for it.

        Raises:
            NotAppendable: an item is no JSON; none is taken.
            RecorderClosed: it is closed.
        """
        self._check_open()
        kept = [
            kept
            for item in items
            if (kept := persisted(item, self.mode, extended=self._extended)) is not None
        ]
        if not kept:
            return
        if not self._begun:
            for item in kept:
                encoded(item, "", None)  # raises now, not when the file is made
            self._remember(kept)
            if any(map(begins_history, kept)):
                self._wanted = True
                self._work.set()
            return
        self._lines += self._appender.encode(kept)
        self._remember(kept)
        self._work.set()
        if len(self._lines) > MOST_WAITING:
            self._drained.clear()
            await self._drained.wait()

    async def persist(self) -> None:
        """Have the thread's file on disk, with all items so far.

        Raises:
            RecorderClosed: it is closed.
            RecorderFailed: it cannot be written now; everything waits.
        """
        self._wanted = True
        await self.flush()

    async def flush(self, *, durable: bool = False) -> None:
        """Return when all items so far are with the operating system, or on the disk. The items
        of a thread that is to have no file yet go on waiting.

        Raises:
            RecorderClosed: it is closed.
            RecorderFailed: they cannot be written now; they wait, in order.
        """
        self._check_open()
        if not self._wanted:
            return
        barrier: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._barriers.append((barrier, durable))
        self._work.set()
        await barrier

    async def amend(self, changes: Mapping[str, object]) -> None:
        """Say something new about a legacy thread, in one more ``session_meta``; on the disk
        when this returns.

        Raises:
            DamagedCompression, OSError: the file cannot be read; nothing was said.
            NotAppendable: it has no ``session_meta`` of this thread.
            RecorderClosed: it is closed.
            RecorderFailed: it cannot be written now; it waits.
        """
        async with self._amending:  # each goes on from the one before
            await self.persist()
            line = await self._workers.finish(
                partial(amended_meta, self.path, self.thread_id, changes)
            )
            await self.append([line])
            await self.flush(durable=True)

    async def hand_over(self) -> WriterLock:
        """Flush and end, as :meth:`close` does, but keep the lock, for the caller to release.

        Raises:
            RecorderClosed: it is closed.
            RecorderFailed: items cannot be written. The recorder is still open, and has the lock.
        """
        await self.flush()
        while self._lines:
            await self.flush()
        lock, self._lock = self._lock, None
        if lock is None:
            raise RecorderClosed(self.thread_id)
        await self.discard()
        return lock

    async def close(self) -> None:
        """Flush, and let others write the thread. Again: does nothing.

        Raises:
            RecorderFailed: items cannot be written. The recorder is still open: close it again, or
                discard it.
        """
        while not self.closed:
            await self.flush()
            if not self._lines:
                await self.discard()
        if not self._writer.cancelled():
            self._writer.result()

    async def discard(self) -> None:
        """Let others write the thread; what was not written is given up."""
        self._writer.cancel()
        await asyncio.wait({self._writer, self._late} if self._late else {self._writer})

    def _check_open(self) -> None:
        if self.closed:
            raise RecorderClosed(self.thread_id)

    def _remember(self, items: Sequence[Item]) -> None:
        if isinstance(self._source, MemorySource):
            self._source.append(items)

    async def _write_for_ever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            barriers = list(self._barriers)
            failure: RecorderFailed | None = None
            try:
                if self._wanted and not self._begun:
                    await self._begin()
                await self._write(durable=any(durable for _, durable in barriers))
            except (OSError, RolloutError) as error:
                failure = RecorderFailed(self.path, error)
            del self._barriers[: len(barriers)]
            for barrier, _ in barriers:
                _settle(barrier, failure)
            self._drained.set()

    async def _begin(self) -> None:
        """Have the first line made, and those of what waits behind it."""
        if self._late:
            self._source.enrich(**await self._late)
        self._lines = self._appender.encode([item for _, item in self._source.items()])
        self._begun = True

    async def _write(self, *, durable: bool) -> None:
        lines, self._lines = self._lines, []
        try:
            await self._workers.finish(partial(self._appender.write, lines, durable=durable))
        finally:
            wrote = self._follow()
            if wrote and self._written is not None:
                self._written()

    def _follow(self) -> bool:
        """Keep the source in step with the file; whether there is more in that now."""
        taken = self._appender.taken()
        if taken.ends and isinstance(self._source, MemorySource):
            self._source = FileSource(self.path, new=True)  # so that items take no memory
        if isinstance(self._source, FileSource):
            self._source.append(*taken)
        return bool(taken.ends)

    def _ended(self, writer: "asyncio.Task[None]") -> None:
        """Whatever ends the writer, nobody waits for it and no lock stays behind."""
        if self._lock:
            self._lock.release()
        if self._late:
            self._late.cancel()
        error = None if writer.cancelled() else writer.exception()
        for barrier, _ in self._barriers:
            _settle(barrier, error or RecorderClosed(self.thread_id))
        self._barriers.clear()
        self._drained.set()


LiveRecorders = Mapping[str, RolloutRecorder]
"""The recorders of this process, by their threads."""
NO_RECORDERS: Final[LiveRecorders] = {}


def _settle(barrier: "asyncio.Future[None]", error: BaseException | None) -> None:
    if barrier.done():  # whoever waited has been cancelled
        return
    if error is None:
        barrier.set_result(None)
    else:
        barrier.set_exception(error)
