"""What all clients of one app-server share: the store, who has which thread, who is told what."""

import asyncio
import importlib
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from cli.arguments.locations import Locations
from rollout.errors import RolloutError
from state.errors import RecorderClosed, StateError
from state.workers import Workers

if TYPE_CHECKING:
    from cli.server.core.supervisor import Supervisor
    from state.thread_store import ThreadStore

_UNUSED_S: Final = 60.0
"""How long a thread stays live that no client has, in seconds."""
_MOST_COMMANDS: Final = 4
_log = logging.getLogger("threadkeep.server")

Program = Callable[[list[str]], int]
"""Runs a command for somebody else: gives its exit status."""
Notify = Callable[[str, dict[str, Any]], None]
"""Tells one client of something; never waits."""


class Service:
    """Made in a running event loop; :meth:`running` has it work."""

    def __init__(self, locations: Locations, program: Program) -> None:
        self.locations = locations
        self.program = program
        self._store: asyncio.Future[ThreadStore] = asyncio.get_running_loop().create_future()
        self._supervisor: asyncio.Future[Supervisor] = asyncio.get_running_loop().create_future()
        self.commands = Workers(_MOST_COMMANDS)
        """For commands that are run for others."""
        self.sessions = 0
        """How many clients there are."""
        self._clients: set[Notify] = set()
        self._users: defaultdict[str, set[Notify]] = defaultdict(set)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self.drafts: dict[str, dict[str, Any]] = {}
        """Threads that have been started and have no file yet, as clients see them."""

    async def store(self) -> "ThreadStore":
        """The store, once it is open.

        Raises:
            StateError: it cannot be opened.
        """
        return await asyncio.shield(self._store)

    def lock_for(self, thread_id: str) -> asyncio.Lock:
        """Held by whoever changes a thread, one after the other in the order of their asking."""
        return self._locks[thread_id]

    def add_client(self, client: Notify) -> None:
        """Tell this client, too, from now on."""
        self._clients.add(client)

    async def remove_client(self, client: Notify) -> None:
        """Tell this client no more, and shut down the threads that only it had."""
        self._clients.discard(client)
        for thread_id in [id_ for id_, held in self._users.items() if client in held]:
            self._users[thread_id].discard(client)
            if not self._users[thread_id]:
                await self._shut_down(thread_id)

    def mark_in_use(self, thread_id: str, client: Notify) -> None:
        """This client has a live thread."""
        self._users[thread_id].add(client)

    def release(self, thread_id: str, client: Notify) -> bool:
        """This client wants to hear no more of a live thread: whether it had it. The thread is
        shut down a minute later if nobody has it then, as in Codex."""
        held = self._users[thread_id]
        if client not in held:
            return False
        held.discard(client)
        if not held:
            loop = asyncio.get_running_loop()
            loop.call_later(_UNUSED_S, lambda: self._spawn(self._shut_down_if_unused(thread_id)))
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shut_down_if_unused(self, thread_id: str) -> None:
        if not self._users.get(thread_id):
            await self._shut_down(thread_id)

    def notify_all(self, method: str, **params: Any) -> None:
        """Tell every client."""
        for client in list(self._clients):
            client(method, params)

    def thread_unloaded(self, thread_id: str) -> None:
        """A thread is live no more; tell every client, if it was."""
        self.drafts.pop(thread_id, None)
        if self._users.pop(thread_id, None) is not None:
            status = {"type": "notLoaded"}
            self.notify_all("thread/status/changed", threadId=thread_id, status=status)

    async def _shut_down(self, thread_id: str) -> None:
        async with self.lock_for(thread_id):
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
        try:
            # Here and not above, in a thread: whoever says hello need not wait for all of that.
            await asyncio.to_thread(importlib.import_module, "cli.server.core.supervisor")
            from cli.server.core.supervisor import Supervisor

            supervisor = Supervisor(self.locations, self._store.set_result)
            self._supervisor.set_result(supervisor)
            await supervisor.run()
        except Exception as error:
            if self._store.done():
                raise
            for awaited in (self._supervisor, self._store):
                if not awaited.done():
                    awaited.set_exception(error)
                    awaited.exception()  # whoever asks is told; nobody may ever do so
            if not isinstance(error, StateError | RolloutError):
                raise
            _log.error("%s", error)

    async def supervisor(self) -> "Supervisor":
        """Who keeps the store open; its methods can be used from now on."""
        return await asyncio.shield(self._supervisor)
