"""``list_threads``."""

from typing import TYPE_CHECKING, Annotated, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, Cursor, MaxTokens, continued
from cli.mcp.thread_entry import ThreadEntry, entries

if TYPE_CHECKING:
    from state.query.model import Hidden

_PAGE: Final = 50
Project = Annotated[str, Field(description="Name of a project, or an absolute folder.")]
Since = Annotated[
    str, Field(description="Used since then: 7d, yesterday, monday, last-week, 2026-11-20.")
]
Until = Annotated[str, Field(description="Used before then, in the same words.")]
Archived = Annotated[bool, Field(description="The archived threads instead of the others.")]
AllSources = Annotated[
    bool, Field(description="Include those that no user started: codex exec, subagents.")
]


class ThreadList(BaseModel):
    """Threads, the most recently used first."""

    threads: list[ThreadEntry]
    total: int = Field(description="How many there are in all.")
    next_cursor: str = ""
    note: str = Field("", description="Why there may be more threads than these.")


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``list_threads``."""

    async def list_threads(
        project: Project = "",
        since: Since = "",
        until: Until = "",
        tags: Annotated[list[str] | None, Field(description="With all of these tags.")] = None,
        text: Annotated[str, Field(description="In the name or first message.")] = "",
        archived: Archived = False,
        all_sources: AllSources = False,
        cursor: Cursor = "",
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, ThreadList]:
        """List coding-agent threads (past sessions), the most recently used first, with ids for the
        other tools. Use it to see what was worked on lately or in a project; use search_threads to
        find what was said."""
        from dataclasses import replace

        from cli.arguments.filters import Filters

        index = await answering.index()
        incomplete = await answering.incomplete()
        filters = Filters(
            project=[project] if project else None,
            since=since or None,
            until=until or None,
            tag=tags,
            search=text or None,
            all_sources=all_sources,
        )
        query = filters.query(
            sort_key="recency_at", limit=_PAGE, cursor=cursor or None, archived=archived
        )
        page = await index.page(query)
        made = await entries(answering, page.rows)
        taken = Budget(max_tokens).first_of((entry, entry.text) for entry in made)
        if len(taken) < len(page.rows):  # the next page begins behind what fits
            page = await index.page(replace(query, limit=len(taken)))
        counted = await index.count(query)
        note = f"{incomplete} {left_out(counted.hidden, 'listed')}"
        result = ThreadList(
            threads=[entry for entry, _ in taken],
            total=counted.listed,
            next_cursor=page.next_cursor or "",
            note=note.strip(),
        )
        head = f"{counted.listed:,} threads." if counted.listed else "No threads match."
        text = "".join(text for _, text in taken) + continued(result.next_cursor)
        return answered(result, f"{head} {result.note}\n\n{text}".strip())

    answering.add_tool(server, "List threads", list_threads)


def left_out(hidden: "Hidden", done: str) -> str:
    """For how many threads something was not ``done``, and what does it; empty if for none."""
    reasons = (
        (hidden.archived, "archived (archived=true)"),
        (hidden.source + hidden.attached, "not started by a user (all_sources=true)"),
    )
    told = [f"{count:,} {what}" for count, what in reasons if count]
    return f"Not {done}: {', '.join(told)}." if told else ""
