"""``read_turns``."""

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Annotated, Final, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, Cursor, MaxTokens, continued, shortened, size_of
from cli.mcp.thread_entry import Thread, title_of
from cli.mcp.tools.thread_outline import MOST_TURNS, FromTurn, TurnLimit

if TYPE_CHECKING:
    from cli.mcp.places import Place
    from cli.mcp.turn_text import Piece, TurnWriter
    from cli.turns.heads import KnownTurns, TurnHead
    from cli.turns.source import TurnSource
    from state.query.rows import Row

_MOST_CHUNKS: Final = 50
"""So many parts of turns are looked at for an answer, however little of them is told."""
_HEADING: Final = 200
"""Bytes of what is said of a turn besides its text."""
_LONGEST_TITLE: Final = 80
_LONGEST_NOTE: Final = 400
_SHOWN: Final = 3
"""Warnings that are told, and turns that an error names."""
Part = Literal["messages", "tools", "patches", "reasoning"]
Include = Annotated[
    list[Part] | None,
    Field(
        description="What to tell of them, by default messages. tools: commands and other calls"
        " with the first and last lines of their output; patches: what was changed in files."
    ),
]


class TurnText(BaseModel):
    """A turn, or as much of it as fits."""

    turn: int = Field(0, description="Its number; not there while it is unknown.")
    began_at: str = ""
    took: str = ""
    ended: str = Field("", description="How, unless it completed.")
    text: str = Field("", description="What was said and done, as Markdown.")

    @property
    def heading(self) -> str:
        """The heading for its text."""
        name = f"turn {self.turn}" if self.turn else "turn"
        return f"## {' · '.join(filter(None, (name, self.began_at, self.took, self.ended)))}\n"


class Turns(BaseModel):
    """Turns of a thread."""

    thread: str = Field(description="Its id.")
    title: str
    turns: list[TurnText]
    next_cursor: str = ""
    note: str = Field("", description="What is missing or damaged.")

    @property
    def text(self) -> str:
        """The same for a model."""
        told = (f"{turn.heading}\n{turn.text}" for turn in self.turns)
        head = f"# {self.title} (`{self.thread}`)\n"
        return "\n".join(filter(None, (head, self.note, *told, continued(self.next_cursor))))


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``read_turns``."""

    async def read_turns(
        thread: Thread,
        from_turn: FromTurn = -1,
        include: Include = None,
        limit: TurnLimit = MOST_TURNS,
        cursor: Cursor = "",
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, Turns]:
        """Read turns of a coding-agent thread (past session), from one of them to the end: what the
        user and the agent said, and on request commands, patches and reasoning. The last turn by
        default."""
        row = await answering.thread(thread)
        parts = {*(include or ["messages"])}
        turns = await turns_of(answering, row, from_turn, parts, max_tokens, cursor, limit)
        return answered(turns, turns.text)

    answering.add_tool(server, "Read turns", read_turns)


async def turns_of(
    answering: Answering,
    row: "Row",
    from_turn: int,
    parts: Set[str],
    max_tokens: int,
    cursor: str = "",
    limit: int = MOST_TURNS,
) -> Turns:
    """As much of ``limit`` turns of a thread as fits, from one on: its number, one from the end, or
    what a cursor says. Raises as :func:`_beginning` does."""
    from cli.mcp.turn_text import LEAST, TurnWriter

    incomplete = await answering.incomplete()
    source = await answering.turns(row)
    known, turns, begin = await _beginning(answering, source, from_turn, cursor)
    title = shortened(title_of(answering, row), _LONGEST_TITLE)
    warnings = answering.redacted(" ".join(known.warnings[:_SHOWN]))
    note = shortened(f"{incomplete} {warnings}".strip(), _LONGEST_NOTE)
    left = max(Budget(max_tokens).left - size_of(title) - size_of(note), _HEADING + LEAST)
    told, stopped = await _written(
        source, turns, limit, begin, TurnWriter(begin, parts, left, answering.redacted)
    )
    return Turns(
        thread=row["id"],
        title=title,
        turns=told,
        next_cursor=stopped.encode() if stopped else "",
        note=note,
    )


async def _beginning(
    answering: Answering, source: "TurnSource", from_turn: int, cursor: str
) -> "tuple[KnownTurns, Sequence[TurnHead], Place]":
    """The turns that are known, those to be read, and the place in the first. Raises InvalidCursor
    or TurnNotFound, and a tool error if all turns are needed and that takes longer than anybody
    waits."""
    from cli.mcp.places import decoded

    place = decoded(cursor) if cursor else None
    known = await source.known()
    if (found := _found(known, from_turn, place)) is None and known.partial:
        every = await answering.within_patience(source.known(whole=True))
        if every is None:
            raise ToolError(
                f"the thread is long and is being read, {source.progress():.0%} so far; call again"
                " in a moment, or read its last turn: from_turn=-1"
            )
        known, found = every, _found(every, from_turn, place)
    if found is None:
        raise _not_found(known, from_turn, cursor)
    return known, *found


def _found(
    known: "KnownTurns", from_turn: int, place: "Place | None"
) -> "tuple[Sequence[TurnHead], Place] | None":
    from cli.mcp.places import Place

    turns = [head for head in known.heads if head.number != 0] or known.heads
    if place is not None:
        at = next((at for at, head in enumerate(turns) if head.key == place.turn), None)
        return None if at is None else (turns[at:], place)
    if not turns:
        return (), Place(("", 0, 0))
    at = from_turn - 1 if from_turn > 0 else len(turns) + from_turn
    if at < 0 and not known.partial:
        at = 0
    if not 0 <= at < len(turns) or (known.partial and from_turn > 0):
        return None
    return turns[at:], Place(turns[at].key)


def _not_found(known: "KnownTurns", from_turn: int, cursor: str) -> Exception:
    from rollout.errors import TurnNotFound
    from state.errors import InvalidCursor

    if cursor:
        return InvalidCursor(cursor[:100], "its turn is not there any more")
    ids = [head.id for head in known.heads]
    last = [(head.number or 0, "") for head in known.heads[-_SHOWN:]]
    return TurnNotFound(str(from_turn), ids, last)


async def _written(
    source: "TurnSource",
    turns: "Sequence[TurnHead]",
    limit: int,
    begin: "Place",
    writer: "TurnWriter",
) -> "tuple[list[TurnText], Place | None]":
    """As much of some turns as fits, and where the next answer begins."""
    from cli.mcp.places import Place

    told: list[TurnText] = []
    looked_at = 0
    for head in turns:
        if len(told) == limit or (told and writer.left < 2 * _HEADING):
            return told, Place(head.key)
        writer.left -= _HEADING
        texts: list[str] = []
        number, stopped = begin.chunk if head.key == begin.turn else 0, None
        while stopped is None:
            piece, count = await _chunk(source, head, number, writer)
            texts += filter(None, [piece.text])
            number, looked_at, stopped = number + 1, looked_at + 1, piece.stopped
            if number >= count:
                break
            if stopped is None and looked_at >= _MOST_CHUNKS:
                stopped = Place(head.key, number)
        told.append(_told(head, "\n".join(texts)))
        if stopped is not None:
            return told, stopped
    return told, None


async def _chunk(
    source: "TurnSource", head: "TurnHead", number: int, writer: "TurnWriter"
) -> "tuple[Piece, int]":
    """What is written of a chunk of a turn, and how many the turn has. Raises a tool error if
    it is not there any more."""
    (chunk,) = await source.chunks(
        [(head, number)], lambda _, blocks: writer.write(head.key, number, blocks)
    )
    if chunk is None or number >= chunk.of:
        raise ToolError("the thread has changed meanwhile; call again without cursor")
    return chunk.made, chunk.of


def _told(head: "TurnHead", text: str) -> TurnText:
    from cli.terminal.text import iso

    return TurnText(
        turn=head.number or 0,
        began_at=iso(head.started_ms),
        took=head.duration,
        ended=head.status,
        text=text,
    )
