"""``find_file_changes``."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, Cursor, MaxTokens, continued, shortened
from cli.mcp.thread_entry import ThreadEntry, entries
from cli.mcp.tools.list_threads import left_out
from cli.mcp.wanted import AllSources, Archived, Project, Since, ThreadLimit, wanted

if TYPE_CHECKING:
    from rollout.search.patches import Patch
    from state.fulltext.changed_files import ChangingThreads, LastChange
    from state.query.model import Query
    from state.query.rows import Row
    from state.thread_index import ThreadIndex

_USUAL_LIMIT: Final = 10
_CHANGES: Final = 5
"""Changes of a thread, with patches, the last ones."""
_LONGEST_PATH: Final = 500
_AROUND: Final = 5_000
"""Secrets are looked for in so many characters more than are told of a patch."""
_LEAST_PATCH: Final = 400
_LONGEST_PATCH: Final = 8_000
"""A patch is cut to the half of what is left of the answer, within these bytes."""


class FileChange(BaseModel):
    """A change of a file."""

    path: str = Field(description="As the patch has it: absolute, or relative to the folder.")
    kind: str = Field(description="added, changed, deleted or moved.")
    at: str = Field("", description="When, in UTC.")
    turn: int = Field(0, description="Its turn, for read_turns; not there while it is unknown.")
    patch: str = Field("", description="A unified diff, if asked for.")

    @property
    def text(self) -> str:
        """The same for a model."""
        from cli.render.markdown import fenced

        turn = f"turn {self.turn}, " if self.turn else ""
        line = f"  {turn}{self.kind} {self.path}{f' at {self.at}' if self.at else ''}\n"
        return line + (fenced(self.patch, "diff") if self.patch else "")


class ChangingThread(ThreadEntry):
    """A thread that changed a file."""

    changes: list[FileChange] = Field([], description="The last ones, in their order.")
    count: int = Field(description="How many changes of such files it made in all.")

    @property
    def text(self) -> str:
        """The same for a model."""
        more = self.count - len(self.changes)
        earlier = f"  {more:,} earlier change{'s' * (more > 1)}\n" if more > 0 else ""
        return f"{super().text}{earlier}{''.join(change.text for change in self.changes)}"


class FileChanges(BaseModel):
    """Threads that changed a file."""

    threads: list[ChangingThread] = Field(
        description="The one that changed such a file last comes first."
    )
    next_cursor: str = ""
    note: str = Field("", description="Why there may be more, or what was searched for.")


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``find_file_changes``."""

    async def find_file_changes(
        path: Annotated[
            str, Field(description="A path, or a part of one, such as its name. Case aside.")
        ],
        project: Project = "",
        since: Since = "",
        archived: Archived = False,
        all_sources: AllSources = False,
        with_patch: Annotated[
            bool, Field(description="With the last patches of each thread.")
        ] = False,
        limit: ThreadLimit = _USUAL_LIMIT,
        cursor: Cursor = "",
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, FileChanges]:
        """Find the coding-agent threads (past sessions) whose patches changed a file, to learn who
        changed it when and why: the newest change first. Read on with read_turns at the turn of a
        change. What shell commands did to files is not known."""
        from rollout.files.scan import stat_file
        from state.errors import InvalidQuery

        if not path.strip():
            raise InvalidQuery("path is empty: give a path or a part of one")
        index = await answering.index()
        incomplete = await answering.incomplete()
        among = await wanted(
            answering,
            limit,
            project=project,
            since=since,
            archived=archived,
            all_sources=all_sources,
            cursor=cursor,
        )
        name, found = await _found(index, path.strip(), among)
        taken, budget, behind = list[ChangingThread](), Budget(max_tokens), len(found.threads)
        for at, (row, last) in enumerate(found.threads):
            if stat_file(index.home, row["rollout_path"]) is None:
                continue
            thread = await _thread(answering, row, last, name, budget.left * with_patch)
            if not budget.takes(thread, thread.text) and taken:
                behind = at
                break
            taken.append(thread)
        if behind < len(found.threads):  # the next page begins behind what fits
            name, found = await _found(index, path.strip(), replace(among, limit=behind))
        hidden = left_out(await index.count(among), "searched")
        notes = [incomplete, *_notes(path.strip(), name, found), hidden]
        result = FileChanges(
            threads=taken,
            next_cursor=found.next_cursor or "",
            note=" ".join(filter(None, notes)),
        )
        return answered(result, _text(result))

    answering.add_tool(server, "Changes of a file", find_file_changes)


async def _found(index: "ThreadIndex", path: str, among: "Query") -> "tuple[str, ChangingThreads]":
    """The threads that changed a file, and by what part of its path they are found: patches may
    have paths that are relative to where they ran, and of a whole path then only the end."""
    from state.errors import InvalidCursor
    from state.fulltext.changed_files import ChangingThreads, newest_changes_steps

    async def changing(name: str) -> ChangingThreads:
        return await index.database.query(newest_changes_steps(name, among))

    *longer, shortest = names = [path, *_ends(path)]
    if among.cursor:  # it belongs to one of them
        for name in longer:
            with suppress(InvalidCursor):
                return name, await changing(name)
        return shortest, await changing(shortest)
    name, found = path, await changing(path)
    for end in reversed(names[1:] if not found.threads else ()):
        more = await changing(end)
        if not more.threads:
            break
        name, found = end, more
    return name, found


def _ends(path: str) -> list[str]:
    """The ends of a whole path, down to the name of the file."""
    if not path.startswith(("/", "~/", "./", "../")):
        return []
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "~", "..")]
    return ["/".join(parts[at:]) for at in range(len(parts))]


async def _thread(
    answering: Answering, row: "Row", last: "LastChange", name: str, patch_bytes: int
) -> ChangingThread:
    """A thread with its last change, or with its last patches in about so many bytes."""
    from cli.mcp.turn_numbers import Found, turn_numbers
    from rollout.search.patches import ChangePlace, Patch, read_patches
    from state.fulltext.changed_files import thread_changes_steps

    store = await answering.store()
    index = store.index
    where = await index.database.query(thread_changes_steps(row["id"], name))
    places = where.places[-_CHANGES if patch_bytes else -1 :]
    diffs = patch_bytes > 0

    def read() -> list[tuple[ChangePlace, Patch]]:
        """The patches, each with its place."""
        return [
            (place, patch)
            for place in places
            for patch in read_patches(index.home, where.files, [place], diffs=diffs)
        ]

    there = await index.database.workers.run(read)
    numbers = await turn_numbers(
        store,
        row,
        [
            Found(patch.turn_id or "", where.files[place.file], place.offset)
            for place, patch in there
        ],
    )
    patches = [patch for _, patch in there]
    if not patches:  # it is not there any more, or cannot be read
        numbers, patches = [0], [Patch(last.path, last.kind, last.at_ms, None, None)]
    most = min(max(patch_bytes // 2 // len(patches), _LEAST_PATCH), _LONGEST_PATCH)
    (entry,) = await entries(answering, [row])
    return ChangingThread(
        **entry.model_dump(),
        changes=[
            _change(answering, patch, number, most if patch_bytes else 0)
            for patch, number in zip(patches, numbers, strict=True)
        ],
        count=last.changes,
    )


def _change(answering: Answering, patch: "Patch", turn: int, most: int) -> FileChange:
    from cli.terminal.text import iso, one_line

    diff = answering.redaction.redacted_piece(patch.diff or "", 0, most + _AROUND) if most else ""
    return FileChange(
        path=shortened(one_line(answering.redacted(patch.path)), _LONGEST_PATH),
        kind=patch.kind,
        at="" if patch.at_ms is None else iso(patch.at_ms),
        turn=turn,
        patch=shortened(diff, most),
    )


def _notes(path: str, name: str, found: "ChangingThreads") -> Iterator[str]:
    from cli.terminal.text import plural

    if name != path and found.threads:
        yield f"No patch has the path {path}: these have {name}."
    if found.unindexed:
        yield f"{plural(found.unindexed, 'thread')} to index: some changes may be missing."


def _text(result: FileChanges) -> str:
    """The same for a model."""
    threads = "".join(thread.text for thread in result.threads)
    if not (threads or result.next_cursor):
        nothing = "No thread changed such a file by a patch. Try only its name."
        return f"{nothing} {result.note}".strip()
    return f"{result.note}\n\n{threads}".strip() + continued(result.next_cursor)
