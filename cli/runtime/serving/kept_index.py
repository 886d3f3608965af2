"""The index that a server answers from: opened in the background, kept in step, opened again."""

import asyncio
import importlib
import logging
import resource
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cli.arguments.locations import Locations
from rollout.errors import RolloutError
from rollout.files.scan import check_home
from state.errors import FleetBusy, IndexBusy, IndexNotWritable, StateError

if TYPE_CHECKING:
    from cli.runtime.serving.supervisor import Supervisor
    from state.thread_store import ThreadStore

_PATIENCE_S: Final = 5.0
"""How long an answer waits for an index that is being opened, in seconds."""
_AGAIN_S: Final = 1.0
"""Between a failure to open the index and the next try, in seconds."""
_DESCRIPTORS: Final = 8192
_ARENAS: Final = -8  # M_ARENA_MAX
_log = logging.getLogger("threadkeep.server")


def have_descriptors() -> None:
    """Raise the limit of open files as far as the system allows: each client needs one."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else min(_DESCRIPTORS, most)
    if usual != resource.RLIM_INFINITY and usual < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def use_one_arena() -> None:
    """Have all threads allocate from one arena, where the system lets us say so: what the C library
    keeps for each of them is never given back, and few of them allocate at the same time."""
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENAS, 1)


class KeptIndex:
    """Answers come from what there is: nobody waits until the index is in step. Use it as an
    asynchronous context manager.

    With ``sync=False`` nothing is kept in step: the index is only read, as it is, and not a byte is
    written. Where a fleet is read, that is in place of the index.
    """

    def __init__(self, here: Locations, *, sync: bool = True) -> None:
        self.here, self._sync = here, sync
        self._supervisor: Supervisor | None = None
        self._store: ThreadStore | None = None
        self._error: RolloutError | StateError | OSError | None = None
        self._only_read: IndexNotWritable | None = None
        """Why the index is only read, though it should be kept in step."""
        self._turn = asyncio.Event()
        """Set, and made anew, whenever there is a store or an error."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "KeptIndex":
        self._task = asyncio.create_task(self._run(), name="index")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    async def store(self) -> "ThreadStore":
        """The store, for which an answer waits a few seconds at most.

        Raises:
            FleetBusy, IndexBusy: it takes longer to reach the fleet, or to open the index.
            RolloutError, StateError: the reason why there is none now; it is tried again and again.
            OSError: it cannot be seen whether there is a home.
        """
        if self.here.fleet is None:
            check_home(self.here.home)
        until = time.monotonic() + _PATIENCE_S
        while (store := self._usable()) is None:
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self.here.fleet is not None and self._supervisor and self._supervisor.lost:
                raise self._supervisor.lost.with_traceback(None)
            if self._task is None or self._task.done():
                raise RuntimeError("the index is not kept any more")
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._turn.wait()
            except TimeoutError:
                lost = self._supervisor.lost if self._supervisor else None
                raise lost or self._not_yet() from None
        return store

    def _not_yet(self) -> StateError:
        if self.here.fleet is not None:
            return FleetBusy(f"it has not answered for {_PATIENCE_S:g} s")
        return IndexBusy(self.here.index, _PATIENCE_S)

    def note_lost(self, error: BaseException) -> None:
        """Open the index again if this error, which an answer met, says that it is gone."""
        if self._supervisor is not None and isinstance(error, StateError):
            self._supervisor.note_lost(error)

    @property
    def is_in_step(self) -> bool:
        """Whether the index has caught up with the files since it was opened."""
        return self._supervisor is not None and self._supervisor.complete

    async def incomplete(self) -> str:
        """Why answers may be incomplete, as a sentence; empty if they are not."""
        store, supervisor = self._usable(), self._supervisor
        if store is None or self.here.fleet is not None:
            return ""  # a page that cannot be answered says so itself
        try:
            job = await store.index.backfill_status()
        except StateError as error:
            return f"Answers may be incomplete: {error}."
        if job.status != "complete":
            return f"Indexing: {job.progress} so far."
        if self._only_read is not None:
            return f"What is shown may be out of date: {self._only_read}."
        if supervisor is not None and supervisor.behind is not None:
            return f"Not caught up with the files: {supervisor.behind}."
        return ""

    async def changes(self, thread_id: str | None = None) -> AsyncIterator[None]:
        """Yields whenever a thread, or any thread, may have changed."""
        while self._supervisor is None or self._store is None:
            await self._turn.wait()
        async for _ in self._supervisor.changes(thread_id):
            yield None

    def _usable(self) -> "ThreadStore | None":
        lost = self._supervisor is not None and self._supervisor.lost is not None
        return None if lost else self._store

    def _notify(self) -> None:
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _run(self) -> None:
        while True:
            try:
                reads = not self._sync and self.here.fleet is None
                await (self._read() if reads else self._keep_or_read())
            except (RolloutError, StateError, OSError) as error:
                if str(error) != str(self._error):
                    _log.error("%s", error)
                self._error = error
            except Exception:
                _log.exception("the index is not kept any more")
                raise
            finally:
                self._store = None
            self._notify()
            await asyncio.sleep(_AGAIN_S)

    async def _keep_or_read(self) -> None:
        try:
            await self._keep()
        except IndexNotWritable as problem:
            if not self.here.index.exists():
                raise
            _log.warning("%s; it is only read", problem)
            self._supervisor, self._only_read = None, problem
            await self._read()

    async def _keep(self) -> None:
        # Loaded in a thread: a server listens before all of it is there.
        await asyncio.to_thread(importlib.import_module, "cli.runtime.serving.supervisor")
        from cli.runtime.serving.supervisor import supervisor_of

        self._supervisor = supervisor_of(self.here, self._opened)
        await self._supervisor.run()

    async def _read(self) -> None:
        from state.thread_index import read_index
        from state.thread_store import ThreadStore

        check_home(self.here.home)
        async with read_index(self.here.home, self.here.index) as index:
            store = ThreadStore(index, self.here.sqlite_home)
            try:
                self._opened(store)
                await asyncio.Event().wait()
            finally:
                self._store = None
                await store.close()

    def _opened(self, store: "ThreadStore") -> None:
        self._store, self._error = store, None
        self._notify()
