"""The screen that shows a thread: its turns, an outline beside them, a search in it."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.widgets import Input

from cli.browse.reader.frame import SAID, ReaderFrame
from cli.browse.reader.pieces import TOOLS
from cli.browse.reader.taking import copied, edited
from cli.browse.reader.work import TROUBLE, begin
from cli.browse.words.keys import bindings_of
from cli.filter.wanted import typed_terms
from cli.render.blocks.block import Role
from cli.render.labels import machine_of
from cli.terminal.cells import settled
from cli.terminal.text import amount, plural
from cli.turns.heads import Hit, KnownTurns
from cli.turns.search import Found, order_of, search
from cli.turns.source import TurnSource
from rollout.search.terms import Matcher, Term

_LOOK_S: Final = 0.4
"""How often a file that may grow is looked at, in seconds."""
_SHARE: Final = 5
"""The looks at one that grows take at most one part in so many of the time."""
_TELL_S: Final = 0.2


class ReaderScreen(ReaderFrame):
    """Shows the turns of a thread. With ``at``, the first match of that."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("reader")]

    def __init__(self, source: TurnSource, at: str = "") -> None:
        super().__init__(source)
        self._at = at
        self._gone = False
        """Whether the thread's file is."""
        self._brought = False
        """Whether what is searched for was typed in the list: Esc goes back there at once."""
        self._took = 0.0
        """How long the last look at a file that has grown took, in seconds."""

    @property
    def seen_size(self) -> int | None:
        """How long the thread's file was when its turns were last asked for."""
        return self._source.seen_size

    @property
    def settled(self) -> bool:
        """Whether what is seen was read, and nothing that was asked for is still being done."""
        busy = any(worker.group in ("read", "wait", "take") for worker in self.workers)
        return self.is_mounted and not busy and self.turns.settled and self.outline.settled

    def on_mount(self) -> None:
        begin(self, self._open, "read")

    # Reading and following

    async def _open(self) -> None:
        await self._read(whole=False)
        if self._at:
            self._seek(self._at, words=True)
        begin(self, self._follow, "follow")

    def _show(self, known: KnownTurns) -> None:
        self._known, self._trouble = known, ""
        self.turns.show(known)
        self.outline.show(known.heads)
        self.outline.follow(self.turns.place)
        self._show_header()
        self._warnings.display = bool(known.warnings)
        self._warnings.update("\n".join(known.warnings))
        self.turns.display = bool(known.heads)
        self._empty.display = not known.heads
        self._empty.update("No messages yet.")
        self._show_status()
        self._outline_turns()

    def _outline_turns(self) -> None:
        """Find what came of the turns, if that is to be seen."""
        if self.outline.display and self._known is not None and not self._known.partial:
            begin(self, self._outline_all, "outline", instead=True)

    async def _outline_all(self) -> None:
        try:
            self.outline.know(await self._source.outline())
        except TROUBLE as error:
            self._fail(error)

    async def _follow(self) -> None:
        """Show what is added to the thread, for as long as it is open."""
        while True:
            await asyncio.sleep(max(_LOOK_S, self._took * _SHARE))
            known = self._known
            try:
                if known is not None and known.partial:
                    self._show(await self._source.known(whole=True))
                    continue
                if not await self._source.changed():
                    continue
                if await self._source.is_there() or await self._moved():
                    begun = time.monotonic()
                    self._show(await self._source.known())
                    self._took = time.monotonic() - begun
            except TROUBLE as error:
                self._fail(error)

    async def _moved(self) -> bool:
        """Whether the file of the thread, which is not where it was, is elsewhere."""
        archived = self.row["archived"]
        if not await self._source.find_again():
            if not self._gone:
                self._gone = True
                self.say("The file of this thread is gone. What is on the screen is all there is.")
            return False
        self._gone = False
        if self.row["archived"] != archived and not self.acting:
            self.say("The thread was archived." if not archived else "It is no longer archived.")
        return True

    async def _whole(self) -> bool:
        """Have all turns, which may take a while: whether they are there and still wanted."""
        if self._known is not None and not self._known.partial:
            return True
        return await self._read(whole=True)

    async def _read(self, *, whole: bool) -> bool:
        """Have the turns, and tell how far that is: whether they can be read."""
        reading = asyncio.create_task(self._source.known(whole=whole))
        try:
            while not (await asyncio.wait([reading], timeout=_TELL_S))[0]:
                self._wait(f"Reading {amount(self.row['size_bytes'])}B", self._source.progress())
            self._show(reading.result())
        except TROUBLE as error:
            self._fail(error)
            return False
        finally:
            self._wait("")
            reading.cancel()
        return True

    # Actions

    def action_up(self) -> None:
        self._done(partial(self.turns.move, -1))

    def action_down(self) -> None:
        self._done(partial(self.turns.move, 1))

    def action_page_up(self) -> None:
        self._done(partial(self.turns.page_by, -1))

    def action_page_down(self) -> None:
        self._done(partial(self.turns.page_by, 1))

    def action_next_prompt(self) -> None:
        self._done(partial(self.turns.by_prompt, 1))

    def action_previous_prompt(self) -> None:
        self._done(partial(self.turns.by_prompt, -1))

    def action_bottom(self) -> None:
        self._done(self.turns.to_end)

    def action_follow(self) -> None:
        self._done(self.turns.to_end)
        self.say("At the end: what is added to the thread is shown as it comes.")

    def action_top(self) -> None:
        begin(self, self._to_top, "wait", instead=True)

    async def _to_top(self) -> None:
        if await self._whole():
            self._done(self.turns.to_begin)

    def _done(self, work: Callable[[], None]) -> None:
        """Do something that ends what was said."""
        self._said = ""
        work()

    def action_fold(self) -> None:
        self._said = ""
        if not self.turns.toggle():
            self.say("There is no more of this." if self.turns.shown else "")

    def action_tools(self) -> None:
        tools = TOOLS[(TOOLS.index(self.turns.tools) + 1) % len(TOOLS)]
        self.turns.change_look(tools)
        self.say(f"Tool calls are {SAID[tools]}.")

    def action_outline(self) -> None:
        self.outline.display = not self.outline.display
        if self.outline.display:
            self._outline_turns()
        else:
            self.turns.focus()

    def action_back(self) -> None:
        if self._searched.display and self._searched.has_focus:
            self._close_search()
        elif any(worker.group == "wait" for worker in self.workers):
            self.workers.cancel_group(self, "wait")
            self._found.done = True
            self._wait("")
            self.say("Stopped.")
        elif self._sought and not self._brought:
            self._sought = ""
            self._found = Found()
            self.turns.mark(None)
            self._show_status()
        elif self.outline.has_focus:
            self.turns.focus()
        else:
            self.dismiss(None)

    def action_copy(self) -> None:
        begin(self, self._copy, "take", instead=True)

    async def _copy(self) -> None:
        head, shown = self.turns.current, self.turns.message
        if head is None or shown is None:
            self.say("There is no message under the cursor.")
            return
        try:
            block = await self._source.block(head, shown.key)
        except TROUBLE as error:
            self._fail(error)
            return
        if block is None:
            self.say("There is no message under the cursor.")
            return
        text, what = copied(block)
        self.app.copy_to_clipboard(text)
        self.say(f"Copied {what}: {plural(len(text), 'character')}.")

    def action_edit(self) -> None:
        begin(self, self._edit, "take", instead=True)

    async def _edit(self) -> None:
        if where := machine_of(self.row):
            self.say(f"The file is on {where}.")
            return
        head, shown, at = self.turns.current, self.turns.shown, self.turns.text_at
        block = None
        try:
            if head is not None and shown is not None and shown.role is Role.TOOL:
                block = await self._source.block(head, shown.key)
            folder = await self._source.folder()
        except TROUBLE as error:
            self._fail(error)
            return
        self.say(edited(self.app, block, at, folder))

    def action_keys(self) -> None:
        from cli.browse.words.help import HelpScreen

        self.app.push_screen(HelpScreen("reader", self._own_keys, fleet=self.is_of_fleet))

    # Searching

    def action_find(self) -> None:
        self._searched.display = True
        self._searched.value = self._sought
        self._searched.focus()

    def _close_search(self) -> None:
        self._searched.display = False
        self.turns.focus()

    @on(Input.Submitted, "#reader-search")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_search()
        self._seek(event.value)

    def _seek(self, text: str, *, words: bool = False) -> None:
        term = Term.of(text)
        terms = typed_terms(text) if words else (term,) if term else ()
        self._sought, self._brought = settled(text) if terms else "", words
        self._found = Found()
        matcher = Matcher(terms) if terms else None
        self.turns.mark(matcher)
        self._show_status()
        if matcher is not None:
            begin(self, partial(self._search, matcher, first=words), "wait", instead=True)

    async def _search(self, matcher: Matcher, *, first: bool) -> None:
        """Search the thread and go to the nearest match, or to the ``first`` of most terms."""
        found = self._found
        if not await self._whole() or self._known is None:
            return
        heads, place = self._known.heads, self.turns.place
        order = (place, -1)
        gone: Hit | None = None
        try:
            async for part in search(self._source, heads, matcher, place, found):
                if part:
                    self._wait("Searching" if part < 1 else "", part)
                hit = found.fullest if first else found.nearest(order)
                behind = hit is not None and order_of(hit) >= order and not first
                if gone is None and hit is not None and (behind or found.done):
                    gone = hit
                    self.turns.to_hit(hit)
        except TROUBLE as error:
            self._fail(error)
        self._wait("")

    def action_next_match(self) -> None:
        self._beside(1)

    def action_previous_match(self) -> None:
        self._beside(-1)

    def _beside(self, by: int) -> None:
        if not self._sought:
            self.say("Nothing is searched for: / finds a text.")
            return
        hit = self.turns.current_hit
        order = order_of(hit) if hit else (self.turns.place,)
        found = self._found.beside(order, by)
        self._said = ""
        if found is None:
            self.say("No match." if self._found.done else "No match so far.")
            return
        if found[1]:
            self.say("From the beginning again." if by > 0 else "From the end again.")
        self.turns.to_hit(found[0])
        self._show_status()

    async def on_unmount(self) -> None:
        await self._source.close()
