"""The server and its tools."""

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer

from cli import __version__
from cli.mcp import completion
from cli.mcp.answering import Answering
from cli.mcp.strict_server import StrictServer

if TYPE_CHECKING:
    from cli.runtime.serving.kept_index import KeptIndex

_INSTRUCTIONS: Final = (
    "Past threads (sessions) of Codex on this computer: what was asked, said, run and changed."
    " These tools only read. A thread is named by its id, the beginning of that, or its title."
    " The newest one may be the session that asks."
)
_ABOUT_A_FLEET: Final = (
    "Past threads (sessions) of Codex on the machines of a fleet: what was asked, said, run and"
    " changed. These tools only read. A thread is named by its id, the beginning of that, or its"
    " title."
)
_OFFERED: Final = (
    *("tools.current_project", "tools.list_threads", "tools.search_threads"),
    *("tools.find_file_changes", "tools.thread_outline", "tools.read_turns"),
    *("tools.usage_summary", "thread_resource", "prompts"),
)
"""The modules of what is offered. They are imported when a client wants to see it."""
_OF_FLEETS: Final = ("machine", "user")
"""Parameters that there are only where the threads are of a fleet."""
_NOT_OF_FLEETS: Final = "tools.find_file_changes"
"""Which files threads have changed, machines do not push."""
_HANDSHAKE: Final = ("initialize", "server/discover")
_LOADED_BEFORE: Final = (
    "cli.arguments.filters",
    "cli.arguments.span",
    "cli.mcp.turn_text",
    "cli.runtime.usage",
    "cli.turns.source",
    "state.fulltext.changed_files",
    "state.fulltext.sentence",
)
"""What tools import, which takes a while: loaded when the index is open, before anybody asks."""
_ASK_THE_INDEX: Final = ("tools/call", "resources/read", "prompts/get", "completion/complete")
_MOMENT_S: Final = 0.5
"""Between the handshake and the opening of the index, unless it is asked for sooner."""


def make_server(kept: "KeptIndex", *, redact: bool) -> MCPServer:
    """The server of an index; with ``redact``, secrets are taken out of all that it says."""
    answering = Answering(kept, redact=redact)
    server = bare_server(answering)
    _offer_all(server, answering)
    return server


def bare_server(answering: Answering) -> MCPServer:
    """A server that offers nothing yet, but what has to be known for the handshake."""
    server = StrictServer(
        "threadkeep",
        title="threadkeep",
        instructions=_ABOUT_A_FLEET if answering.is_fleet else _INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
    )
    server.left_out = frozenset(() if answering.is_fleet else _OF_FLEETS)
    server.middleware.append(answering.redaction.middleware)
    completion.register(server, answering)
    return server


def _offer_all(server: MCPServer, answering: Answering) -> None:
    for name in _OFFERED:
        if answering.is_fleet and name == _NOT_OF_FLEETS:
            continue
        import_module(f"cli.mcp.{name}").register(server, answering)


async def _load(answering: Answering) -> None:
    """Load what answers need, in threads."""
    await answering.redaction.load()
    for name in _LOADED_BEFORE:
        await asyncio.to_thread(importlib.import_module, name)


@asynccontextmanager
async def begun_late(
    server: MCPServer, answering: Answering, kept: "KeptIndex"
) -> AsyncGenerator[None]:
    """Make a bare server of one client that of an index which is not kept yet. It answers the
    handshake first: the types of the tools take time, and the index takes more."""
    wanted = asyncio.Event()
    loading: list[asyncio.Task[None]] = []
    offered = False

    async def keep() -> None:
        await wanted.wait()
        await stack.enter_async_context(kept)
        loading.append(asyncio.create_task(_load(answering)))

    async def beginning(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        nonlocal offered
        if not offered and ctx.method not in _HANDSHAKE:
            offered = True
            _offer_all(server, answering)
            asyncio.get_running_loop().call_later(_MOMENT_S, wanted.set)
        if ctx.method in _ASK_THE_INDEX:
            wanted.set()
            await asyncio.shield(keeping)  # a client may take back what it has asked for
        return await call_next(ctx)

    async with AsyncExitStack() as stack:
        keeping = asyncio.create_task(keep())
        stack.callback(keeping.cancel)
        server.middleware.append(beginning)
        yield
