"""The end of a thread, or where something was said in it, read and drawn beside the event loop."""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.segment import Segment
from rich.text import Text

from cli.browse.threads.lines import MATCH
from cli.render.blocks.block import Block, Form, Role, collapsed
from cli.render.blocks.items import blocks
from cli.terminal.cells import steady
from cli.terminal.drawing import console, markdown
from cli.terminal.text import local, plural, printable
from rollout.files.cancellation import check_cancelled
from rollout.history.segments import Find
from rollout.history.thread import bare_if_empty, outline
from rollout.history.transcript import Transcript, with_calls
from rollout.search.terms import Matcher, Term
from state.turns.checkpoint import reduce_anew, reduce_if_short, tail_states

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rollout.search.messages import Message

Line = list[Segment]
_MOST_TURNS: Final = 3
_MOST_BLOCKS: Final = 60
"""Blocks of a turn that are shown; a long turn shows its last ones."""
_OUTPUT_LINES: Final = 3
_LONGEST: Final = 4_000
"""Characters of a message that are drawn."""
_TITLES: Final = {
    Role.TOOL: "dim",
    Role.NOTE: "yellow",
    Role.ERROR: "bold red",
}


class Drawn(NamedTuple):
    """A preview, ready to be shown."""

    lines: list[Line]
    at: int | None = None
    """The line with the first match."""


def read_preview(
    path: Path,
    find: Find,
    width: int,
    terms: Sequence[Term],
    said: "Sequence[Message]",
    match: str = MATCH,
) -> Drawn:
    """The last turns of the thread at ``path``, or with ``said`` the turn of its first message;
    call it in a thread. Matches have the style ``match``.

    Raises:
        HistoryUnknown: its history mode is not known.
        OSError: a file cannot be read.
    """
    draw = _Drawing(width)
    draw.turns(path, find, said)
    return _with_matches(draw.lines, terms, match)


class _Drawing:
    """Draws turns as lines of a width."""

    def __init__(self, width: int) -> None:
        self.lines: list[Line] = []
        self._width = max(width, 10)
        self._console: Console = console(StringIO(), self._width)

    def turns(self, path: Path, find: Find, said: "Sequence[Message]") -> None:
        """Draw the last turns, or the one in which something was said."""
        plan = outline(path, find)
        state = (
            reduce_if_short(plan, check_cancelled)
            or next(tail_states(plan, pause=check_cancelled), None)
            or reduce_anew(plan, check_cancelled)
        )
        whole = not state.partial
        with Transcript(bare_if_empty(state.history)) as transcript:
            ids = [turn.id for turn in transcript.turns]
            wanted = said[0].turn_id if said else None
            if wanted in ids:
                numbers = range(ids.index(wanted), min(ids.index(wanted) + 2, len(ids)))
            elif said:
                self._said(said)
                return
            else:
                numbers = range(max(len(ids) - _MOST_TURNS, 0), len(ids))
            if whole and numbers and numbers[0]:
                self._aside(f"… {plural(numbers[0], 'earlier turn')}")
            for number in numbers:
                self._turn(transcript, number)
            if not ids:
                self._aside("No messages yet.")

    def _said(self, said: "Sequence[Message]") -> None:
        for message in said:
            role = Role.USER if message.kind == "userMessage" else Role.AGENT
            self._block(Block(role, role, message.text, Form.MARKDOWN))

    def _turn(self, transcript: Transcript, number: int) -> None:
        turn = transcript.turns[number]
        started = None if turn.started_at is None else turn.started_at * 1000
        if self.lines:
            self.lines.append([])
        self._aside(" · ".join(filter(None, (f"turn {number + 1}", local(started)))))
        entries = with_calls(transcript.entries(number))
        made = (each for item, call in entries for each in blocks(item, call))
        first = [*islice(made, 1)]
        rest: deque[Block] = deque(maxlen=_MOST_BLOCKS)
        for each in made:
            check_cancelled()
            rest.append(each)
        for each in (*first, *rest):
            self._block(each)

    def _block(self, block: Block) -> None:
        text = block.text[:_LONGEST]
        match block.role:
            case Role.USER:
                self._hanging("❯ ", "bold cyan", Text(text, style="bold"))
            case Role.AGENT:
                self._hanging("• ", "bold green", _drawn_markdown(text))
            case Role.REASONING:
                line = text.strip().split("\n")[0].replace("**", "")
                self._hanging("  ", "", Text(line, style="italic dim"))
            case _:
                self._tool(block)

    def _tool(self, block: Block) -> None:
        title = f"$ {block.title}" if block.command else block.title
        line = Text(title.split("\n")[0], style=_TITLES[block.role], no_wrap=True)
        if block.state:
            line.append(f"  {block.state}", style="red" if block.failed else "dim")
        line.overflow = "ellipsis"
        self._hanging("  ", "", line)
        head, hidden, tail = collapsed(block, full=False)
        shown = [*head, *tail]
        for text in shown[:_OUTPUT_LINES]:
            style = _diff_style(text) if block.form is Form.DIFF else "dim"
            piece = Text(text, style=style, no_wrap=True, overflow="ellipsis")
            self._hanging("    ", "", piece)
        if (more := len(shown) + hidden - _OUTPUT_LINES) > 0:
            self._hanging("    ", "", Text(f"… {plural(more, 'more line')}", style="dim"))

    def _aside(self, text: str) -> None:
        self._hanging("", "", Text(text, style="dim"))

    def _hanging(self, mark: str, style: str, shown: "RenderableType") -> None:
        """Draw something with a mark before its first line."""
        drawing = self._console
        options = drawing.options.update_width(self._width - len(mark))
        front = drawing.get_style(style) if style else None
        for number, line in enumerate(drawing.render_lines(shown, options, pad=False)):
            before = Segment(mark if not number else " " * len(mark), front)
            self.lines.append([before, *(_clean(piece) for piece in line)])


def _drawn_markdown(text: str) -> "RenderableType":
    try:
        return markdown()(text, "none")
    except RecursionError:  # deeply nested lists
        return Text(text)


def _clean(piece: Segment) -> Segment:
    """Markdown can spell characters that were removed from its source."""
    return Segment(steady(printable(piece.text)), piece.style)


def _diff_style(line: str) -> str:
    return "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"


def _with_matches(lines: Iterable[Line], terms: Sequence[Term], style: str) -> Drawn:
    """The lines with the terms highlighted."""
    drawn = [*lines]
    if not terms:
        return Drawn(drawn)
    matcher, first = Matcher(terms), None
    for number, line in enumerate(drawn):
        text = Text.assemble(*((piece.text, piece.style or "") for piece in line))
        spans = [*matcher.spans(text.plain)]
        if not spans:
            continue
        for start, end in spans:
            text.stylize(style, start, end)
        drawn[number] = [*text.render(_plain_console())]
        if first is None:
            first = number
    return Drawn(drawn, first)


@lru_cache(maxsize=1)
def _plain_console() -> "Console":
    return console(StringIO(), 80)
