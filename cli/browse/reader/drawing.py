"""How the lines of a thread look."""

from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cli.browse.reader.pieces import Laid, Line
from cli.browse.reader.slots import Page, Spot
from cli.terminal.cells import cut, settled
from cli.terminal.text import local
from cli.turns.heads import Hit, TurnHead

GUTTER: Final = 2
"""Cells before each line, for the mark of the cursor."""


_STYLES: Final = {
    name: Style.parse(style)
    for name, style in {
        "": "",
        "number": "bold cyan",
        "rule": "dim",
        "dim": "dim",
        "cursor": "bold yellow",
        "beside": "yellow dim",
        "user-bar": "bold cyan",
        "user": "bold",
        "agent": "",
        "agent-title": "green",
        "reasoning": "dim italic",
        "tool": "bold",
        "command": "bold",
        "output": "dim",
        "bar": "dim",
        "failed": "red",
        "note": "yellow",
        "error": "bold red",
        "heading": "bold magenta",
        "strong": "bold",
        "code": "cyan",
        "added": "green",
        "removed": "red",
        "hunk": "cyan",
        "file": "bold cyan",
        "hit": "black on yellow",
        "hit-current": "bold black on cyan",
    }.items()
}
"""Colours of the terminal, which fit it whether it is light or dark."""
_PLAIN: Final = {"hit": Style.parse("bold underline"), "hit-current": Style.parse("reverse")}
"""What has no other sign than its colour, where colours are not wanted."""


class LinesView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines with a scroll bar in the colours of the terminal."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    LinesView {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-color: ansi_bright_black;
        scrollbar-color-hover: ansi_blue;
        scrollbar-color-active: ansi_blue;
        scrollbar-background: ansi_default;
        scrollbar-background-hover: ansi_default;
        scrollbar-background-active: ansi_default;
    }
    """


class DrawnTurns(LinesView):
    """Draws the lines of a page that are seen."""

    DEFAULT_CSS = """
    DrawnTurns { width: 1fr; overflow-y: scroll; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.page = Page()
        self.current_hit: Hit | None = None
        """The match that was gone to."""
        self._cursor = Spot(0, -1, 0)

    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _line(self) -> tuple[Line, Laid] | None:
        if not self.page.slots:
            return None
        laid = self.page.slots[self._cursor.slot].laid(self._cursor.chunk)
        line = self.page.line(self._cursor)
        return None if laid is None or line is None else (line, laid)

    def render_line(self, y: int) -> Strip:
        width, base = self._width(), self.rich_style
        at = y + self.scroll_offset.y
        if not self.page.slots or at >= self.page.height:
            return Strip.blank(width, base)
        spot = self.page.spot(at)
        if spot.chunk >= 0:
            pieces = self._body(spot)
        else:
            pieces = _heading(self.page.slots[spot.slot].head, width - GUTTER)
        if spot.chunk < 0 and spot.line:
            pieces = []
        front = self._front(spot)
        styles = _STYLES | _PLAIN if self.app.no_color else _STYLES
        segments = [Segment(text, base + styles[style]) for text, style in (front, *pieces)]
        return Strip(segments).adjust_cell_length(width, base)

    @property
    def drawn(self) -> bool:
        """Whether the lines that are seen are here."""
        if not self.page.slots:
            return False
        top = self.scroll_offset.y
        ys = range(top, min(top + self.size.height, self.page.height))
        return all(spot.chunk < 0 or self.page.line(spot) for spot in map(self.page.spot, ys))

    def _front(self, spot: Spot) -> tuple[str, str]:
        """What stands before a line: a mark where the cursor is, and beside the rest of its
        block."""
        here = self._cursor
        if spot == here and self.has_focus:
            return ("▌─" if spot.chunk < 0 and not spot.line else "▌ "), "cursor"
        if spot.chunk < 0:
            return ("  ", "") if spot.line else ("──", "rule")
        if self.has_focus and (here.slot, here.chunk) == (spot.slot, spot.chunk):
            own, line = self.page.line(here), self.page.line(spot)
            if own is not None and line is not None and own.block == line.block >= 0:
                return "▏ ", "beside"
        return "  ", ""

    def _body(self, spot: Spot) -> list[tuple[str, str]]:
        line = self.page.line(spot)
        if line is None:
            return [("…" if spot.line % 8 == 1 else "", "dim")]
        return [
            (text, style if hit < 0 else self._hit_style(spot, line, hit))
            for text, style, hit in line.pieces
        ]

    def _hit_style(self, spot: Spot, line: Line, at: int) -> str:
        hit = self.current_hit
        if hit is None or (hit.place, hit.chunk, hit.at) != (spot.slot, spot.chunk, at):
            return "hit"
        laid = self.page.slots[spot.slot].laid(spot.chunk)
        same = laid is not None and laid.blocks[line.block].key == hit.key
        return "hit-current" if same else "hit"


def _heading(head: TurnHead, width: int) -> list[tuple[str, str]]:
    """The line above a turn."""
    if head.number == 0:
        parts = ["outside of any turn"]
    else:
        parts = [*filter(None, (local(head.started_ms), head.duration, settled(head.status)))]
    number = f" {head.number:,} " if head.number else " · "
    facts = cut(" · ".join(parts), width - len(number) - 2)
    facts = f"{facts} " if facts else ""
    rest = max(width - len(number) - len(facts), 0)
    return [(number, "number"), (facts, "dim"), ("─" * rest, "rule")]
