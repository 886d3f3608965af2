"""Serving one client over stdin and stdout."""

import asyncio
import sys

from cli.arguments.locations import Locations
from cli.mcp.answering import Answering
from cli.mcp.server import bare_server, begun_late
from cli.mcp.transport.ending import end, end_soon, signalled, until
from cli.runtime.serving.kept_index import KeptIndex, use_one_arena
from cli.terminal import output


class StdioServer:
    """A server for the client at the other end of stdin and stdout."""

    def __init__(self, here: Locations, *, redact: bool, sync: bool) -> None:
        use_one_arena()
        self._kept = KeptIndex(here, sync=sync)
        self._answering = Answering(self._kept, redact=redact)
        self._server = bare_server(self._answering)

    async def serve(self) -> None:
        """Answer until the input ends or a signal asks for the end, then end the process."""
        if sys.stdin.isatty():
            output.say("Waiting for an MCP client on stdin; see threadkeep help mcp.md.")
        async with begun_late(self._server, self._answering, self._kept):
            await until(signalled(), asyncio.create_task(self._server.run_stdio_async()))
            end_soon()
        # The thread that reads stdin cannot be interrupted: the end of Python would wait for it.
        end()
