"""Server-sent events: how a page hears of what happens, for as long as it is open."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cli.web.errors import Problem, answer
from cli.web.site import site_of

MOST_STREAMS: Final = 64
"""Open at a time. A browser keeps six for one server."""
_ALIVE_S: Final = 15.0
"""How often a stream without events says that it is there."""
Event = tuple[str, Any]
"""A name, and what becomes its JSON."""


class EventStream(Response):
    """Sends events as they come. It ends when they end, with the server, and (as all answers) when
    the client goes; then ``events`` is closed."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, events: AsyncGenerator[Event]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._request, self._events = request, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        site = site_of(self._request)
        if scope["method"] == "HEAD":
            await self._events.aclose()
            await super().__call__(scope, receive, send)
            return
        if len(site.streams) >= MOST_STREAMS:
            await self._events.aclose()
            text = f"{MOST_STREAMS} pages follow threads already. Close some, then load this again."
            await answer(self._request, Problem.busy(text))(scope, receive, send)
            return
        site.streams.add(self)
        sending = asyncio.create_task(self._send(send))
        ending = asyncio.create_task(site.closing.wait())
        try:
            await asyncio.wait({sending, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            site.streams.discard(self)
            for task in (sending, ending):
                task.cancel()
            await asyncio.gather(sending, ending, return_exceptions=True)
            await self._events.aclose()
        if not sending.cancelled():
            sending.result()
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        text = "retry: 2000\n\n"
        coming: asyncio.Task[Event] | None = None
        try:
            while True:
                body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await send(body)
                coming = coming or asyncio.create_task(_next(self._events))
                if not (await asyncio.wait({coming}, timeout=_ALIVE_S))[0]:
                    text = ": here\n\n"
                    continue
                try:
                    name, data = coming.result()
                except StopAsyncIteration:
                    break
                coming = None
                text = f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)


async def _next(events: AsyncGenerator[Event]) -> Event:
    return await anext(events)
