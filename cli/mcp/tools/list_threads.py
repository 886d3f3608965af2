"""``list_threads``."""

from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, Cursor, MaxTokens, continued
from cli.mcp.thread_entry import ThreadEntry, entries
from cli.mcp.wanted import (
    MOST_THREADS,
    AllSources,
    Archived,
    Machine,
    Project,
    Since,
    ThreadLimit,
    Until,
    User,
    wanted,
)

if TYPE_CHECKING:
    from state.query.model import Counted


class ThreadList(BaseModel):
    """Threads, the most recently used first."""

    threads: list[ThreadEntry]
    total: int = Field(description="How many there are in all, or one more than were counted.")
    next_cursor: str = ""
    note: str = Field("", description="Why there may be more threads than these.")


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``list_threads``."""

    async def list_threads(
        project: Project = "",
        since: Since = "",
        until: Until = "",
        tags: Annotated[list[str] | None, Field(description="With all of these tags.")] = None,
        query: Annotated[str, Field(description="A text in the name or first message.")] = "",
        archived: Archived = False,
        all_sources: AllSources = False,
        machine: Machine = "",
        user: User = "",
        limit: ThreadLimit = MOST_THREADS,
        cursor: Cursor = "",
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, ThreadList]:
        """List coding-agent threads (past sessions), the most recently used first, with ids for the
        other tools. Use it to see what was worked on lately or in a project; use search_threads to
        find what was said."""
        from dataclasses import replace

        from cli.terminal.hidden import up_to

        index = await answering.index()
        incomplete = await answering.incomplete()
        among = await wanted(
            answering,
            limit,
            project=project,
            since=since,
            until=until,
            tags=tags,
            query=query,
            archived=archived,
            all_sources=all_sources,
            cursor=cursor,
            machine=machine,
            user=user,
        )
        page = await index.page(among)
        made = await entries(answering, page.rows, among)
        taken = Budget(max_tokens).first_of((entry, entry.text) for entry in made)
        if len(taken) < len(page.rows):  # the next page begins behind what fits
            page = await index.page(replace(among, limit=len(taken)))
        counted = await index.count(among)
        count = up_to(counted.listed, counted.most)
        many = "" if count[0].isdigit() else f"There are {count} threads."
        note = " ".join(filter(None, (incomplete, many, left_out(counted, "listed"))))
        result = ThreadList(
            threads=[entry for entry, _ in taken],
            total=counted.listed,
            next_cursor=page.next_cursor or "",
            note=note,
        )
        head = "" if many else f"{count} threads." if counted.listed else "No threads match."
        text = "".join(text for _, text in taken) + continued(result.next_cursor)
        return answered(result, f"{head} {result.note}\n\n{text}".strip())

    answering.add_tool(server, "List threads", list_threads)


def left_out(counted: "Counted", done: str) -> str:
    """For how many threads something was not ``done``, and what does it; empty if for none."""
    from cli.terminal.hidden import up_to

    hidden = counted.hidden
    reasons = (
        (hidden.archived, "archived (archived=true)"),
        (hidden.source + hidden.attached, "not started by a user (all_sources=true)"),
    )
    told = [f"{up_to(count, counted.most)} {what}" for count, what in reasons if count]
    return f"Not {done}: {', '.join(told)}." if told else ""
