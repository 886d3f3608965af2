"""What the clients of an app-server share: the store, the live threads and the notifications."""

import asyncio
import importlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from cli.arguments.locations import Locations
from cli.server.core.client import Client
from rollout.errors import RolloutError
from state.errors import RecorderClosed, StateError
from state.workers import Workers

if TYPE_CHECKING:
    from cli.runtime.serving.supervisor import Supervisor
    from state.thread_store import ThreadStore

_UNUSED_S: Final = 60.0
"""How long a thread stays live that no client uses, in seconds."""
_MAX_COMMANDS: Final = 4
_log = logging.getLogger("threadkeep.server")

Program = Callable[[list[str]], int]
"""Runs a command line and returns its exit status."""


class Service:
    """Create it in a running event loop; it works inside :meth:`running`."""

    def __init__(self, locations: Locations, program: Program) -> None:
        self.locations = locations
        self.program = program
        self._store: asyncio.Future[ThreadStore] = asyncio.get_running_loop().create_future()
        self._supervisor: asyncio.Future[Supervisor] = asyncio.get_running_loop().create_future()
        self.commands = Workers(_MAX_COMMANDS)
        """For ``threadkeep/command``."""
        self.connections = 0
        self.drafts: dict[str, dict[str, Any]] = {}
        """Threads that are started and have no file yet, as clients see them."""
        self._clients: set[Client] = set()
        self._users: dict[str, set[Client]] = {}
        """The clients that use each live thread."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def store(self) -> "ThreadStore":
        """The store, once it is open. Raises StateError if it cannot be opened, or not now."""
        lost = (await self.supervisor()).lost
        if lost is not None and not self._store.done():
            raise lost.with_traceback(None)
        return await asyncio.shield(self._store)

    async def supervisor(self) -> "Supervisor":
        """The supervisor, once its module is loaded."""
        return await asyncio.shield(self._supervisor)

    def lock_for(self, thread_id: str) -> asyncio.Lock:
        """The lock to hold while a thread is changed; it lives as long as somebody holds it or
        waits for it."""
        lock = self._locks.get(thread_id)
        if lock is None:
            lock = self._locks[thread_id] = asyncio.Lock()
        return lock

    def add_client(self, client: Client) -> None:
        """Notify this client from now on."""
        self._clients.add(client)

    async def remove_client(self, client: Client) -> None:
        """Notify this client no more, and shut down the threads that nobody else uses."""
        self._clients.discard(client)
        for thread_id, users in [*self._users.items()]:
            if client in users:
                users.discard(client)
                await self._shut_down_if_unused(thread_id)

    def mark_in_use(self, thread_id: str, client: Client) -> None:
        """Note that a client uses a live thread."""
        self._users.setdefault(thread_id, set()).add(client)

    def release(self, thread_id: str, client: Client) -> bool:
        """Note that a client no longer uses a live thread, and return whether it did. As in Codex,
        the thread is shut down a minute later, if nobody uses it then."""
        users = self._users.get(thread_id, set())
        if client not in users:
            return False
        users.discard(client)
        if not users:
            loop = asyncio.get_running_loop()
            loop.call_later(_UNUSED_S, lambda: self._spawn(self._shut_down_if_unused(thread_id)))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def notify_all(self, method: str, **params: Any) -> None:
        """Send a notification to every client."""
        for client in list(self._clients):
            client.notify(method, params)

    def thread_unloaded(self, thread_id: str) -> None:
        """Note that a thread is not live any more, and notify every client if it was."""
        self.drafts.pop(thread_id, None)
        if self._users.pop(thread_id, None) is not None:
            status = {"type": "notLoaded"}
            self.notify_all("thread/status/changed", threadId=thread_id, status=status)

    async def _shut_down_if_unused(self, thread_id: str) -> None:
        async with self.lock_for(thread_id):
            if self._users.get(thread_id):
                return
            store = await self.store()
            if thread_id in store.live:
                try:
                    await store.shutdown_thread(thread_id)
                except StateError as error:
                    _log.error("%s", error)
                    with suppress(RecorderClosed):
                        await store.discard_thread(thread_id)
            self.thread_unloaded(thread_id)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Service"]:
        """Open the store in the background, keep its index fresh, and close it at the end."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            if self.locations.fleet is None:
                await asyncio.wait({self._store})  # opening is not interrupted
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _run(self) -> None:
        try:
            # Imported here, in a thread: ``initialize`` is answered before all of it is loaded.
            await asyncio.to_thread(importlib.import_module, "cli.runtime.serving.supervisor")
            from cli.runtime.serving.supervisor import supervisor_of

            supervisor = supervisor_of(self.locations, self._opened)
            self._supervisor.set_result(supervisor)
            await supervisor.run()
        except Exception as error:
            if self._store.done():
                raise
            for awaited in (self._supervisor, self._store):
                if not awaited.done():
                    awaited.set_exception(error)
                    awaited.exception()  # nobody may ever ask for it
            if not isinstance(error, StateError | RolloutError):
                raise
            _log.error("%s", error)

    def _opened(self, store: "ThreadStore") -> None:
        if not self._store.done():
            self._store.set_result(store)
