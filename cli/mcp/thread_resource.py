"""Threads as resources: ``thread://ID``."""

from typing import Final

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from cli.mcp.answering import Answering
from cli.mcp.tools.read_turns import turns_of
from cli.mcp.tools.thread_outline import outline_of

_TEMPLATE: Final = "thread://{id}"
_OUTLINE_TOKENS: Final = 2_000
_LAST_TURN_TOKENS: Final = 3_000


def register(server: MCPServer, answering: Answering) -> None:
    """Offer the resource."""

    @server.resource(
        _TEMPLATE,
        name="thread",
        title="A thread",
        description="The outline of a thread (a past session) and what was said in its last turn.",
        mime_type="text/markdown",
    )
    async def thread(id: str) -> str:  # the name in the template
        with answering.refusing(ResourceError, ResourceNotFoundError):
            row = await answering.thread(id)
            outline = await outline_of(answering, row, 1, _OUTLINE_TOKENS)
            turns = await turns_of(answering, row, -1, {"messages"}, _LAST_TURN_TOKENS)
        outline.next_cursor = turns.next_cursor = ""  # which only tools take
        return f"{outline.text}\n{turns.text}"
