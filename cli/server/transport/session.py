"""A connection: the handshake, the requests and the answers of one client."""

import asyncio
import logging
import os
import platform
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import nullcontext
from typing import Any, Final
from weakref import WeakValueDictionary

from cli import __version__
from cli.server.core.client import Client
from cli.server.core.service import Service
from cli.server.protocol import messages
from cli.server.protocol.outbox import Outbox
from cli.server.protocol.params import CHANGES, InitializeParams, parse_params
from state.aio import finished

MAX_IN_FLIGHT: Final = 256
"""Unanswered requests of one client; more are refused for now."""
_MAX_CONCURRENT: Final = 32
"""Requests of one client that are worked on at a time."""
_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.1
"""How often to look whether a client has disconnected that sends no more, in seconds."""
_CODEX_VERSION: Final = "0.171.0"
"""The version of Codex that clients read in ``userAgent`` to see what they may ask for: the newest
that was measured. All that it has for stored threads is served here."""
_log = logging.getLogger("threadkeep.server")

Write = Callable[[bytes], Awaitable[None]]
Task = asyncio.Task[None]


class Session:
    """Serves one client over any transport that gives its lines and takes ours."""

    def __init__(self, service: Service, write: Write, is_gone: Callable[[], bool]) -> None:
        """``is_gone`` tells whether nobody can read any more what is written."""
        self._service = service
        self._write = write
        self._is_gone = is_gone
        self._outbox = Outbox()
        self._client = Client(self._outbox)
        self._tasks: set[Task] = set()
        self._changes: WeakValueDictionary[str, Task] = WeakValueDictionary()
        """The latest request that changes a thread, by the id it names."""
        self._working = asyncio.Semaphore(_MAX_CONCURRENT)

    async def serve(self, lines: AsyncIterable[bytes]) -> None:
        """Answer until there are no more lines and everything is answered, or until the client is
        gone. Then its requests are cancelled, and the threads that only it used are shut down."""
        self._service.connections += 1
        writer = asyncio.create_task(self._write_forever())
        serving = asyncio.create_task(self._serve(lines))
        try:
            await asyncio.wait({writer, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await finished(self._end(serving, writer))

    async def _end(self, *tasks: Task) -> None:
        await _cancel_all(*tasks, *self._tasks, *filter(None, (self._client.subscription,)))
        self._service.connections -= 1
        await self._service.remove_client(self._client)

    async def _serve(self, lines: AsyncIterable[bytes]) -> None:
        await self._read(lines)
        leaving = asyncio.create_task(self._until_gone())
        answering = asyncio.create_task(self._answer_all())
        try:
            await asyncio.wait({leaving, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel_all(leaving, answering)

    async def _read(self, lines: AsyncIterable[bytes]) -> None:
        async for line in lines:
            if not line.strip():
                continue
            try:
                request = messages.parse(line)
            except messages.RpcError as error:
                await self._outbox.put(messages.failure(None, error))
                continue
            if request is None:
                continue
            if len(self._tasks) >= MAX_IN_FLIGHT:
                text = "too many requests are in flight: ask again when some are answered"
                refused = messages.RpcError(messages.OVERLOADED, text, "overloaded", retryable=True)
                await self._outbox.put(messages.failure(request.id, refused))
                continue
            self._begin(request)
            await asyncio.sleep(0)  # what can be answered at once is not in flight any more

    def _begin(self, request: messages.Request) -> None:
        thread_id = _changed_thread(request)
        task = asyncio.create_task(self._answer(request, self._changes.get(thread_id)))
        if thread_id:
            self._changes[thread_id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_gone(self) -> None:
        while not self._is_gone():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(_POLL_S)

    async def _answer_all(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._outbox.drained()

    async def _answer(self, request: messages.Request, earlier: Task | None) -> None:
        """Answer a request; one that changes a thread waits for the ``earlier`` one that does."""
        notifications: list[Callable[[], None]] = []
        limit = asyncio.timeout(_TIMEOUT_S)
        cancels = request.method.endswith("/cancel")  # must not wait for what it cancels
        try:
            if earlier is not None:
                await asyncio.wait({earlier})
            async with nullcontext() if cancels else self._working:
                await self._outbox.room()  # no work for a client that does not read
                if self._is_gone():
                    return
                async with limit:
                    value = await self._result(request, notifications)
        except messages.RpcError as error:
            await self._outbox.put(messages.failure(request.id, error))
        except Exception as error:  # noqa: BLE001 - a failed request must not end the session
            await self._outbox.put(
                messages.failure(request.id, _unexpected(request.method, error, limit))
            )
        else:
            await self._outbox.put(messages.result(request.id, value))
        finally:  # others are notified even if the client has left or the rest has failed
            for notify in notifications:
                notify()

    async def _result(
        self, request: messages.Request, notifications: list[Callable[[], None]]
    ) -> Any:
        if request.method == "initialize":
            return self._initialize(request)
        await self._service.supervisor()
        from cli.server.methods.dispatch import dispatch

        return await dispatch(self._service, self._client, request, notifications)

    def _initialize(self, request: messages.Request) -> dict[str, Any]:
        if self._client.info is not None:
            raise messages.invalid_request("Already initialized", "already_initialized")
        info = self._client.info = parse_params(request, InitializeParams)
        self._service.add_client(self._client)
        system = platform.system()
        codex = f"{info.client_info.name}/{_CODEX_VERSION} ({system}; {platform.machine()})"
        return {
            "userAgent": f"{codex} threadkeep/{__version__}",
            "codexHome": str(self._service.locations.home),
            "platformFamily": "windows" if os.name == "nt" else "unix",
            "platformOs": {"Darwin": "macos"}.get(system, system.lower()),
        }

    async def _write_forever(self) -> None:
        while True:
            taken = await self._outbox.take()
            await self._write(taken)
            self._outbox.sent(len(taken))


def _changed_thread(request: messages.Request) -> str:
    """The id that a request to change a thread names; empty if it is another request."""
    if request.method not in CHANGES or not isinstance(request.params, dict):
        return ""
    thread_id = request.params.get("threadId")
    return thread_id if isinstance(thread_id, str) else ""


def _unexpected(method: str, error: Exception, limit: asyncio.Timeout) -> messages.RpcError:
    """The answer to a request that failed by an unexpected error or by its time limit."""
    if isinstance(error, TimeoutError) and limit.expired():
        _log.warning("%s was cancelled after %d s", method, _TIMEOUT_S)
        text = f"{method} did not end within {_TIMEOUT_S:.0f} seconds and was cancelled"
        how = "ask for less at a time: smaller pages, without turns"
        return messages.RpcError(messages.INTERNAL, text, "timed_out", retryable=True, hint=how)
    _log.error("%s failed", method, exc_info=error)
    return messages.RpcError(messages.INTERNAL, f"{method} failed: see the log", "internal")


async def _cancel_all(*tasks: Task) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
