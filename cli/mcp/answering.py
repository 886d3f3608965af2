"""What the tools have in common: the index they ask, errors that say what to do, answers."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel

from cli.mcp.redaction import Redaction
from rollout.errors import RolloutError
from state.errors import AmbiguousThread, StateError, ThreadNotFound

if TYPE_CHECKING:
    from cli.runtime.kept_index import KeptIndex
    from cli.turns.source import TurnSource
    from state.query.rows import Row
    from state.thread_index import ThreadIndex
    from state.thread_store import ThreadStore

_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_HINTS: Final = {
    "AmbiguousThread": "give the id of one of them",
    "ThreadNotFound": "call list_threads or search_threads to find its id",
    "InvalidCursor": "call again without cursor, or with the arguments that it came from",
    "TurnNotFound": "call thread_outline to see its turns",
    "AmbiguousTurn": "give its number: call thread_outline to see it",
}
"""What an agent does about an error, where the command line has another way."""
OUR_ERRORS: Final = (RolloutError, StateError, typer.BadParameter, OSError, UnicodeError)
"""What may be raised where a tool answers, and is told to the agent; the last one for values that
are not UTF-8."""
_LONGEST_ERROR: Final = 500
_MOST_CANDIDATES: Final = 10
_LONGEST: Final = 80
_PATIENCE_S: Final = 2.0
"""How long an answer waits for a long thread to be read, in seconds."""
Value = TypeVar("Value")


class Answering:
    """What the tools of one server answer from."""

    def __init__(self, kept: "KeptIndex", *, redact: bool) -> None:
        self._kept = kept
        self.redaction = Redaction(on=redact)
        self._working: set[asyncio.Task[Any]] = set()

    async def store(self) -> "ThreadStore":
        """The store of threads. Raises RolloutError or StateError if there is none now."""
        return await self._kept.store()

    async def index(self) -> "ThreadIndex":
        """The index of threads. Raises RolloutError or StateError if there is none now."""
        return (await self.store()).index

    async def thread(self, reference: str) -> "Row":
        """The row of the thread that an id, a prefix of one or a name means. Raises AmbiguousThread
        or ThreadNotFound, a tool error if that may change, and what :meth:`index` raises."""
        try:
            return await (await self.index()).thread(reference)
        except ThreadNotFound as error:
            if note := await self.incomplete():
                raise ToolError(f"{self.told(error)}. {note}") from None
            raise

    async def turns(self, row: "Row") -> "TurnSource":
        """The turns of the thread of a row. Raises what :meth:`index` raises."""
        from cli.turns.source import TurnSource

        store = await self.store()
        return TurnSource(store.index, row, store.turns)

    async def within_patience(self, work: Coroutine[Any, Any, Value]) -> Value | None:
        """What some work gives; None if it takes longer than anybody waits: it goes on behind.
        Raises what the work raises."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        return task.result() if done else None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # which nobody waits for any more

    async def incomplete(self) -> str:
        """A sentence that says why answers may be incomplete; empty if they are not. To be asked
        before the index is read: it may be complete only afterwards."""
        note = await self._kept.incomplete()
        return f"{note} Call again in a moment for the rest." if note else ""

    def redacted(self, value: Value) -> Value:
        """A text, or a JSON value, without secrets: for what is cut afterwards."""
        return self.redaction.redacted(value)

    def told(self, error: Exception) -> str:
        """What an answer has met, and what to do about it. If it says that the index is gone, that
        is opened again."""
        self._kept.note_lost(error)
        return _told(error)

    def add_tool(
        self, server: MCPServer, title: str, answer: Callable[..., Awaitable[CallToolResult]]
    ) -> None:
        """Offer a tool. Its name is that of the function, its description the docstring; parameters
        and results are typed by the annotations. Errors of ours become tool errors that say what to
        do."""

        @functools.wraps(answer)
        async def told(**arguments: Any) -> CallToolResult:
            try:
                return await answer(**arguments)
            except OUR_ERRORS as error:
                raise ToolError(self.told(error)) from None
            except _replaced() as error:
                raise ToolError("the index was opened anew meanwhile; call again") from error

        description = " ".join((answer.__doc__ or "").split())
        server.add_tool(told, title=title, description=description, annotations=_READS)


def _replaced() -> type[Exception]:
    """What is raised where the index was replaced. It is imported when something has failed."""
    from state.turns.cache import Closed

    return Closed


def answered(result: BaseModel, text: str) -> CallToolResult:
    """The answer of a tool: a typed result, and the text for a model. What is not known is left out
    of the result."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=result.model_dump(mode="json", exclude_defaults=True),
    )


def _told(error: Exception) -> str:
    from cli.errors import outcome
    from cli.terminal.text import one_line

    if isinstance(error, typer.BadParameter):
        wrong, _, hint = error.message.removeprefix("--").partition("\n")
        return "; ".join(filter(None, (_brief(wrong), hint)))
    if isinstance(error, AmbiguousThread) and error.rows:
        from cli.render.labels import label

        rows = error.rows[:_MOST_CANDIDATES]
        lines = [f"{row['id']} {_beginning(one_line(label(row)))}" for row in rows]
        return "\n".join([f"{_brief(error.summary)}; {_HINTS['AmbiguousThread']}:", *lines])
    if not isinstance(error, RolloutError | StateError):
        return f"{_brief(str(error))}; call again, or list_threads to see what there is"
    named = (_HINTS.get(kind.__name__) for kind in type(error).__mro__)
    hint = next(filter(None, named), None) or outcome(error).hint
    return f"{_brief(str(error))}; {hint}"


def _brief(text: str) -> str:
    """A line of an error, which may repeat whatever was given."""
    from cli.terminal.text import one_line, shortened

    return shortened(one_line(text[: 2 * _LONGEST_ERROR]), _LONGEST_ERROR)


def _beginning(text: str) -> str:
    """The first words of a text: whole ones, as nobody knows half of a secret for one."""
    return text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0]
