"""The preview beside the list."""

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cli.browse.preview import Drawn, Line


class PreviewView(ScrollView, can_focus=False):
    """Lines of a thread. It is scrolled to its end, or to the first match."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: list[Line] = []

    @property
    def text(self) -> str:
        """What it shows, for tests and for screen readers."""
        return "\n".join("".join(piece.text for piece in line) for line in self._lines)

    def show(self, drawn: Drawn) -> None:
        """Show a preview."""
        self._lines = drawn.lines
        self.virtual_size = Size(0, len(drawn.lines))
        height = self.size.height
        end = max(len(drawn.lines) - height, 0)
        at = end if drawn.at is None else max(drawn.at - height // 3, 0)
        self.scroll_to(y=min(at, end), animate=False)
        self.refresh()

    def say(self, text: str) -> None:
        """Show a sentence instead."""
        room = max(self.size.width - 2, 10)
        lines = Text(text, style="dim").wrap(self.app.console, room)
        self.show(Drawn([[*line.render(self.app.console, "")] for line in lines]))

    def render_line(self, y: int) -> Strip:
        at, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        line = self._lines[at] if at < len(self._lines) else []
        strip = Strip([Segment(" "), *(Segment(*piece[:2]) for piece in line)])
        return strip.adjust_cell_length(width).apply_style(self.rich_style)
