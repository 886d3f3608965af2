"""``current_project``."""

import asyncio
import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote, urlsplit

from mcp.server.mcpserver import Context, ListRoots, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ListRootsRequest, ListRootsResult
from mcp.types.version import is_version_at_least
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, MaxTokens
from cli.mcp.thread_entry import ThreadEntry, entries
from cli.mcp.wanted import ThreadLimit

if TYPE_CHECKING:
    from state.query.projects import Project

_LATEST: Final = 10
_NONE: Final = "list_threads without a project lists the threads of all."
_PATIENCE_S: Final = 2.0
"""How long a client may take to name its roots, in seconds."""
_ASKED_BY_RESULT: Final = "2026-07-28"
"""From this version of the protocol on, a client is asked by the result of a call."""


class CurrentProject(BaseModel):
    """The project that the client works in."""

    project: str = Field(description="Its name, for the other tools.")
    folder: str
    other_folders: list[str] = Field([], description="More folders that the client has open.")
    threads: list[ThreadEntry] = Field(description="Its threads, the most recently used first.")
    total: int = Field(description="How many threads it has in all.")
    note: str = Field("", description="Why there may be more.")


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``current_project``."""

    async def current_project(
        roots: Annotated[ListRootsResult, Resolve(_roots)],
        limit: ThreadLimit = _LATEST,
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, CurrentProject]:
        """Name the project of the folder that is worked in, with its latest threads (past
        sessions). Call it first to continue earlier work here, or to know what project to give to
        the other tools."""
        from state.query.model import Query

        folder, *others = _folders(roots) or [_own_folder()]
        index = await answering.index()
        incomplete = await answering.incomplete()
        project = await project_of(answering, folder)
        above = ""
        if project.chosen_by in map(str, PurePosixPath(folder).parents):
            place = answering.redacted(project.chosen_by)
            above = f"No thread ran in this folder: these are of {place}, which it is in."
        query = Query(sort_key="recency_at", limit=limit, projects=(project.chosen_by,))
        page = await index.page(query)
        made = await entries(answering, page.rows)
        taken = Budget(max_tokens).first_of((entry, entry.text) for entry in made)
        result = CurrentProject(
            project=answering.redacted(project.name),
            folder=answering.redacted(folder),
            other_folders=[answering.redacted(other) for other in others],
            threads=[entry for entry, _ in taken],
            total=(await index.count(query)).listed,
            note=" ".join(filter(None, (incomplete, above, "" if taken else _NONE))),
        )
        count = f"{result.total:,} thread{'s' * (result.total != 1)}"
        head = f"# {result.project} ({result.folder}): {count}\n{result.note}"
        if others:
            head += f"\nAlso open: {', '.join(result.other_folders)}"
        return answered(result, f"{head}\n{''.join(text for _, text in taken)}")

    answering.add_tool(server, "Current project", current_project)


async def project_of(answering: Answering, folder: str) -> "Project":
    """The project of a folder; if no thread is of it, that of the next folder above in which
    threads ran, but for the user's home and the root."""
    from state.query.projects import Project, projects_steps
    from state.userdata.folders import absolute_folder

    known = await (await answering.index()).database.query(projects_steps())
    if not known.chosen([folder]):
        tops = {"/", os.path.expanduser("~")}
        for above in map(str, PurePosixPath(folder).parents):
            if above not in tops and (key := known.known(above)) in known.folders:
                return Project(known.name(key), above)
    return Project(known.name(known.known(folder)), absolute_folder(folder))


async def folder_of(context: Context[Any, Any]) -> str:
    """The folder that a client works in, or the server, where the client cannot be asked now."""
    roots = await _roots(context)
    folders = _folders(roots) if isinstance(roots, ListRootsResult) else []
    return folders[0] if folders else _own_folder()


async def _roots(context: Context[Any, Any]) -> ListRoots | ListRootsResult:
    """What asks the client for its roots; none if it has none, or does not say."""
    nothing = ListRootsResult(roots=[])
    offered, version = context.client_capabilities, context.protocol_version
    if offered is None or offered.roots is None or version is None:
        return nothing
    if is_version_at_least(version, _ASKED_BY_RESULT):
        return ListRoots()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            given: ListRootsResult = await context.session.send_request(
                ListRootsRequest(), ListRootsResult
            )
            return given
    except (MCPError, TimeoutError):
        return nothing


def _folders(roots: ListRootsResult) -> list[str]:
    """The folders of some roots."""
    places = [urlsplit(str(root.uri)) for root in roots.roots]
    return [unquote(place.path) for place in places if place.scheme == "file" and place.path]


def _own_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise ToolError(
            "the client names no folder, and that of the server is gone; call list_threads with a"
            " project"
        ) from None
