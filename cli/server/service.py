"""What all clients of one app-server share: the store, who has which thread, who is told what."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from cli.options import Places
from cli.server.messages import Fault
from rollout.scan import scan_home
from state.errors import IndexDamaged, RecorderClosed, StateError
from state.ledger import newest_first
from state.recovery import recover
from state.threads import ThreadStore, open_store
from state.watch import Watcher

_FIRST_FILES: Final = 50
_UNHELD_S: Final = 60.0
"""How long a thread stays live that no client has, in seconds."""
_log = logging.getLogger("threadkeep.server")

Tell = Callable[[str, dict[str, Any]], None]
"""Tells one client of something; never waits."""


class Service:
    """Made in a running event loop; :meth:`opened` has it work."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._store: asyncio.Future[ThreadStore] = asyncio.get_running_loop().create_future()
        self._clients: set[Tell] = set()
        self._holders: defaultdict[str, set[Tell]] = defaultdict(set)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self.complete = False
        """Whether the index has been filled; from then on it only catches up."""
        self._newest = asyncio.Event()
        self.drafts: dict[str, dict[str, Any]] = {}
        """Threads that have been started and have no file yet, as clients see them."""

    async def store(self) -> ThreadStore:
        """The store, once it is open.

        Raises:
            StateError: it cannot be opened.
        """
        return await asyncio.shield(self._store)

    def turn_of(self, thread_id: str) -> asyncio.Lock:
        """Held by whoever changes a thread, one after the other in the order of their asking."""
        return self._turns[thread_id]

    def joined(self, client: Tell) -> None:
        """Tell this client, too, from now on."""
        self._clients.add(client)

    async def left(self, client: Tell) -> None:
        """Tell this client no more, and shut down the threads that only it had."""
        self._clients.discard(client)
        for thread_id in [id_ for id_, held in self._holders.items() if client in held]:
            self._holders[thread_id].discard(client)
            if not self._holders[thread_id]:
                await self._shut_down(thread_id)

    def held(self, thread_id: str, client: Tell) -> None:
        """This client has a live thread."""
        self._holders[thread_id].add(client)

    def let_go(self, thread_id: str, client: Tell) -> bool:
        """This client wants to hear no more of a live thread: whether it had it. The thread is
        shut down a minute later if nobody has it then, as in Codex."""
        held = self._holders[thread_id]
        if client not in held:
            return False
        held.discard(client)
        if not held:
            loop = asyncio.get_running_loop()
            loop.call_later(_UNHELD_S, lambda: self._later(self._shut_down_unheld(thread_id)))
        return True

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shut_down_unheld(self, thread_id: str) -> None:
        if not self._holders.get(thread_id):
            await self._shut_down(thread_id)

    def tell_all(self, method: str, **params: Any) -> None:
        """Tell every client."""
        for client in list(self._clients):
            client(method, params)

    def unloaded(self, thread_id: str) -> None:
        """A thread is live no more; tell every client, if it was."""
        self.drafts.pop(thread_id, None)
        if self._holders.pop(thread_id, None) is not None:
            status = {"type": "notLoaded"}
            self.tell_all("thread/status/changed", threadId=thread_id, status=status)

    async def _shut_down(self, thread_id: str) -> None:
        async with self.turn_of(thread_id):
            store = await self.store()
            if thread_id in store.live:
                try:
                    await store.shutdown_thread(thread_id)
                except StateError as error:
                    _log.error("%s", error)
                    with suppress(RecorderClosed):
                        await store.discard_thread(thread_id)
            self.unloaded(thread_id)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator["Service"]:
        """Open the store behind the caller, keep its index fresh, and close it on the way out."""
        task = asyncio.create_task(self._work())
        try:
            yield self
        finally:
            await asyncio.wait({self._store})  # opening is not broken off in its middle
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                store = await stack.enter_async_context(self._open())
            except Exception as error:
                # Whoever asks is told; nobody may ever do so.
                self._store.set_exception(error)
                self._store.exception()
                if not isinstance(error, StateError | Fault):
                    raise
                _log.error("%s", error)
                return
            self._store.set_result(store)
            await self._keep_fresh(store)

    async def _keep_fresh(self, store: ThreadStore) -> None:
        try:
            if (await store.index.backfill_status()).status != "complete":
                await _take_newest(store)
        except StateError as error:
            _log.warning("%s", error)
        self._newest.set()
        watcher = Watcher(store.index, trouble=_tell_trouble)
        running = asyncio.create_task(watcher.run())
        ready = asyncio.create_task(watcher.ready.wait())
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            self.complete = watcher.ready.is_set()
            await running
        except StateError as error:
            # Rows are still checked when they are read; what is new is not found any more.
            _log.error("%s", error)
        finally:
            for task in (running, ready):
                task.cancel()
            await asyncio.gather(running, ready, return_exceptions=True)

    async def newest_known(self, patience_s: float) -> None:
        """Return when the index has the newest threads, or after ``patience_s`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._newest.wait()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[ThreadStore]:
        places = self.places
        async with AsyncExitStack() as stack:
            opened = open_store(places.home, places.index, places.sqlite_home)
            try:
                store = await stack.enter_async_context(opened)
            except IndexDamaged as damage:
                aside = await recover(places.index, damage)
                _log.warning("%s; it was put aside as %s", damage, aside)
                opened = open_store(places.home, places.index, places.sqlite_home)
                store = await stack.enter_async_context(opened)
            yield store


def _tell_trouble(error: Exception | None) -> None:
    if error is None:
        _log.info("the index is in step")
    else:
        _log.warning("the index is behind: %s", error)


async def _take_newest(store: ThreadStore) -> None:
    """Have the newest threads in an index that is being made, before the backfill begins with
    its first hundreds of files."""
    found = await asyncio.to_thread(lambda: [*scan_home(store.home)])
    files = sorted((file for file in found if file.ignored is None), key=newest_first)
    await store.index.refresh([file.path for file in files[-_FIRST_FILES:]])
