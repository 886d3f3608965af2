"""One client: its handshake, its requests, what it is told."""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from cli.server.client import Client
from cli.server.handshake import initialized
from cli.server.messages import (
    INTERNAL,
    OVERLOADED,
    Fault,
    Id,
    Request,
    failure,
    invalid_request,
    parse,
    result,
)
from cli.server.params import Initialize, parsed
from cli.server.service import Service

if TYPE_CHECKING:
    pass

MOST_IN_FLIGHT: Final = 256
"""Requests of one client that are not answered yet; more are refused for now."""
_MOST_AT_ONCE: Final = 32
"""Of them, those that are worked on at a time."""
_log = logging.getLogger("threadkeep.server")

Write = Callable[[bytes], Awaitable[None]]


class Session(Client):
    """Serves one client over whatever gives its lines and takes ours."""

    def __init__(self, service: Service, write: Write) -> None:
        super().__init__(service)
        self._write = write
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = asyncio.Semaphore(_MOST_AT_ONCE)

    async def serve(self, lines: AsyncIterable[bytes]) -> None:
        """Answer until there are no more lines and everything is answered, or the client is
        gone; its live threads are shut down then."""
        writer = asyncio.create_task(self._write_for_ever())
        reader = asyncio.create_task(self._read(lines))
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not writer.done():
                drained = asyncio.create_task(self._outgoing.emptied())
                await asyncio.wait({writer, drained}, return_when=asyncio.FIRST_COMPLETED)
                drained.cancel()
        finally:
            tasks = {reader, writer, *self._tasks, *filter(None, (self.telling,))}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.service.left(self.tell)

    async def _read(self, lines: AsyncIterable[bytes]) -> None:
        async for line in lines:
            if not line.strip():
                continue
            try:
                request = parse(line)
            except Fault as fault:
                await self._outgoing.put(failure(None, fault))
                continue
            if request is None or request.id is None:
                continue  # an answer, or a notification: ``initialized`` needs nothing
            if len(self._tasks) >= MOST_IN_FLIGHT:
                text = "too many requests are in flight: ask again when some are answered"
                refused = Fault(OVERLOADED, text, "overloaded", retryable=True)
                await self._outgoing.put(failure(request.id, refused))
                continue
            task = asyncio.create_task(self._answer(request, request.id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(0)  # has it begin, so that changes are made in order
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, request: Request, id_: Id) -> None:
        after: list[Callable[[], None]] = []
        try:
            async with self._working:
                await self._outgoing.room()  # what nobody reads is not worked out
                value = await self._result(request, id_, after)
        except Fault as fault:
            await self._outgoing.put(failure(id_, fault))
        except Exception:  # noqa: BLE001 - one request that fails ends nobody's session
            _log.exception("%s failed", request.method)
            broken = Fault(INTERNAL, f"{request.method} failed: see the log", "internal")
            await self._outgoing.put(failure(id_, broken))
        else:
            await self._outgoing.put(result(id_, value))
            for tell in after:
                tell()

    async def _result(self, request: Request, id_: Id, after: list[Callable[[], None]]) -> Any:
        if request.method == "initialize":
            return self._initialized(request)
        await self.service.keeper()
        from cli.server.dispatch import dispatch

        return await dispatch(self, request, id_, after)

    def _initialized(self, request: Request) -> dict[str, Any]:
        if self.client is not None:
            raise invalid_request("Already initialized", "already_initialized")
        client = parsed(request, Initialize)
        self.client = client
        self.service.joined(self.tell)
        return initialized(client, self.service.places.home)

    async def _write_for_ever(self) -> None:
        while True:
            taken = await self._outgoing.take()
            await self._write(taken)
            self._outgoing.sent(len(taken))
