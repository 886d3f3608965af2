"""What the tools have in common: the index they ask, errors that say what to do, answers."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel

from cli.arguments.locations import options_of
from cli.mcp.budget import CUT
from cli.mcp.redaction import Redaction
from cli.mcp.refusals import OUR_ERRORS, told_to_agents
from state.errors import AmbiguousThread, StateError, ThreadNotFound

if TYPE_CHECKING:
    from cli.runtime.serving.kept_index import KeptIndex
    from cli.turns.source import TurnSource
    from state.query.rows import Row
    from state.thread_index import ThreadIndex
    from state.thread_store import ThreadStore

_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_WORDS: Final = 8
"""So many words of a title are looked for."""
_PATIENCE_S: Final = 2.0
"""How long an answer waits for a long thread to be read, in seconds."""
Value = TypeVar("Value")


class Answering:
    """What the tools of one server answer from."""

    def __init__(self, kept: "KeptIndex", *, redact: bool) -> None:
        self._kept = kept
        self.redaction = Redaction(on=redact)
        self._working: set[asyncio.Task[Any]] = set()

    @property
    def is_fleet(self) -> bool:
        """Whether the threads are those of a fleet."""
        return self._kept.here.fleet is not None

    async def store(self) -> "ThreadStore":
        """The store of threads. Raises RolloutError or StateError if there is none now."""
        return await self._kept.store()

    async def index(self) -> "ThreadIndex":
        """The index of threads. Raises RolloutError or StateError if there is none now."""
        return (await self.store()).index

    async def thread(self, reference: str) -> "Row":
        """The row of the thread that an id, a prefix of one, a name or a title means. Raises
        AmbiguousThread or ThreadNotFound, a tool error if that may change, and what :meth:`index`
        raises."""
        reference, index = reference.strip(), await self.index()
        incomplete = await self.incomplete()
        if not await index.resolve(reference) and (rows := await self._entitled(reference)):
            if len(rows) > 1:
                raise AmbiguousThread(reference, [row["id"] for row in rows], rows)
            return rows[0]
        try:
            return await index.thread(reference)
        except AmbiguousThread:
            raise
        except ThreadNotFound as error:
            if incomplete:
                raise ToolError(f"{self.told(error)}. {incomplete}") from None
            raise

    async def _entitled(self, title: str) -> "list[Row]":
        """The threads that lists show with this title, the most recently used first."""
        from cli.mcp.thread_entry import title_of
        from state.query.model import LARGEST_PAGE, Query

        title = " ".join(title.split())
        words = tuple(title.removesuffix(CUT).split()[:_WORDS])
        if not words:
            return []
        index = await self.index()
        found: list[Row] = []
        for archived in (False, True):
            query = Query(
                words=words,
                all_sources=True,
                archived=archived,
                sort_key="recency_at",
                limit=LARGEST_PAGE,
            )
            found += (await index.page(query)).rows
        return [row for row in found if title_of(self, row) == title]

    async def turns(self, row: "Row") -> "TurnSource":
        """The turns of the thread of a row. Raises what :meth:`index` raises."""
        from cli.turns.source import shared_turns

        return await shared_turns(await self.store(), row)

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
        options = ""
        with suppress(StateError):  # nobody knows where the usual home is
            options = options_of(self._kept.here)
        return told_to_agents(error, options)

    @contextmanager
    def refusing(
        self,
        refusal: Callable[[str], Exception] = ToolError,
        not_found: Callable[[str], Exception] | None = None,
    ) -> Generator[None]:
        """Raise as a ``refusal`` what an answer has met, and as ``not_found`` that there is no such
        thread."""
        try:
            yield
        except ToolError as error:  # told already
            raise refusal(str(error)) from None
        except ThreadNotFound as error:
            raise (not_found or refusal)(self.told(error)) from None
        except OUR_ERRORS as error:
            raise refusal(self.told(error)) from None
        except _replaced() as error:
            raise refusal("the index was opened anew meanwhile; call again") from error

    def add_tool(
        self, server: MCPServer, title: str, answer: Callable[..., Awaitable[CallToolResult]]
    ) -> None:
        """Offer a tool. Its name is that of the function, its description the docstring; parameters
        and results are typed by the annotations. Errors of ours become tool errors that say what to
        do."""

        @functools.wraps(answer)
        async def told(**arguments: Any) -> CallToolResult:
            with self.refusing():
                return await answer(**arguments)

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
