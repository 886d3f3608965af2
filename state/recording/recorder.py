"""The one live writer of a thread: takes items at once, and writes them in order in the
background.

A new thread gets its file with its first message from a user, or by
:meth:`RolloutRecorder.persist`: the ``session_meta`` first, then the items so far. Items that
cannot be written are kept, and tried again with the next ones and at each flush.
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
from state.recording.resume import OpenedThread
from state.workers import Workers

MOST_WAITING: Final = 20_000
"""Lines that may be unwritten before :meth:`RolloutRecorder.append` waits for the disk."""


class RolloutRecorder:
    """Writes one thread. Make it in a running event loop. All methods but :meth:`close` and
    :meth:`discard` raise RecorderClosed once it is closed. RecorderFailed says that items cannot be
    written now: they are kept, in order, and it stays open and keeps the lock."""

    def __init__(
        self,
        thread: OpenedThread,
        path: Path,
        lock: WriterLock,
        workers: Workers,
        written: Callable[[], None],
        late: "asyncio.Task[dict[str, Any]] | None" = None,
    ) -> None:
        """``written`` is called after each write that reached the file at ``path``. ``late`` gives
        fields for the ``session_meta`` of a new thread, such as ``git``; they are awaited when the
        file is made."""
        self.thread_id = thread.thread_id
        self.mode = thread.mode
        self.began_at = thread.size
        self._source = thread.source
        self._workers = workers
        self._history = thread.history
        self._lock: WriterLock | None = lock
        self._late = late
        self._extended = thread.extended
        self._written = written
        self._lines: list[bytes] = []
        """Lines that the writer has not taken yet."""
        self._barriers: list[tuple[asyncio.Future[None], bool]] = []
        self._amending = asyncio.Lock()
        self._work = asyncio.Event()
        self._drained = asyncio.Event()
        self._begun = self._wanted = isinstance(thread.source, FileSource)
        """Whether items become lines, and whether the thread is to have a file."""
        self._appender = RolloutAppender(
            path, new=not self._begun, next_ordinal=thread.next_ordinal
        )
        self._writer = asyncio.create_task(self._keep_writing(), name=f"writer of {path.name}")
        self._writer.add_done_callback(self._ended)

    @property
    def path(self) -> Path:
        """The path of the file, which may not exist yet."""
        return self._appender.path

    @property
    def source(self) -> RolloutSource:
        """All that the thread holds: in its files, or in memory while it has none."""
        return self._history or self._source

    @property
    def closed(self) -> bool:
        """Whether it takes no more items."""
        return self._writer.done()

    async def append(self, items: Sequence[Item]) -> None:
        """Take items, in order, and return before they are written. Items that a thread of this
        mode does not keep are skipped. Waits only when very many items are not written yet.
        Raises NotAppendable, and takes none, if an item is no JSON."""
        self._check_open()
        kept = kept_items(items, self.mode, extended=self._extended)
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
        """Make the thread's file, with all items so far. Raises RecorderFailed."""
        self._wanted = True
        await self.flush()

    async def flush(self, *, durable: bool = False) -> None:
        """Return when all items so far are with the operating system, or on the disk. A thread
        without a file does not get one. Raises RecorderFailed."""
        self._check_open()
        if not self._wanted:
            return
        barrier: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._barriers.append((barrier, durable))
        self._work.set()
        await barrier

    async def amend(self, changes: Mapping[str, object]) -> None:
        """Append one more ``session_meta`` with ``changes`` to a legacy thread
        (docs/rollout-format.md#lines-outside-turns); it is on the disk when this returns.

        Raises:
            DamagedCompression, OSError: the file cannot be read; nothing was appended.
            NotAppendable: it has no ``session_meta`` of this thread.
            RecorderFailed: the line cannot be written now.
        """
        async with self._amending:  # each change builds on the one before
            await self.persist()
            line = await self._workers.finish(
                partial(amended_meta, self.path, self.thread_id, changes)
            )
            await self.append([line])
            await self.flush(durable=True)

    async def hand_over(self) -> WriterLock:
        """Flush and end, as :meth:`close` does, but leave the lock to the caller. Raises
        RecorderFailed."""
        await self.flush()
        while self._lines:
            await self.flush()
        lock, self._lock = self._lock, None
        if lock is None:
            raise RecorderClosed(self.thread_id)
        await self.discard()
        return lock

    async def close(self) -> None:
        """Flush, and let others write the thread. A second call does nothing. Raises
        RecorderFailed: close it again then, or discard it."""
        while not self.closed:
            await self.flush()
            if not self._lines:
                await self.discard()
        if not self._writer.cancelled():
            self._writer.result()

    async def discard(self) -> None:
        """Let others write the thread; items that are not written yet are dropped."""
        self._writer.cancel()
        await asyncio.wait({self._writer, self._late} if self._late else {self._writer})

    def _check_open(self) -> None:
        if self.closed:
            raise RecorderClosed(self.thread_id)

    def _remember(self, items: Sequence[Item]) -> None:
        if isinstance(self._source, MemorySource):
            self._source.append(items)

    async def _keep_writing(self) -> None:
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
                _release(barrier, failure)
            self._drained.set()

    async def _begin(self) -> None:
        """Make lines of the ``session_meta`` and of the items that follow it."""
        if self._late:
            self._source.enrich(**await self._late)
        self._lines = self._appender.encode([item for _, item in self._source.items()])
        self._begun = True

    async def _write(self, *, durable: bool) -> None:
        lines, self._lines = self._lines, []
        try:
            await self._workers.finish(partial(self._appender.write, lines, durable=durable))
        finally:
            if self._follow():
                self._written()

    def _follow(self) -> bool:
        """Update the source from the file. Gives whether the file has grown."""
        taken = self._appender.take_written()
        if taken.ends and isinstance(self._source, MemorySource):
            self._source = FileSource(self.path, new=True)  # so that items take no memory
        if isinstance(self._source, FileSource):
            self._source.append(*taken)
        return bool(taken.ends)

    def _ended(self, writer: "asyncio.Task[None]") -> None:
        """However the writer ends: release the lock, and wake everybody who waits."""
        if self._lock:
            self._lock.release()
        if self._late:
            self._late.cancel()
        error = None if writer.cancelled() else writer.exception()
        for barrier, _ in self._barriers:
            _release(barrier, error or RecorderClosed(self.thread_id))
        self._barriers.clear()
        self._drained.set()


def kept_items(items: Sequence[Item], mode: str, *, extended: bool) -> list[Item]:
    """The items that a thread of this mode keeps, in the form that it keeps."""
    found = (persisted(item, mode, extended=extended) for item in items)
    return [item for item in found if item is not None]


LiveRecorders = Mapping[str, RolloutRecorder]
"""The recorders of this process, by thread id."""
NO_RECORDERS: Final[LiveRecorders] = {}


def _release(barrier: "asyncio.Future[None]", error: BaseException | None) -> None:
    if barrier.done():  # its caller was cancelled
        return
    if error is None:
        barrier.set_result(None)
    else:
        barrier.set_exception(error)
