"""Completion of the ids of threads."""

from typing import Final

from mcp.server.mcpserver import MCPServer
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from cli.mcp.answering import Answering
from cli.mcp.refusals import OUR_ERRORS

_MOST: Final = 20


def register(server: MCPServer, answering: Answering) -> None:
    """Complete the id in ``thread://ID``: with those of the threads that were used last."""

    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        _: CompletionContext | None,
    ) -> Completion | None:
        if not isinstance(ref, ResourceTemplateReference) or argument.name != "id":
            return None
        from state.query.model import LARGEST_PAGE, Query

        begun = argument.value.strip().lower()
        try:
            index = await answering.index()
            page = await index.page(Query(sort_key="recency_at", limit=LARGEST_PAGE))
            found = [row["id"] for row in page.rows if row["id"].startswith(begun)]
            if begun and not found:
                found = [id_ for id_ in await index.resolve(begun) if id_.startswith(begun)]
        except OUR_ERRORS:
            return None
        return Completion(values=found[:_MOST], has_more=len(found) > _MOST)

    server.completion()(complete)  # type: ignore[no-untyped-call]
