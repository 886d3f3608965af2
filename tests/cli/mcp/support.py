"""The tools as a client of the SDK sees them, in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.types import CallToolResult, TextContent

from cli.arguments.locations import Locations
from cli.mcp.server import make_server
from cli.runtime.serving.kept_index import KeptIndex
from state.db.location import index_path
from state.fulltext.indexer import fill_fulltext
from state.thread_index import open_index
from tests.support.indexes import empty_index


@asynccontextmanager
async def client_of(
    home: Path, index: Path, *, sync: bool = True, redact: bool = True, **options: Any
) -> AsyncIterator[Client]:
    """A client of the server of a home; ``options`` are the client's own."""
    kept = KeptIndex(Locations(home, index), sync=sync)
    async with kept, Client(make_server(kept, redact=redact), **options) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """The text that a tool answered with."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def called(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The typed result and the text of a tool, which is to answer."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert isinstance(result.structured_content, dict)
    return result.structured_content, text_of(result)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that refuses to answer."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


def indexed(home: Path) -> None:
    """Make the index of a home beside it, with its messages."""
    index = index_path(home, home.parent)
    empty_index(index)

    async def fill() -> None:
        async with open_index(home, index) as opened:
            await opened.catch_up()
            await fill_fulltext(opened)

    asyncio.run(fill())


def asked(home: Path, work: Callable[[Client], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Do some work with a client of the server of an :func:`indexed` home."""

    async def run() -> None:
        async with client_of(home, index_path(home, home.parent), **options) as client:
            await work(client)

    asyncio.run(run())
