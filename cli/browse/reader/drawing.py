"""How the lines of a thread look."""

from dataclasses import dataclass
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from cli.browse.reader.pieces import Key, Laid, Line
from cli.browse.reader.slots import Page, Spot
from cli.browse.reader.source import TurnHead
from cli.terminal.cells import cut, settled
from cli.terminal.text import local

GUTTER: Final = 2
"""Cells before each line, for the mark of the block under the cursor."""


def component_style(widget: Widget, name: str) -> Style:
    """What the style sheet says of a part of a widget, and nothing else, so that it can lie above
    another style. Colours that let others through are mixed with what is behind the widget; those
    of the terminal, which cannot be mixed, are dimmed."""
    own = widget.get_component_rich_style(name, partial=True)
    mixed = widget.get_component_rich_style(name)
    color = widget.get_component_styles(name).color
    return own + Style(
        color=mixed.color if own.color else None,
        bgcolor=mixed.bgcolor if own.bgcolor else None,
        dim=True if own.color and color.ansi is not None and color.a < 1 else None,
    )


@dataclass(frozen=True, slots=True)
class Hit:
    """A match: its turn, the chunk and the block it is in, and where it begins there."""

    place: int
    chunk: int
    key: Key
    at: int


class DrawnTurns(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws the lines of a page that are seen."""

    ALLOW_SELECT = False
    STYLES: ClassVar = (
        *("number", "rule", "dim", "cursor", "cursor-bar", "user-bar", "user", "agent"),
        *("agent-title", "reasoning", "tool", "command", "output", "bar", "failed", "note"),
        *("error", "heading", "strong", "code", "added", "removed", "hunk", "file", "hit"),
        "hit-current",
    )
    COMPONENT_CLASSES: ClassVar = {f"reader--{name}" for name in STYLES}
    DEFAULT_CSS = """
    DrawnTurns {
        width: 1fr;
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        & .reader--number { color: $text-primary; text-style: bold; }
        & .reader--rule { color: $text-muted; }
        & .reader--dim { color: $text-muted; }
        & .reader--cursor { background: $boost; }
        & .reader--cursor-bar { color: $text-accent; text-style: bold; }
        & .reader--user-bar { color: $text-primary; text-style: bold; }
        & .reader--user { text-style: bold; }
        & .reader--agent-title { color: $text-success; text-style: bold; }
        & .reader--reasoning { color: $text-muted; text-style: italic; }
        & .reader--tool { color: $text-secondary; }
        & .reader--command { color: $text-secondary; text-style: bold; }
        & .reader--output { color: $text-muted; }
        & .reader--bar { color: $text-muted; }
        & .reader--failed { color: $text-error; }
        & .reader--note { color: $text-warning; }
        & .reader--error { color: $text-error; text-style: bold; }
        & .reader--heading { color: $text-accent; text-style: bold; }
        & .reader--strong { text-style: bold; }
        & .reader--code { color: $text-accent; }
        & .reader--added { color: $text-success; }
        & .reader--removed { color: $text-error; }
        & .reader--hunk { color: $text-secondary; }
        & .reader--file { color: $text-secondary; text-style: bold; }
        & .reader--hit { color: $text-warning; text-style: bold reverse; }
        & .reader--hit-current { color: $text-error; text-style: bold reverse; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.page = Page()
        self.current_hit: Hit | None = None
        """The match that was gone to."""
        self._cursor = Spot(0, -1, 0)
        self._drawn: dict[str, Style] = {}

    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _line(self) -> tuple[Line, Laid] | None:
        if not self.page.slots:
            return None
        laid = self.page.slots[self._cursor.slot].laid(self._cursor.chunk)
        line = self.page.line(self._cursor)
        return None if laid is None or line is None else (line, laid)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn.clear()

    def _style(self, name: str) -> Style:
        found = self._drawn.get(name)
        if found is None:
            found = self._drawn[name] = component_style(self, f"reader--{name}")
        return found

    def render_line(self, y: int) -> Strip:
        width, base = self._width(), self.rich_style
        at = y + self.scroll_offset.y
        if not self.page.slots or at >= self.page.height:
            return Strip.blank(width, base)
        spot = self.page.spot(at)
        if spot.chunk < 0:
            segments = self._heading(self.page.slots[spot.slot].head, width, spot.line)
        else:
            segments = self._body(spot)
        if spot == self._cursor and self.has_focus:
            base += self._style("cursor")
        segments = [Segment(text, base + (style or Style.null())) for text, style, _ in segments]
        return Strip(segments).adjust_cell_length(width, base)

    def _heading(self, head: TurnHead, width: int, line: int) -> list[Segment]:
        if line:
            return []
        if head.number == 0:
            parts = ["outside of any turn"]
        else:
            parts = [*filter(None, (local(head.started_ms), head.duration, settled(head.status)))]
        number = f"{head.number:,}" if head.number else "·"
        facts = cut(" · ".join(parts), width - len(number) - GUTTER - 2)
        used = GUTTER + len(number) + bool(facts) + len(facts) + 1
        return [
            Segment("──", self._style("rule")),
            Segment(f" {number} "[:-1], self._style("number")),
            Segment(f" {facts}" if facts else "", self._style("dim")),
            Segment(" " + "─" * (width - used - 1), self._style("rule")),
        ]

    def _body(self, spot: Spot) -> list[Segment]:
        line = self.page.line(spot)
        if line is None:
            return [Segment("  …" if spot.line % 8 == 1 else "", self._style("dim"))]
        here = self._cursor
        own = self._line() if (here.slot, here.chunk) == (spot.slot, spot.chunk) else None
        marked = own is not None and own[0].block == line.block >= 0
        bar = "▌ " if marked and self.has_focus else "  "
        segments = [Segment(bar, self._style("cursor-bar"))]
        for text, style, hit in line.pieces:
            drawn = self._style(style)
            if hit >= 0:
                drawn += self._style(self._hit_style(spot, line, hit))
            segments.append(Segment(text, drawn))
        return segments

    def _hit_style(self, spot: Spot, line: Line, at: int) -> str:
        hit = self.current_hit
        if hit is None or (hit.place, hit.chunk, hit.at) != (spot.slot, spot.chunk, at):
            return "hit"
        laid = self.page.slots[spot.slot].laid(spot.chunk)
        same = laid is not None and laid.blocks[line.block].key == hit.key
        return "hit-current" if same else "hit"
