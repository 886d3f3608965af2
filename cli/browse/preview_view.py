"""The preview beside the list."""

from collections.abc import Sequence
from functools import partial

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cli.browse.preview import Drawn, Line, read_preview
from cli.browse.threads.lines import MATCH, PLAIN_MATCH
from cli.terminal.cells import settled, wrapped
from rollout.errors import RolloutError
from rollout.search.messages import Message
from rollout.search.terms import Term
from state.errors import StateError
from state.query.rows import Row
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex


class PreviewView(ScrollView, can_focus=False):
    """Lines of a thread. It is scrolled to its end, or to the first match."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: list[Line] = []
        self._of: tuple[object, ...] | None = None
        """What it shows."""

    @property
    def text(self) -> str:
        """What it shows, for tests and for screen readers."""
        return "\n".join("".join(piece.text for piece in line) for line in self._lines)

    def is_of(self, thread_id: str, terms: Sequence[Term]) -> bool:
        """Whether it shows this thread, with these terms highlighted; without an id, nothing."""
        if self._of is None or not thread_id:
            return self._of is None and not thread_id
        return (self._of[0], self._of[3]) == (thread_id, tuple(terms))

    def clear(self) -> None:
        """Show nothing."""
        self._of = None
        self._show(Drawn([]))

    async def show_thread(
        self, index: ThreadIndex, row: Row, terms: Sequence[Term], said: Sequence[Message]
    ) -> None:
        """Show the end of a thread, or where something was ``said`` in it, unless it is there."""
        width = self.size.width - 2
        stamp = (row["id"], row["size_bytes"], row["mtime_ns"], tuple(terms), bool(said), width)
        if stamp == self._of:
            return
        path, find = index.home / row["rollout_path"], rollout_locator(index)
        match = PLAIN_MATCH if self.app.no_color else MATCH
        try:
            drawn = await index.database.workers.run(
                partial(read_preview, path, find, width, terms, said, match)
            )
        except (RolloutError, StateError, OSError) as error:
            drawn = Drawn(self._sentence(str(error)))
        self._of = stamp
        self._show(drawn)

    def say(self, text: str) -> None:
        """Show why there is no thread."""
        self._of = None
        self._show(Drawn(self._sentence(text)))

    def _show(self, drawn: Drawn) -> None:
        self._lines = drawn.lines
        self.virtual_size = Size(0, len(drawn.lines))
        height = self.size.height
        end = max(len(drawn.lines) - height, 0)
        at = end if drawn.at is None else max(drawn.at - height // 3, 0)
        self.scroll_to(y=min(at, end), animate=False, force=True)
        self.refresh()

    def _sentence(self, text: str) -> list[Line]:
        room = max(self.size.width - 2, 10)
        return [[Segment(line, Style(dim=True))] for line in wrapped(settled(text), room)]

    def render_line(self, y: int) -> Strip:
        at, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        line = self._lines[at] if at < len(self._lines) else []
        strip = Strip([Segment(" "), *(Segment(*piece[:2]) for piece in line)])
        return strip.adjust_cell_length(width).apply_style(self.rich_style)
