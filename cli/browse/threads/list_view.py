"""The list of threads: lines that are drawn when they are seen, without a widget each."""

import os
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cli.browse.threads.entries import Entry
from cli.browse.threads.lines import (
    Look,
    Pieces,
    Snippet,
    on_cursor,
    placeholder_lines,
    thread_lines,
    without_colours,
)
from cli.browse.threads.source import ThreadSource
from cli.terminal.cells import cut, settled, wrapped
from state.query.rows import Row

_AGES_MS: Final = 10_000
"""Ages are as old as that at most."""
_MOST_LINES: Final = 500
_AROUND: Final = 2
"""Screens above and below what is seen that are read with it."""


class ThreadListView(ScrollView, can_focus=True):
    """One line a thread, or two."""

    class Moved(Message):
        """Another thread is under the cursor, or it is known only now."""

    class Opened(Message):
        """The thread under the cursor was double-clicked."""

    class Selected(Message):
        """Other threads are selected."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.typed: Callable[[str], None] = lambda _: None
        """Takes a letter that was typed here, which is for the search box; none for the last one to
        go. No message, as keys behind it may be handled before that."""
        self.cursor = 0
        self.selected: dict[str, None] = {}
        """The ids of selected threads, in the order of selection."""
        self.keys = array("q")
        """The row ids of the list, as far as they are known."""
        self.detailed = False
        self.empty: list[str] = []
        """What stands here if there is no thread."""
        self.now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.words: tuple[str, ...] = ()
        """What is highlighted in titles."""
        self._total = 0
        self._snippets: Mapping[int, Snippet] = {}
        self._source: ThreadSource | None = None
        self._live = False
        """Whether rows can be read."""
        self._loading = False
        self._told: tuple[int, str] | None = None
        self._lines: dict[tuple[object, ...], tuple[Entry, Snippet | None, Strip]] = {}
        """Lines as they were drawn, with what they were drawn of."""

    # What is shown

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        found = self._entry(self.cursor)
        return found.row if found else None

    @property
    def current_entry(self) -> Entry | None:
        """The thread under the cursor."""
        return self._entry(self.cursor)

    @property
    def total(self) -> int:
        """How many threads the list has."""
        return max(self._total, len(self.keys))

    @property
    def complete(self) -> bool:
        """Whether all that is seen is known."""
        seen = self.keys[self.seen.start : self.seen.stop]
        return len(seen) == len(self.seen) and bool(
            self._source is None or not self._source.lacks(seen)
        )

    @property
    def lines_each(self) -> int:
        """The lines of a thread."""
        return 2 if self.detailed else 1

    @property
    def seen(self) -> range:
        """The places of the threads that are seen."""
        top = self.scroll_offset.y // self.lines_each
        return range(top, min(top + self._page() + 1, self.total))

    def begin(self, source: ThreadSource, keys: "array[int]", total: int) -> None:
        """Show what is known before the index is open."""
        self._source, self.keys, self._total = source, keys, total
        self._resize()

    async def show(
        self,
        source: ThreadSource,
        keys: "array[int]",
        total: int,
        *,
        keep: bool,
        snippets: Mapping[int, Snippet] | None = None,
    ) -> None:
        """Show a list of ``total`` threads, of which ``keys`` are known so far. With ``keep``, the
        thread under the cursor stays where it is on the screen, if the list has it."""
        self._source, self._live = source, True
        place = self._place_in(keys) if keep else 0
        top = max(place - (self.cursor - self.scroll_offset.y // self.lines_each), 0)
        wanted = keys[top : top + self._page() + 1]
        if place < len(keys):
            wanted.append(keys[place])
        if lacking := source.lacks(wanted):
            await source.load(lacking)
        place = self._place_in(keys) if keep else 0  # it may have been moved meanwhile
        by = place - self.cursor
        self.keys, self._total, self._snippets = keys, total, snippets or {}
        self.cursor = place
        line = self.scroll_offset.y + by * self.lines_each if keep else 0
        self._resize()
        self.scroll_to(y=max(line, 0), animate=False, force=True)
        self._reveal()
        self._tell()
        self.refresh()

    def set_total(self, total: int) -> None:
        """Have the list hold so many threads."""
        self._total = total
        self._resize()

    def extend(self, keys: "array[int]") -> None:
        """Add more keys at the end."""
        self.keys.extend(keys)
        self._resize()
        self._load_seen()

    def _place_in(self, keys: "array[int]") -> int:
        """Where the thread under the cursor is in ``keys``; else the next one that is there."""
        for row_id in self.keys[self.cursor : self.cursor + 100]:
            try:
                return keys.index(row_id)
            except ValueError:
                continue
        return max(min(self.cursor, len(keys) - 1), 0)

    def _entry(self, at: int) -> Entry | None:
        if self._source is None or not 0 <= at < len(self.keys):
            return None
        return self._source.entry(self.keys[at])

    # Moving

    def move(self, by: int) -> None:
        """Move the cursor by so many threads."""
        self.go(self.cursor + by)

    def move_pages(self, by: int) -> None:
        """Move the cursor by so many screens."""
        self.go(self.cursor + by * max(self._page() - 1, 1))

    def go(self, place: int) -> None:
        """Move the cursor to a place in the list."""
        self.cursor = max(min(place, self.total - 1), 0)
        self._reveal()
        self._tell()
        self.refresh()

    def _page(self) -> int:
        return max(self.size.height // self.lines_each, 1)

    def _reveal(self) -> None:
        """Scroll as little as needed for the cursor to be seen."""
        each, top = self.lines_each, self.scroll_offset.y
        first, last = self.cursor * each, self.cursor * each + each
        if first < top:
            self.scroll_to(y=first, animate=False, force=True)
        elif last > top + self.size.height > 0:
            self.scroll_to(y=last - self.size.height, animate=False, force=True)
        self._load_seen()

    def _tell(self) -> None:
        current = self.current
        now = (self.cursor, current["id"] if current else "")
        if now != self._told:
            self._told = now
            self.post_message(self.Moved())

    def select(self) -> None:
        """Select the thread under the cursor, or no longer, and go to the next one."""
        if current := self.current:
            if current["id"] in self.selected:
                del self.selected[current["id"]]
            else:
                self.selected[current["id"]] = None
            self._tell_selected()
        self.move(1)

    async def select_all(self) -> None:
        """Select all threads of the list, or none if all are selected."""
        if self._source is None:
            return
        ids = await self._source.ids(self.keys)
        if all(id_ in self.selected for id_ in ids):
            self.unselect()
        else:
            self.selected.update(dict.fromkeys(ids))
            self._tell_selected()

    async def unseen(self) -> int:
        """How many selected threads are not in the list."""
        if self._source is None or not self.selected:
            return 0
        places = await self._source.row_ids([*self.selected])
        return len({*places.values()} - {*self.keys})

    def deselect(self, ids: Iterable[str]) -> None:
        """Take threads out of the selection."""
        for id_ in ids:
            self.selected.pop(id_, None)
        self._tell_selected()

    def unselect(self) -> None:
        """Select nothing."""
        self.selected.clear()
        self._tell_selected()

    def _tell_selected(self) -> None:
        self.post_message(self.Selected())
        self.refresh()

    def set_detailed(self, detailed: bool) -> None:
        """Have two lines for each thread, or one. The cursor stays on the screen."""
        above = self.cursor - self.scroll_offset.y // self.lines_each
        self.detailed = detailed
        self._resize()
        self.scroll_to(y=max(self.cursor - above, 0) * self.lines_each, animate=False, force=True)
        self._reveal()
        self.refresh()

    # Rows

    def _load_seen(self) -> None:
        """Read the rows that are seen and not known, and some around them."""
        if self._source is None or self._loading or not self._live:
            return
        seen = self.seen
        if self._source.lacks(self.keys[seen.start : seen.stop]):
            self._loading = True
            work: Any = self._load
            self.run_worker(work, group="rows")

    async def _load(self) -> None:
        try:
            while (source := self._source) is not None:
                seen, more = self.seen, self._page() * _AROUND
                if not source.lacks(self.keys[seen.start : seen.stop]):
                    return
                around = self.keys[max(seen.start - more, 0) : seen.stop + more]
                await source.load(source.lacks(around))
                self._tell()
                self.refresh()
        finally:
            self._loading = False

    # Events

    def _resize(self) -> None:
        self.virtual_size = Size(0, self.total * self.lines_each)

    def on_resize(self) -> None:
        self._reveal()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._load_seen()

    def on_key(self, event: events.Key) -> None:
        if event.key == "backspace":
            event.stop()
            self.typed("")
        elif (
            event.character
            and event.is_printable
            and (event.character not in " ?" or self.screen.focused is not self)
        ):
            event.stop()  # also a blank behind a letter, which has given the focus to the box
            self.typed(event.character)

    def on_click(self, event: events.Click) -> None:
        place = (event.y + self.scroll_offset.y) // self.lines_each
        if place < self.total:
            self.go(place)
            if event.chain == 2:
                self.post_message(self.Opened())

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        at, part = divmod(y + self.scroll_offset.y, self.lines_each)
        if at >= self.total or not width:
            return self._empty_line(y) if not self.total else Strip.blank(width, self.rich_style)
        look = Look(width, self.detailed, self.now_ms(), _user_home(), self.words)
        entry = self._entry(at)
        if entry is None:
            return self._drawn_line(placeholder_lines(look)[part], at, part, width)
        selected = entry.row["id"] in self.selected
        snippet = self._snippets.get(self.keys[at])
        # A key has the list drawn several times: titles, messages, other parts of the screen.
        seconds = look.now_ms // _AGES_MS
        key = (entry.row["id"], part, at == self.cursor, selected, width, self.words, seconds)
        known = self._lines.get(key)
        if known is not None and known[0] is entry and known[1] is snippet:
            return known[2]
        pieces = thread_lines(entry, look, selected=selected, snippet=snippet)[part]
        line = self._drawn_line(pieces, at, part, width)
        if len(self._lines) >= _MOST_LINES:
            self._lines.clear()
        self._lines[key] = (entry, snippet, line)
        return line

    def notify_style_update(self) -> None:
        self._lines.clear()
        super().notify_style_update()

    def _drawn_line(self, pieces: Pieces, at: int, part: int, width: int) -> Strip:
        if plain := self.app.no_color:
            pieces = without_colours(pieces)
        if at == self.cursor:
            pieces = on_cursor(pieces, plain=plain, first=not part)
        segments = [Segment(text, style_of(words)) for text, words in pieces]
        return Strip(segments, width).apply_style(self.rich_style)

    def _empty_line(self, y: int) -> Strip:
        """A line of why the list is empty."""
        width = self.scrollable_content_region.width
        lines = [*chain.from_iterable(wrapped(text, width - 4) for text in self.empty)]
        top = min(max((self.size.height - len(lines)) // 3, 0), 3)
        text = cut(settled(lines[y - top]), width - 4) if top <= y < top + len(lines) else ""
        style = style_of("bold" if y == top else "dim")
        strip = Strip([Segment("  "), Segment(text, style)])
        return strip.adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)


@lru_cache(maxsize=256)
def style_of(words: str) -> Style:
    """A style by its words."""
    return Style.parse(words) if words else Style()


def _user_home() -> str:
    return os.path.expanduser("~")
