"""Which threads a tool is asked for: its parameters, and the query for them."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from cli.mcp.answering import Answering
from cli.mcp.budget import at_most
from state.errors import InvalidQuery

if TYPE_CHECKING:
    from state.query.model import Query

Project = Annotated[str, Field(description="Name of a project, or an absolute folder.")]
Since = Annotated[
    str, Field(description="Used since then: 7d, yesterday, monday, last-week, 2026-11-20.")
]
Until = Annotated[str, Field(description="Used before then, in the same words.")]
Archived = Annotated[bool, Field(description="The archived threads instead of the others.")]
AllSources = Annotated[
    bool, Field(description="Include those that no user started: codex exec, subagents.")
]
MOST_THREADS: Final = 50
Machine = Annotated[str, Field(description="A machine: its threads, as it has them.")]
User = Annotated[str, Field(description="Whose machine has the newest copy.")]
ThreadLimit = Annotated[
    int, at_most(MOST_THREADS), Field(description=f"Threads, at most {MOST_THREADS}.")
]
_MOST_NAMED: Final = 8
_LONGEST: Final = 80


async def wanted(
    answering: Answering,
    limit: int,
    *,
    project: str = "",
    since: str = "",
    until: str = "",
    tags: list[str] | None = None,
    query: str = "",
    archived: bool = False,
    all_sources: bool = False,
    cursor: str = "",
    machine: str = "",
    user: str = "",
) -> "Query":
    """The query for at most so many threads. Raises InvalidQuery for a project that there is not,
    typer.BadParameter for a time that is none, and what :meth:`Answering.index` raises."""
    from cli.arguments.filters import Filters

    made = Filters(
        project=[project] if project else None,
        since=since or None,
        until=until or None,
        tag=tags,
        search=query or None,
        all_sources=all_sources,
    ).query(
        sort_key="recency_at",
        limit=limit,
        cursor=cursor or None,
        archived=archived,
    )
    await check_projects(answering, made.projects)
    return of_owner(made, machine, user)


def of_owner(query: "Query", machine: str, user: str) -> "Query":
    """The query, of a machine and a user if they are named."""
    if machine or user:
        return replace(query, machine=machine or None, users=(user,) if user else ())
    return query


async def check_projects(answering: Answering, given: Sequence[str]) -> None:
    """Raise InvalidQuery if no thread is of one of the projects ``given``, with the names that are
    most like theirs."""
    from state.query.projects import projects_steps

    if not given or answering.is_fleet:  # whose projects take long to be listed
        return
    known = await (await answering.index()).database.query(projects_steps())
    if known.chosen(given):
        return
    (project, *_), names = given, sorted({known.name(key) for key in known.folders if key})
    low = project.lower()
    near = [name for name in names if low in name.lower()]
    near = near or get_close_matches(project, names, _MOST_NAMED)
    told = ", ".join((near or names)[:_MOST_NAMED])
    there = f"; {'similar' if near else 'there are'}: {told}" if told else ""
    raise InvalidQuery(f"no thread is of a project {project[:_LONGEST]!r}{there}")
