"""One client: its handshake, its requests, what it is told."""

import asyncio
import logging
import os
import platform
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from cli import __version__
from cli.server.core.client import Client
from cli.server.core.service import Service
from cli.server.protocol.messages import (
    INTERNAL,
    OVERLOADED,
    Id,
    Request,
    RpcError,
    failure,
    invalid_request,
    parse,
    result,
)
from cli.server.protocol.params import InitializeParams, parse_params
from state.aio import finished

MAX_IN_FLIGHT: Final = 256
"""Requests of one client that are not answered yet; more are refused for now."""
_MAX_CONCURRENT: Final = 32
"""Of them, those that are worked on at a time."""
_TIMEOUT_S: Final = 300.0
"""How long a request is worked on, in seconds."""
_POLL_S: Final = 0.1
"""Between two looks whether a client is gone that sends no more, in seconds."""
_log = logging.getLogger("threadkeep.server")

Write = Callable[[bytes], Awaitable[None]]


class Session(Client):
    """Serves one client over whatever gives its lines and takes ours."""

    def __init__(self, service: Service, write: Write, is_gone: Callable[[], bool]) -> None:
        """``is_gone``: whether nobody can read any more what is written."""
        super().__init__(service)
        self._write = write
        self._is_gone = is_gone
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = asyncio.Semaphore(_MAX_CONCURRENT)

    async def serve(self, lines: AsyncIterable[bytes]) -> None:
        """Answer until there are no more lines and everything is answered, or the client is
        gone: what it has asked for ends then, and its live threads are shut down."""
        self.service.sessions += 1
        writer = asyncio.create_task(self._write_forever())
        serving = asyncio.create_task(self._serve(lines))
        try:
            await asyncio.wait({writer, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await finished(self._end(serving, writer))

    async def _end(self, *tasks: "asyncio.Task[None]") -> None:
        await _cancel_all(*tasks, *self._tasks, *filter(None, (self.subscription,)))
        self.service.sessions -= 1
        await self.service.remove_client(self.notify)

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
                request = parse(line)
            except RpcError as fault:
                await self._outgoing.put(failure(None, fault))
                continue
            if request is None or request.id is None:
                continue  # an answer, or a notification: ``initialized`` needs nothing
            if len(self._tasks) >= MAX_IN_FLIGHT:
                text = "too many requests are in flight: ask again when some are answered"
                refused = RpcError(OVERLOADED, text, "overloaded", retryable=True)
                await self._outgoing.put(failure(request.id, refused))
                continue
            task = asyncio.create_task(self._answer(request, request.id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(0)  # has it begin, so that changes are made in order

    async def _until_gone(self) -> None:
        while not self._is_gone():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_POLL_S)

    async def _answer_all(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._outgoing.emptied()

    async def _answer(self, request: Request, id_: Id) -> None:
        after: list[Callable[[], None]] = []
        limit = asyncio.timeout(_TIMEOUT_S)
        ends_another = request.method.endswith("/cancel")  # which it is not to wait for
        try:
            async with nullcontext() if ends_another else self._working:
                await self._outgoing.room()  # what nobody reads is not worked out
                if self._is_gone():
                    return
                async with limit:
                    value = await self._result(request, id_, after)
        except RpcError as fault:
            await self._outgoing.put(failure(id_, fault))
        except Exception as error:  # noqa: BLE001 - one that fails ends nobody's session
            await self._outgoing.put(failure(id_, _unexpected(request.method, error, limit)))
        else:
            await self._outgoing.put(result(id_, value))
        finally:  # what was done is told, even if the client has left or the rest has failed
            for tell in after:
                tell()

    async def _result(self, request: Request, id_: Id, after: list[Callable[[], None]]) -> Any:
        if request.method == "initialize":
            return self._initialize(request)
        await self.service.supervisor()
        from cli.server.methods.dispatch import dispatch

        return await dispatch(self, request, id_, after)

    def _initialize(self, request: Request) -> dict[str, Any]:
        if self.info is not None:
            raise invalid_request("Already initialized", "already_initialized")
        client = parse_params(request, InitializeParams)
        self.info = client
        self.service.add_client(self.notify)
        return initialize_result(client, self.service.locations.home)

    async def _write_forever(self) -> None:
        while True:
            taken = await self._outgoing.take()
            await self._write(taken)
            self._outgoing.sent(len(taken))


def _unexpected(method: str, error: Exception, limit: asyncio.Timeout) -> RpcError:
    """What a request is answered with that failed in a way that nobody has foreseen."""
    if isinstance(error, TimeoutError) and limit.expired():
        _log.warning("%s was given up after %d s", method, _TIMEOUT_S)
        text = f"{method} did not end within {_TIMEOUT_S:.0f} seconds and was given up"
        how = "ask for less at a time: smaller pages, without turns"
        return RpcError(INTERNAL, text, "timed_out", retryable=True, hint=how)
    _log.error("%s failed", method, exc_info=error)
    return RpcError(INTERNAL, f"{method} failed: see the log", "internal")


async def _cancel_all(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_CODEX_VERSION: Final = "0.171.0"


"""The version of Codex whose protocol this is. It is the newest that was measured: clients read it
to see what they may ask for, and all that this one has for stored threads is here, while what it
took away (an action in ``moderation``) no client can have asked for."""


def initialize_result(client: InitializeParams, home: Path) -> dict[str, Any]:
    """The answer to ``initialize``."""
    # Clients read a version of Codex here, and ask accordingly.
    who = f"{client.client_info.name}/{_CODEX_VERSION} ({platform.system()}; {platform.machine()})"
    return {
        "userAgent": f"{who} threadkeep/{__version__}",
        "codexHome": str(home),
        "platformFamily": "windows" if os.name == "nt" else "unix",
        "platformOs": {"Darwin": "macos"}.get(platform.system(), platform.system().lower()),
    }
