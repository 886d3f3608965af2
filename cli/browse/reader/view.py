"""The turns of a thread as lines that are read and drawn when they are seen."""

from dataclasses import dataclass
from typing import Final

from textual import events
from textual.geometry import Size
from textual.message import Message

from cli.browse.reader.drawing import GUTTER, DrawnTurns
from cli.browse.reader.pieces import RUNS, TOOLS, Laid, Look, Shown, lay_out
from cli.browse.reader.slots import Slot, Spot
from cli.browse.reader.work import TROUBLE, Trouble, begin
from cli.render.blocks.block import Role
from cli.turns.heads import Hit, Key, KnownTurns, TurnHead
from cli.turns.source import TurnSource
from rollout.search.terms import Matcher

_MARGIN: Final = 2
"""Lines between the cursor and the border when it moves."""
_AT_ONCE: Final = 8
"""Chunks that are read together."""
_MOST_LINES: Final = 6_000
"""Lines that are kept in memory."""


class TurnsView(DrawnTurns, can_focus=True, inherit_bindings=False):
    """All turns of a thread. What is far away is not here, and what comes near is read."""

    class Moved(Message):
        """The cursor or the page has moved, or what is here has changed."""

    @dataclass
    class Failed(Message):
        """Some of the thread cannot be read."""

        error: Trouble

    def __init__(self, source: TurnSource, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.source = source
        self.partial = False
        """Whether only the last turns are known."""
        self.tools = TOOLS[0]
        self._matcher: Matcher | None = None
        self._look = 0
        """Counts the looks, to tell what was laid out for another one."""
        self._filling = False
        self._goal: tuple[Hit, bool] | None = None
        self._stuck = False
        """Whether what was wanted last could not be read."""
        self._begun = False
        self._following = True
        """Whether the end stays in view when something is added."""
        self._scrolling = False
        """Whether it is not the user who scrolls."""

    # What is here

    @property
    def current(self) -> TurnHead | None:
        """The turn under the cursor."""
        slots = self.page.slots
        return slots[self._cursor.slot].head if slots else None

    @property
    def place(self) -> int:
        """The place of that turn."""
        return self._cursor.slot

    @property
    def cursor(self) -> Spot:
        """Where the cursor is."""
        return self._cursor

    @property
    def settled(self) -> bool:
        """Whether all that is seen or near is here."""
        return not self._filling and (self._stuck or not self._wanted())

    @property
    def shown(self) -> Shown | None:
        """The block under the cursor."""
        found = self._line()
        return found[1].blocks[found[0].block] if found and found[0].block >= 0 else None

    @property
    def message(self) -> Shown | None:
        """The same; in the heading of a turn, its prompt."""
        if not self.page.slots or self._cursor.chunk >= 0:
            return self.shown
        laid = self.page.slots[self._cursor.slot].laid(0)
        first = laid.blocks[0] if laid and laid.blocks else None
        return first if first and first.role is Role.USER else None

    @property
    def text_at(self) -> int:
        """Where the line under the cursor begins in the text of its block."""
        found = self._line()
        return found[0].at if found else 0

    @property
    def at_end(self) -> bool:
        """Whether the end of the thread is seen."""
        return self.scroll_offset.y >= self.max_scroll_y

    def show(self, known: KnownTurns) -> None:
        """Show these turns: at their end when it is the first time, and else where one was."""
        row = self._row()
        kept = self.page.show(known.heads, self.tools)
        self.partial = known.partial
        if not self._begun:
            self._begun = bool(known.heads)
        elif self._cursor.slot in kept:
            self._cursor = self._cursor._replace(slot=kept[self._cursor.slot])
        else:
            self._cursor = Spot(min(self._cursor.slot, max(len(known.heads) - 1, 0)), -1, 0)
        self._settle(row)

    def change_look(self, tools: str | None = None) -> None:
        """Show tool calls in another way."""
        self.tools = tools or self.tools
        for slot in self.page.slots:
            slot.unfolded = frozenset()
        self._relook()

    def mark(self, matcher: Matcher | None) -> None:
        """Mark what matches."""
        self._matcher = matcher
        self.current_hit = None
        self._relook()

    def _relook(self) -> None:
        self._look += 1
        self._fill()

    # Moving

    def move(self, by: int) -> None:
        """Move the cursor by so many lines."""
        if self.page.slots:
            self._go(self.page.y(self._cursor) + by)
            self._following = by > 0 and self._cursor == self._last()

    def page_by(self, pages: int) -> None:
        """Move the page by so many screens, and the cursor with it."""
        if not self.page.slots:
            return
        by = pages * max(self.size.height - _MARGIN, 1)
        row = self._row()
        y = min(max(self.scroll_offset.y + by, 0), self.max_scroll_y)
        stuck = y == self.scroll_offset.y
        self._following = by > 0 and y >= self.max_scroll_y
        self._cursor = self.page.spot(self.page.y(self._cursor) + by if stuck else y + row)
        self._scroll(y)
        self._after()

    def to_begin(self) -> None:
        if self.page.slots:
            self._following = False
            self._go(0)

    def to_end(self) -> None:
        if self.page.slots:
            self._following = True
            self._cursor = self._last()
            self._scroll(self.max_scroll_y)
            self._after()

    def _last(self) -> Spot:
        """The last line of the page that is not blank."""
        spot = self.page.spot(self.page.height - 1)
        while spot.line > 0 and (line := self.page.line(spot)) and not line.pieces:
            spot = spot._replace(line=spot.line - 1)
        return spot

    def to_turn(self, place: int) -> None:
        """Have the heading of a turn at the top."""
        if not 0 <= place < len(self.page.slots):
            return
        self._following = False
        self._cursor = Spot(place, -1, 0)
        self._scroll(self.page.starts[place])
        self._after()

    def by_prompt(self, by: int) -> None:
        """Go to the heading of the next or the last turn, or to that of this one."""
        if not self.page.slots:
            return
        place = self._cursor.slot
        if by < 0 and self._cursor.chunk >= 0:
            self.to_turn(place)
        elif place + by >= len(self.page.slots):
            self.to_end()
        else:
            self.to_turn(max(place + by, 0))

    def to_hit(self, hit: Hit) -> None:
        """Show a match, unfolding what it is in."""
        if hit.place >= len(self.page.slots):
            return  # it was taken back
        slot = self.page.slots[hit.place]
        self.current_hit = hit
        self._following = False
        self._goal = (hit, False)
        self._cursor = Spot(hit.place, hit.chunk if slot.counted else 0, 0)
        if self._reach_goal():
            return
        top = self.scroll_offset.y
        seen = self.page.around(top, top + max(self.size.height, 1) - 1)
        if (hit.place, self._cursor.chunk) not in seen:  # else the page may stay where it is
            self._scroll(self.page.y(self._cursor))
        self._fill()

    def _go(self, y: int) -> None:
        self._cursor = self.page.spot(y)
        y = self.page.y(self._cursor)
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        margin = min(_MARGIN, (height - 1) // 2)
        if y < top + margin:
            self._scroll(max(y - margin, 0))
        elif y > top + height - 1 - margin:
            self._scroll(y - height + 1 + margin)
        self._after()

    def _scroll(self, y: int) -> None:
        """Have a line at the top, as far as that is possible."""
        self._scrolling = True
        try:
            self.scroll_to(y=y, animate=False)
        finally:
            self._scrolling = False

    def _row(self) -> int:
        """The row of the screen where the cursor is."""
        return self.page.y(self._cursor) - self.scroll_offset.y if self.page.slots else 0

    def _settle(self, row: int) -> None:
        """After the page has changed: have the cursor in the same row, or the end in view."""
        self.page.moved()
        self.virtual_size = Size(self._width(), self.page.height)
        if self._following and self.page.slots:
            self._cursor = self._last()
            self._scroll(self.max_scroll_y)
        elif self.page.slots:
            self._scroll(max(self.page.y(self._cursor) - row, 0))
        self.refresh()
        self._after()

    def _after(self) -> None:
        self.refresh()
        self._fill()
        self.post_message(self.Moved())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self.page.slots or self._scrolling:
            return
        self._following = new_value > old_value and self.at_end
        # The cursor stays in view: the wheel and the bar take it along.
        top, y = round(new_value), self.page.y(self._cursor)
        seen = min(max(y, top), top + max(self.size.height, 1) - 1)
        if seen != y:
            self._cursor = self.page.spot(seen)
            self.post_message(self.Moved())
        self._fill()

    def on_resize(self, event: events.Resize) -> None:
        self._relook()

    # Folding

    def toggle(self) -> bool:
        """Unfold the block under the cursor, or fold it again: whether it can be."""
        shown = self.shown
        if shown is None or not shown.foldable:
            return False
        slot = self.page.slots[self._cursor.slot]
        slot.unfolded = slot.unfolded ^ {shown.key}
        self._following = False
        self._stale(slot, self._cursor.chunk)
        return True

    def _stale(self, slot: Slot, chunk: int) -> None:
        if chunk in slot.here:
            slot.here[chunk] = (-1, slot.here[chunk][1])
        self._fill()

    def on_click(self, event: events.Click) -> None:
        if not self.page.slots or event.y + self.scroll_offset.y >= self.page.height:
            return
        event.stop()
        self._following = False
        self._cursor = self.page.spot(event.y + self.scroll_offset.y)
        self._after()
        shown, line = self.shown, self.page.line(self._cursor)
        if shown and line and (shown.folded or line.at == 0):
            self.toggle()

    # Reading

    def _wanted(self) -> list[tuple[int, int]]:
        """The chunks that are seen or near and not here as they are to be, the nearest first."""
        if not self.page.slots or self._width() < 1:
            return []
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        seen = [*self.page.around(top, top + height - 1)]
        near = [*self.page.around(top - height, top + 2 * height)]
        if self._goal is not None:
            hit = self._goal[0]
            seen.insert(0, (hit.place, hit.chunk))
        wanted = dict.fromkeys(
            (at, chunk)
            for at, chunk in (*seen, *near)
            if self.page.slots[at].here.get(chunk, (-1,))[0] != self._look
        )
        return [*wanted]

    def _fill(self) -> None:
        if not self._filling and self.is_mounted and self._wanted():
            self._filling = True
            begin(self, self._fill_all, "fill")

    async def _fill_all(self) -> None:
        self._stuck = False
        try:
            while wanted := self._wanted():
                await self._fill_some(wanted[:_AT_ONCE])
        except TROUBLE as error:
            self._stuck = True
            self.post_message(self.Failed(error))
        finally:
            self._filling = False

    async def _fill_some(self, wanted: list[tuple[int, int]]) -> None:
        width = max(self._width() - GUTTER - 1, 10)
        number, look = self._look, Look(width, self.tools, self._matcher)
        slots = [self.page.slots[at] for at, _ in wanted]
        asked = [
            (slot.head, chunk, slot.unfolded)
            for slot, (_, chunk) in zip(slots, wanted, strict=True)
        ]
        chunks = await self.source.chunks(
            [(head, chunk) for head, chunk, _ in asked],
            lambda at, blocks: lay_out(blocks, look, asked[at][2]),
        )
        row = self._row()
        before = self._anchor()
        for slot, chunk, (head, at, unfolded) in zip(slots, chunks, asked, strict=True):
            same = slot.head.version == head.version and slot.unfolded == unfolded
            if chunk is not None:
                slot.put(at, chunk, number if same else -1)
            else:
                slot.heights, slot.counted = [0], True
                slot.here = {0: (number, Laid([], []))}
        self.page.moved()
        self._reanchor(before)
        top, height = self.scroll_offset.y, self.size.height
        self.page.forget(self.page.around(top - 2 * height, top + 3 * height), _MOST_LINES)
        self._settle(row)
        self._reach_goal()

    def _anchor(self) -> tuple[Key, int] | None:
        """The block under the cursor, and where in it that is."""
        shown, line = self.shown, self.page.line(self._cursor) if self.page.slots else None
        return (shown.key, line.at) if shown and line else None

    def _reanchor(self, before: tuple[Key, int] | None) -> None:
        """Have the cursor in the line that has what it was in before."""
        slot = self.page.slots[self._cursor.slot]
        if before is not None:
            found = slot.laid(self._cursor.chunk)
            line = None if found is None else found.line_of(*before)
            if line is not None:
                self._cursor = self._cursor._replace(line=line)
        self._cursor = self.page.spot(self.page.y(self._cursor))

    def _reach_goal(self) -> bool:
        """Have the match that is gone to in view, if what it is in is here."""
        if self._goal is None:
            return False
        hit, unfolded = self._goal
        slot = self.page.slots[hit.place]
        look, laid = slot.here.get(hit.chunk, (-1, None))
        if laid is None or look != self._look:
            return False
        line = laid.line_of(hit.key, hit.at, exact=True)
        if line is None and not unfolded:
            self._goal = (hit, True)
            slot.unfolded |= {hit.key, RUNS} if self.tools == "off" else {hit.key}
            self._stale(slot, hit.chunk)
            return False
        self._goal = None
        self._cursor = Spot(hit.place, hit.chunk, line or 0)
        y, top, height = self.page.y(self._cursor), self.scroll_offset.y, self.size.height
        if not top + _MARGIN <= y < top + height - _MARGIN:
            self._scroll(max(y - height // 3, 0))
        self._after()
        return True
