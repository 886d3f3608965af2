"""The server and its tools."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer

from cli import __version__
from cli.mcp.answering import Answering
from cli.mcp.tools import find_file_changes, list_threads, search_threads, usage_summary

if TYPE_CHECKING:
    from cli.runtime.kept_index import KeptIndex

_INSTRUCTIONS: Final = (
    "Past threads (sessions) of Codex on this computer: what was asked, said, run and changed."
    " These tools only read. A thread is named by its id, the beginning of it, or its name."
)
_TOOLS: Final = (list_threads, search_threads, find_file_changes, usage_summary)
_ASK_THE_INDEX: Final = ("tools/call", "resources/read", "prompts/get", "completion/complete")
_MOMENT_S: Final = 0.5
"""Between the first message of a client and the opening of the index, unless it is asked for
sooner: the handshake is answered first."""


def make_server(kept: "KeptIndex", *, redact: bool) -> MCPServer:
    """The server of an index; with ``redact``, secrets are taken out of all that it says."""
    server = MCPServer(
        "threadkeep",
        title="threadkeep",
        instructions=_INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
    )
    answering = Answering(kept, redact=redact)
    server.middleware.append(answering.redaction.middleware)
    for tool in _TOOLS:
        tool.register(server, answering)
    return server


@asynccontextmanager
async def index_begun_late(server: MCPServer, kept: "KeptIndex") -> AsyncGenerator[None]:
    """Keep the index while a server runs, from a moment after the first message of a client."""
    wanted = asyncio.Event()

    async def keep() -> None:
        await wanted.wait()
        await stack.enter_async_context(kept)

    async def beginning(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method in _ASK_THE_INDEX:
            wanted.set()
            await keeping
        elif not wanted.is_set():
            asyncio.get_running_loop().call_later(_MOMENT_S, wanted.set)
        return await call_next(ctx)

    async with AsyncExitStack() as stack:
        keeping = asyncio.create_task(keep())
        stack.callback(keeping.cancel)
        server.middleware.append(beginning)
        yield
