"""The outline of a thread: one line a turn, read when it is seen."""

import time
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from cli.browse.reader.drawing import LinesView
from cli.browse.reader.pieces import wrap
from cli.browse.reader.work import TROUBLE, begin
from cli.terminal.cells import cells, settled
from cli.terminal.text import amount
from cli.turns.heads import OutlineEntry, TurnHead, TurnKey
from cli.turns.source import TurnSource

_AT_ONCE: Final = 100
"""Rows that are read together."""
_SHORTEST: Final = 10
"""Cells of a prompt that are shown before what came of the turn."""


class OutlineView(LinesView):
    """Number, time, prompt and what came of it, for each turn."""

    FOCUS_ON_CLICK = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "move(-1000000000)", show=False),
        Binding("end", "move(1000000000)", show=False),
        Binding("enter", "choose", show=False),
    ]
    DEFAULT_CSS = """
    OutlineView {
        width: 36%;
        min-width: 36;
        max-width: 60;
        border-left: solid ansi_bright_black;
        overflow-y: auto;
        &:focus { border-left: solid ansi_yellow; }
    }
    """

    @dataclass
    class Chosen(Message):
        """A turn is to be shown."""

        place: int

    def __init__(self, source: TurnSource, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._source = source
        self._heads: list[TurnHead] = []
        self._rows: dict[TurnKey, OutlineEntry] = {}
        self._at = 0
        self._filling = False
        self._stuck = False

    @property
    def settled(self) -> bool:
        """Whether all rows that are seen are here."""
        return not self._filling and (self._stuck or not self._wanted())

    def show(self, heads: list[TurnHead]) -> None:
        """Show these turns."""
        self._heads = heads
        self.virtual_size = Size(self._width(), len(heads))
        self._after()

    def know(self, rows: dict[TurnKey, OutlineEntry]) -> None:
        """Show also what came of the turns."""
        self._rows |= rows
        self.refresh()

    def follow(self, place: int) -> None:
        """Mark the turn that is read."""
        if place == self._at:
            return
        self._at = place
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if not top <= place < top + height:
            self.scroll_to(y=max(place - height // 2, 0), animate=False)
        self._after()

    def action_move(self, by: int) -> None:
        if self._heads:
            place = min(max(self._at + by, 0), len(self._heads) - 1)
            self.follow(place)
            self.post_message(self.Chosen(place))

    def action_move_page(self, pages: int) -> None:
        self.action_move(pages * max(self.size.height - 1, 1))

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self._at))
        self.screen.focus_next()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        place = event.y + self.scroll_offset.y
        if place < len(self._heads):
            self.follow(place)
            self.post_message(self.Chosen(place))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._fill()

    def on_resize(self) -> None:
        self._after()

    def on_show(self) -> None:
        self._after()

    def _after(self) -> None:
        self.refresh()
        self._fill()

    # Reading

    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _wanted(self) -> list[TurnHead]:
        if not self.display:
            return []
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        near = self._heads[max(top - height, 0) : top + 2 * height]
        return [head for head in near if head.key not in self._rows]

    def _fill(self) -> None:
        if not self._filling and self.is_mounted and self._wanted():
            self._filling = True
            begin(self, self._fill_all, "outline")

    async def _fill_all(self) -> None:
        self._stuck = False
        try:
            while wanted := self._wanted()[:_AT_ONCE]:
                rows = await self._source.prompts(wanted)
                for head, row in zip(wanted, rows, strict=True):
                    self._rows.setdefault(head.key, row)
                self.refresh()
        except TROUBLE:  # the view of the turns says so
            self._stuck = True
        finally:
            self._filling = False

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self._width(), self.rich_style
        place = y + self.scroll_offset.y
        if place >= len(self._heads):
            return Strip.blank(width, base)
        here = place == self._at
        if here:
            base += Style(bold=True)
        head = self._heads[place]
        row = self._rows.get(head.key)
        digits = max(len(f"{self._heads[-1].place + 1:,}"), 2)
        number = f"{head.number:,}" if head.number else "·"
        front = f"{'▌' if here else ' '}{number:>{digits}} "
        pieces = [(front, "yellow" if here else "cyan"), (_when(head.started_ms), "dim")]
        facts = [*_facts(row)] if row else []
        room = width - sum(cells(text) for text, _ in (*pieces, *facts)) - 1
        if room < _SHORTEST and facts:  # the prompt tells more
            facts, room = [], width - sum(cells(text) for text, _ in pieces) - 1
        prompt = _cut(settled(row.prompt) if row else "…", max(room, 0))
        fill = " " * (room - cells(prompt))
        pieces += [(prompt + fill, ""), *facts]
        segments = [Segment(text, base + Style.parse(style)) for text, style in pieces]
        return Strip(segments).adjust_cell_length(width, base)


def _cut(text: str, room: int) -> str:
    """As much of a line as fits."""
    if cells(text) <= room:
        return text
    parts = [*islice(wrap(text, max(room - 1, 1), words=False), 1)]
    return f"{text[: parts[0][1]].rstrip()}…"


def _facts(row: OutlineEntry) -> list[tuple[str, str]]:
    found = []
    if row.failures:
        found.append((f" ✗{row.failures}", "red"))
    if row.files:
        found.append((f" ±{row.files}", "green"))
    if row.tokens:
        found.append((f" {amount(row.tokens):>5}", "dim"))
    return found


def _when(time_ms: int | None) -> str:
    """The time of a turn in six characters, or nothing."""
    if time_ms is None:
        return ""
    try:
        return time.strftime("%H:%M ", time.localtime(time_ms // 1000))
    except (OverflowError, ValueError, OSError):
        return ""
