"""Prompts that users pick in their client, with what is known of the threads they are about."""

from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import Field

from cli.mcp.answering import Answering

_LATEST: Final = 5
"""Threads of a project that are told."""
_LAST_TURNS: Final = 6
_OUTLINE_TOKENS: Final = 1_500
_TURN_TOKENS: Final = 3_000
_SEARCH_TOKENS: Final = 4_000
_GO_ON: Final = """\
Let us go on where we were in the project {name}. Below are its latest threads (past sessions), the
last turns of the newest one, and what was said in its very last turn. If that thread is this very
session, take the next one. Tell me in a few sentences what we were doing, what is done and what is
left, and propose how to go on. If what is below does not tell, look further before you answer:
read_turns and thread_outline with the id of a thread, search_threads in this project.
"""
_NO_THREADS: Final = """\
Let us go on where we were in this project. No thread (past session) of the project {name} is known:
call list_threads to see where there are threads, then read the end of the last one with read_turns.
Tell me in a few sentences what we were doing, what is done and what is left, and propose how to go
on.
"""
_DECIDED: Final = """\
What did we decide about this, when and why: {about}

Below is what a search of past threads (sessions){where} found. Passages are cut: read the turn with
read_turns before you rely on one, and what came after it, as a later decision replaces an earlier
one. If nothing below answers it, call search_threads with other words, such as names of files and
functions. Then answer in a few sentences, with the title, date and id of each thread that you have
the answer from. Say so if nothing was decided.
"""
Project = Annotated[
    str, Field(description="Name of a project, or a folder. By default that of this folder.")
]


def register(server: MCPServer, answering: Answering) -> None:
    """Offer the prompts."""

    @server.prompt(title="Go on where we were in this project")
    async def go_on(context: Context[Any, Any], project: Project = "") -> str:
        """What was done last in a project, and what is left to do."""
        with answering.refusing(_refusal):
            return await _go_on(answering, context, project)

    @server.prompt(title="What did we decide about …?")
    async def what_did_we_decide(
        about: Annotated[str, Field(description="Some words, or a whole question.")],
        project: Annotated[str, Field(description="Only in this project, or folder.")] = "",
    ) -> str:
        """What was decided about something in past threads, when and why."""
        from cli.mcp.tools.search_threads import threads_with

        with answering.refusing(_refusal):
            found = await threads_with(answering, about, project, max_tokens=_SEARCH_TOKENS)
        found.next_cursor = ""  # of a tool
        where = f" of the project {project}" if project else ""
        return f"{_DECIDED.format(about=about, where=where)}\n{found.text}"


async def _go_on(answering: Answering, context: Context[Any, Any], project: str) -> str:
    from cli.mcp.thread_entry import entries
    from cli.mcp.tools.current_project import folder_of, project_of
    from cli.mcp.tools.read_turns import turns_of
    from cli.mcp.tools.thread_outline import outline_of
    from cli.mcp.wanted import wanted
    from state.query.model import Query

    index = await answering.index()
    if project:
        name, query = project, await wanted(answering, _LATEST, project=project)
    else:
        found = await project_of(answering, await folder_of(context))
        name = found.name
        query = Query(sort_key="recency_at", limit=_LATEST, projects=(found.chosen_by,))
    rows = (await index.page(query)).rows
    if not rows:
        return _NO_THREADS.format(name=name)
    listed = "".join(entry.text for entry in await entries(answering, rows))
    outline = await outline_of(answering, rows[0], -_LAST_TURNS, _OUTLINE_TOKENS)
    last = await turns_of(answering, rows[0], -1, {"messages"}, _TURN_TOKENS)
    goes_on = f"\nread_turns goes on there with cursor={last.next_cursor!r}." * bool(
        last.next_cursor
    )
    outline.next_cursor = last.next_cursor = ""  # of other tools than this
    parts = (_GO_ON.format(name=name), listed, outline.text, last.text)
    return "\n".join(parts) + goes_on


def _refusal(told: str) -> MCPError:
    return MCPError(INVALID_PARAMS, told)
