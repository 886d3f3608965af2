"""Serving one client over stdin and stdout."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any, Final

from cli import errors
from cli.arguments.locations import Locations
from cli.mcp.answering import Answering
from cli.mcp.server import bare_server, begun_late
from cli.runtime.kept_index import KeptIndex
from cli.terminal import output

_GRACE_S: Final = 1.5
"""Seconds that a server may take to end."""


class StdioServer:
    """A server for the client at the other end of stdin and stdout."""

    def __init__(self, here: Locations, *, redact: bool, sync: bool) -> None:
        self._kept = KeptIndex(here, sync=sync)
        self._answering = Answering(self._kept, redact=redact)
        self._server = bare_server(self._answering)

    async def serve(self) -> None:
        """Answer until the input ends or a signal asks for the end, then end the process."""
        if sys.stdin.isatty():
            output.say("Waiting for an MCP client on stdin; see threadkeep help mcp.")
        async with begun_late(self._server, self._answering, self._kept):
            await until_signalled(self._server.run_stdio_async())
            end_soon()
        # The thread that reads stdin cannot be interrupted: the end of Python would wait for it.
        _end()


async def until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Wait for the end of work, or for a signal that asks for it. Raises what the work raises."""
    loop, signalled = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(signalled.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()


def end_soon() -> None:
    """End the process in a moment, whatever it still does: nothing that it writes is half done."""
    timer = threading.Timer(_GRACE_S, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    for child in multiprocessing.active_children():  # they only read
        child.terminate()
    sys.stderr.flush()
    os._exit(errors.OK)
