"""The list of threads: lines that are drawn when they are seen, without a widget each."""

from array import array

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cli.browse.source import ThreadSource
from cli.render.labels import label
from cli.terminal.cells import cut, settled
from state.query.rows import Row


class ThreadListView(ScrollView):
    """One line a thread."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.cursor = 0
        self.selected: dict[str, None] = {}
        """The ids of selected threads, in the order of selection."""
        self._keys = array("q")
        self._rows: list[Row] = []

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    async def show(self, source: ThreadSource) -> None:
        """Show the threads of ``source``."""
        self._keys = await source.keys(100)
        rows = await source.rows([*self._keys])
        self._rows = [*rows.values()]
        self.virtual_size = Size(0, len(self._rows))
        self.refresh()

    def move(self, by: int) -> None:
        """Move the cursor by so many lines."""
        self.cursor = min(max(self.cursor + by, 0), max(len(self._rows) - 1, 0))
        self.scroll_to(y=self.cursor - self.size.height // 2, animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        at = y + self.scroll_offset.y
        if at >= len(self._rows):
            return Strip.blank(self.size.width)
        text = cut(settled(label(self._rows[at])), self.size.width)
        style = Style(reverse=at == self.cursor)
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, style)
