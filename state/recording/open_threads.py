"""The threads that a store is recording, and what a caller does with them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from rollout.errors import NotAppendable
from rollout.files.layout import parse_uuid
from rollout.jsonl.parse import Item
from rollout.writing.retention import fault_of
from state.errors import RecorderClosed, ThreadNotFound


class Recorder(Protocol):
    """Records one thread, in a file or in memory."""

    thread_id: str
    began_at: int
    """The size of the thread in bytes when this began: what comes later was recorded here."""

    @property
    def path(self) -> Path: ...

    @property
    def closed(self) -> bool: ...

    async def append(self, items: Sequence[Item]) -> None: ...

    async def persist(self) -> None: ...

    async def flush(self, *, durable: bool = False) -> None: ...

    async def close(self) -> None: ...

    async def discard(self) -> None: ...


R = TypeVar("R", bound=Recorder)


class OpenThreads(Generic[R]):
    """What every store does with the threads that it is recording: its *live* threads. What needs
    such a thread raises RecorderClosed for another one. RecorderFailed says that items cannot be
    written now: they are kept, in order, and the thread is still live."""

    def __init__(self) -> None:
        self._recorders: dict[str, R] = {}
        self._closed = False

    @property
    def live(self) -> list[str]:
        """The ids of the live threads, the oldest first."""
        return [*self._open_recorders()]

    def is_live(self, thread_id: str) -> bool:
        """Whether a thread is being recorded here."""
        return self._open_recorder(thread_id) is not None

    def path_of(self, thread_id: str) -> Path:
        """The path of a live thread's file, which may not exist yet; of a store in memory, relative
        to a home."""
        return self._recorder(thread_id).path

    async def append_items(self, thread_id: str, items: Sequence[Item]) -> None:
        """Record items of a live thread: ``{"type": …, "payload": …}``, as in rollouts. They are
        written in the background; :meth:`flush_thread` waits for that. Raises
        NotAppendable, and records none, if one of them is no item, or no JSON, or a
        ``session_meta``, of which a thread has its own."""
        recorder = self._recorder(thread_id)
        for item in items:
            if fault := fault_of(item):
                raise NotAppendable(recorder.path, fault)
        await recorder.append(items)

    async def persist_thread(self, thread_id: str) -> None:
        """Make the thread's file now, with all items so far. Raises RecorderFailed."""
        await self._recorder(thread_id).persist()

    async def flush_thread(self, thread_id: str, *, durable: bool = False) -> None:
        """Return when all items so far are with the operating system, so that they outlive this
        process, or with ``durable`` on the disk. A thread without a file does not get one. Raises
        RecorderFailed."""
        await self._recorder(thread_id).flush(durable=durable)

    async def shutdown_thread(self, thread_id: str) -> None:
        """Write what is left, and let others write the thread. One without a file leaves no trace.
        Raises RecorderFailed."""
        recorder = self._recorder(thread_id)
        await recorder.close()
        self._forget(recorder)

    async def discard_thread(self, thread_id: str) -> None:
        """Let others write the thread; items that are not written yet are dropped."""
        recorder = self._recorder(thread_id)
        await recorder.discard()
        self._forget(recorder)

    def _open_recorders(self) -> dict[str, R]:
        return {id_: recorder for id_, recorder in self._recorders.items() if not recorder.closed}

    def _open_recorder(self, thread_id: str) -> R | None:
        recorder = self._recorders.get(thread_id)
        return None if recorder is None or recorder.closed else recorder

    def _recorder(self, thread_id: str) -> R:
        try:
            return self._recorders[self._id(thread_id)]
        except (KeyError, ThreadNotFound):
            raise RecorderClosed(str(thread_id)) from None

    @contextmanager
    def _lent_recorders(self) -> Iterator[dict[str, R]]:
        """The open recorders for a move, which may shut some of them down."""
        lent = self._open_recorders()
        recorders = [*lent.values()]
        try:
            yield lent
        finally:
            for recorder in recorders:
                if recorder.closed:
                    self._forget(recorder)

    def _forget(self, recorder: R) -> None:
        if self._recorders.get(recorder.thread_id) is recorder:  # it may be live again by now
            del self._recorders[recorder.thread_id]

    def _id(self, thread_id: str) -> str:
        """A thread's id in its usual spelling. Raises RuntimeError if this store is closed, and
        ThreadNotFound if it is not an id."""
        if self._closed:
            raise RuntimeError("this store is closed")
        known = parse_uuid(thread_id)
        if known is None:
            raise ThreadNotFound(str(thread_id))
        return known
