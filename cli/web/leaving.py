"""The work for an answer ends when nobody waits for it any more."""

import asyncio
from contextlib import suppress

from cli.web.security import App, Message, Receive, Scope, Send


class Leaving:
    """Cancels what ``app`` does for a request whose client is gone: a search in a long thread would
    go on for seconds. A change is made to its end."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "POST":
            await self._app(scope, receive, send)
            return
        gone = asyncio.create_task(_gone(receive))
        answering = asyncio.ensure_future(self._app(scope, _told(gone), send))
        try:
            await asyncio.wait({gone, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, answering):
                task.cancel()
            await asyncio.wait({gone, answering})
        if not answering.cancelled():
            answering.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _told(gone: "asyncio.Task[None]") -> Receive:
    """What tells ``app`` of an empty request, and then of its end."""
    told = False

    async def receive() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        with suppress(Exception):
            await asyncio.shield(gone)
        return {"type": "http.disconnect"}

    return receive
