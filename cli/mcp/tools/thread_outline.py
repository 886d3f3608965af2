"""``thread_outline``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import AfterValidator, BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, Cursor, MaxTokens, at_most, continued, shortened
from cli.mcp.thread_entry import Thread, ThreadEntry, entries
from rollout.errors import TurnNotFound

if TYPE_CHECKING:
    from rollout.history.turn_outline import ListedTurn
    from state.query.rows import Row
    from state.thread_store import ThreadStore

_MOST_NAMED: Final = 12
"""Files and commands of a turn that are named."""
_LONGEST_NAME: Final = 200


class OutlineTurn(BaseModel):
    """A turn: what was asked, and what came of it."""

    turn: int = Field(0, description="Its number, for read_turns; not there while it is unknown.")
    began_at: str = ""
    prompt: str = Field("", description="The first line of what the user wrote.")
    took: str = ""
    ended: str = Field("", description="How, unless it completed.")
    files: list[str] = Field([], description="The files that it changed.")
    failures: list[str] = Field([], description="The commands that failed.")
    tokens: int = 0

    @property
    def text(self) -> str:
        """The same for a model."""
        from cli.terminal.text import amount

        used = f"{amount(self.tokens)} tokens" if self.tokens else ""
        facts = ", ".join(filter(None, (self.began_at, self.took, self.ended, used)))
        told = f"{self.turn or '*'}. {self.prompt}{facts and f' ({facts})'}\n"
        if self.files:
            told += f"   changed: {', '.join(self.files)}\n"
        if self.failures:
            told += f"   failed: {'; '.join(self.failures)}\n"
        return told


class Outline(BaseModel):
    """The turns of a thread."""

    thread: ThreadEntry
    turns: list[OutlineTurn]
    total: int = Field(0, description="How many turns there are in all.")
    next_cursor: str = ""
    note: str = Field("", description="Why something may be missing.")

    @property
    def text(self) -> str:
        """The same for a model."""
        turns = "".join(turn.text for turn in self.turns)
        parts = (self.thread.text, self.note, turns, continued(self.next_cursor))
        return "\n".join(filter(None, parts))


def _turn(number: int) -> int:
    """The number of a turn. Raises ValueError if there can be none."""
    if not number:
        raise ValueError("turns count from 1, or from the end: -1 is the last one")
    return number


FromTurn = Annotated[
    int,
    AfterValidator(_turn),
    Field(description="The first turn: from 1, or from the end, -1 for the last one."),
]
MOST_TURNS: Final = 200
TurnLimit = Annotated[int, at_most(MOST_TURNS), Field(description=f"Turns, at most {MOST_TURNS}.")]


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``thread_outline``."""

    async def thread_outline(
        thread: Thread,
        from_turn: FromTurn = 1,
        limit: TurnLimit = MOST_TURNS,
        cursor: Cursor = "",
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, Outline]:
        """Show what a coding-agent thread (past session) is about: its turns in a line each, with
        the prompt, changed files, failed commands and tokens. Call it before read_turns, to see
        which turns to read."""
        row = await answering.thread(thread)
        outline = await outline_of(answering, row, _number(cursor, from_turn), max_tokens, limit)
        return answered(outline, outline.text)

    answering.add_tool(server, "Outline of a thread", thread_outline)


async def outline_of(
    answering: Answering, row: "Row", first: int, max_tokens: int, limit: int = MOST_TURNS
) -> Outline:
    """As many turns of a thread as fit, from one on: its number, or one from the end. Raises
    TurnNotFound."""
    from cli.render.labels import passed_over_note

    incomplete = await answering.incomplete()
    (entry,) = await entries(answering, [row])
    budget = Budget(max_tokens)
    budget.takes(entry, entry.text)
    store, there = await (await answering.store()).holding(row)
    found = await _stored(store, there, first) or await _read(answering, store, there, first)
    if found is None:
        return await _last_turns(answering, row, entry, budget)
    total, listed = found
    if first > max(total, 1):
        numbers = [*map(str, range(1, total + 1))]
        raise TurnNotFound(str(first), numbers)
    listed = listed[:limit]
    made = (_outlined(answering, turn) for turn in listed)
    taken = budget.first_of((turn, turn.text) for turn in made)
    behind = listed[len(taken) - 1].number + 1 if taken else total + 1
    return Outline(
        thread=entry,
        turns=[turn for turn, _ in taken],
        total=total,
        next_cursor=str(behind) if behind <= total else "",
        note=" ".join(filter(None, (incomplete, answering.redacted(passed_over_note(there))))),
    )


def _number(cursor: str, from_turn: int) -> int:
    """The number of the first turn, or one from the end. Raises InvalidCursor."""
    from state.errors import InvalidCursor

    if not cursor:
        return from_turn
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10 and int(cursor)):
        raise InvalidCursor(cursor[:100], "it is none of this tool's")
    return int(cursor)


def _places(first: int, total: int) -> range:
    begin = first - 1 if first > 0 else max(total + first, 0)
    return range(begin, min(begin + MOST_TURNS, total))


async def _stored(
    store: "ThreadStore", row: "Row", first: int
) -> "tuple[int, Sequence[ListedTurn]] | None":
    """How many turns a thread has, and some of them, if the index has its outline."""
    from state.turns.listing import outline_steps

    index = store.index
    total = 0

    def choose(ids: Sequence[str]) -> Sequence[int]:
        nonlocal total
        total = len(ids)
        return _places(first, total)

    path = index.home / row["rollout_path"]
    found = await index.database.query(outline_steps(row["id"], path, index.home, choose))
    return None if found is None else (total, found.turns)


async def _read(
    answering: Answering, store: "ThreadStore", row: "Row", first: int
) -> "tuple[int, Sequence[ListedTurn]] | None":
    """The same from its files. None if that takes longer than anybody waits: it goes on."""
    every = await answering.within_patience(
        store.turns.outline(row["id"], store.home / row["rollout_path"])
    )
    if every is None:
        return None
    places = _places(first, len(every))
    return len(every), every[places.start : places.stop]


async def _last_turns(
    answering: Answering, row: "Row", entry: ThreadEntry, budget: Budget
) -> Outline:
    """What is known of a long thread before all of it is read."""
    from cli.terminal.text import iso

    source = await answering.turns(row)
    known = await source.known()
    prompts = await source.prompts(known.heads)
    made = [
        OutlineTurn(
            turn=head.number or 0,
            began_at=iso(head.started_ms),
            prompt=shortened(answering.redaction.redacted_beginning(about.prompt), _LONGEST_NAME),
            took=head.duration,
            ended=head.status,
        )
        for head, about in zip(known.heads, prompts, strict=True)
    ]
    taken = budget.first_of((turn, turn.text) for turn in reversed(made))
    return Outline(
        thread=entry,
        turns=[turn for turn, _ in reversed(taken)],
        note=f"The thread is being read, {source.progress():.0%} so far. These are its last turns:"
        " call again in a moment for all of them.",
    )


def _outlined(answering: Answering, listed: "ListedTurn") -> OutlineTurn:
    from cli.render.blocks.tools import duration_text
    from cli.terminal.text import iso
    from rollout.turns.turn import COMPLETED, IN_PROGRESS

    turn, found = listed.turn, listed.outline

    def named(texts: Sequence[str]) -> list[str]:
        more = [f"and {len(texts) - _MOST_NAMED:,} more"] if len(texts) > _MOST_NAMED else []
        clean = map(answering.redaction.redacted_beginning, texts[:_MOST_NAMED])
        return [*(shortened(text, _LONGEST_NAME) for text in clean), *more]

    return OutlineTurn(
        turn=listed.number,
        began_at=iso(listed.started_ms),
        prompt=answering.redaction.redacted_beginning(listed.prompt),
        took="" if turn.duration_ms is None else duration_text(turn.duration_ms),
        ended="" if turn.status in (COMPLETED, IN_PROGRESS) else turn.status,
        files=named([file.path for file in found.files]),
        failures=named([failed.command for failed in found.failures]),
        tokens=found.tokens or 0,
    )
