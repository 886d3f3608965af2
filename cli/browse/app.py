"""The picker: one search box, the list of threads, and a preview of the thread under the cursor."""

import asyncio
import os
import signal
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from io import UnsupportedOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on
from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.widgets import Input

from cli.arguments.locations import Locations
from cli.browse.actions.acting import ThreadScreen
from cli.browse.first_frame import NARROW, FirstPage
from cli.browse.in_order import OrderedApp
from cli.browse.index_sync import IndexSync
from cli.browse.picked import Picked
from cli.browse.picker_screen import PickerScreen, SearchBox
from cli.browse.preview_view import PreviewView
from cli.browse.threads.counts import Finding, summary
from cli.browse.threads.finder import Finder
from cli.browse.threads.lines import facts, one_title
from cli.browse.threads.list_keys import ListKeys
from cli.browse.threads.list_view import ThreadListView
from cli.browse.threads.scope import Scope
from cli.browse.threads.source import ThreadSource
from cli.browse.words.keys import OwnKeys, bindings_of, keymap_of, line_of
from cli.errors import INTERRUPTED
from cli.filter.known import known_machines
from cli.filter.language import parse
from cli.filter.wanted import Wanted, wanted
from state.jobs.progress import JobProgress
from state.query.rows import Row
from state.thread_index import ThreadIndex, open_index

if TYPE_CHECKING:
    from cli.browse.fleet_threads import FleetThreads

_PREVIEW_S: Final = 0.05
"""A thread is read for the preview when the cursor has rested on it for so long ..."""
_FETCHED_S: Final = 0.4
"""... and one of a fleet is fetched for it."""
_ACTIONS: Final = frozenset(each.action for each in bindings_of("picker")) - {"interrupt"}


class BrowseApp(ListKeys, OrderedApp):
    """Gives what was picked, or None."""

    CSS_PATH = "browse.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012 - as in App
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("picker")]

    def __init__(
        self,
        here: Locations,
        index: ThreadIndex | None = None,
        *,
        pick: bool = False,
        text: str = "",
        folder: str = "",
        own_keys: OwnKeys = MappingProxyType({}),
        page: FirstPage | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """With an open ``index``, or one that is opened when the app runs. ``pick``: Enter picks a
        thread. ``text`` stands in the search box. ``folder`` is that of this project. ``page`` is
        what the list begins with."""
        super().__init__()
        for capture in (self._capture_stdout, self._capture_stderr):
            # -1, which it gives, keeps worker processes from starting.
            capture.fileno = _no_file  # type: ignore[method-assign]
        self.theme = "ansi-dark"
        self.own_keys = own_keys
        self.set_keymap(keymap_of(own_keys))
        self.here = here
        self.pick = pick
        self.index: ThreadIndex
        """Open once ``ready`` is set."""
        self.ready = asyncio.Event()
        self.caught_up = False
        """Whether the index is in step with the files, as far as is known."""
        self.failure: Exception | None = None
        """Why the app ended, if it had to."""
        self._given, self._text = index, text
        self._fleet: FleetThreads | None = None
        self._scope = Scope(folder)
        self._page = page
        self._asked: str | None = None
        """The text whose list was begun last."""
        self._shown = asyncio.Event()
        self._ending = asyncio.Event()
        self._picked: Picked | None = None
        self._status = 0
        self._early: list[events.Key] | None = []
        """Keys that were pressed by now; None once they are handled as they come."""
        self._screen = PickerScreen(id="_default")
        self.threads.now_ms = now_ms
        self._source = ThreadSource(page.entries if page else None)
        self._finder = Finder(self._source, self.threads, self._found)
        if page is not None:
            keys = array("q", page.entries)
            self.threads.begin(self._source, keys, page.counted.listed)
            self._screen.rule.show(summary(page.finding), self._scope.text)

    @property
    def native_ansi_color(self) -> bool:
        """The picker has the colours of the terminal. Textual asks for this before it knows the
        theme, and without colours would draw black on black."""
        return True

    def get_driver_class(self) -> type[Driver]:
        usual = super().get_driver_class()
        if sys.platform == "win32":
            return usual
        from cli.browse.driver import PickerDriver

        return PickerDriver

    def get_default_screen(self) -> Screen[None]:
        return self._screen

    @on(PickerScreen.Mounted)
    async def _open(self) -> None:
        self._show_keys()
        self.box.value = self._text
        self.box.cursor_position = len(self._text)
        self.screen.set_focus(self.box)
        early, self._early = self._early or [], None
        for event in early:
            await super().on_event(event)
        work: Any = self._work
        self.run_worker(work, name="index", exit_on_error=False)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end_by, number)

    async def on_event(self, event: events.Event) -> None:
        """Keep what is typed before there is a search box for it."""
        if self._early is not None and isinstance(event, events.Key):
            self._early.append(event)
        else:
            await super().on_event(event)

    async def _work(self) -> None:
        """Fill the list, and keep it up to date, until the app ends."""
        try:
            if self._given is not None:
                await self._work_with(self._given)
            else:
                async with open_index(self.here.home, self.here.index) as index:
                    await self._work_with(index)
        except Exception as error:  # noqa: BLE001 - raised again when the terminal is whole
            self.failure = error
        self.exit(self._picked, self._status)

    async def _work_with(self, index: ThreadIndex) -> None:
        self.index = index
        self._source.index = index
        if self.here.fleet is None:
            follow = IndexSync(index, self.reload, self._behind).run
            await self._scope.look_up(index)
        else:
            from cli.browse.fleet_threads import FleetThreads

            self._fleet = FleetThreads(self, self._scope, self._behind)
            self.box.known = await known_machines(index)  # the others follow
            follow = self._fleet.run
        await self.reload(keep=self._page is not None)
        self.ready.set()
        syncing = asyncio.create_task(follow())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((syncing, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self.end_action()
            index.database.stop_waiting()  # nobody waits for what is cut off now
            for task in (syncing, ending):
                task.cancel()
            ended, _ = await asyncio.gather(syncing, ending, return_exceptions=True)
            if self._fleet is not None:
                await self._fleet.store.close()
        if isinstance(ended, Exception):
            raise ended

    # What others use

    @property
    def threads(self) -> ThreadListView:
        """The list."""
        return self._screen.threads

    @property
    def box(self) -> SearchBox:
        """The search box."""
        return self._screen.box

    @property
    def preview(self) -> PreviewView:
        """The preview."""
        return self._screen.preview

    @property
    def current(self) -> Row | None:
        """The row of the thread under the cursor."""
        return self.threads.current

    @property
    def chosen(self) -> list[str]:
        """The ids of the threads that an action is for: the selected ones, else the current one."""
        current = self.current
        return [*self.threads.selected] or ([current["id"]] if current else [])

    @property
    def finding(self) -> Finding:
        """What the list holds, and how it was found."""
        return self._finder.finding

    @property
    def settled(self) -> bool:
        """Whether the list shows all that is found, and all rows that are seen are read."""
        return self.ready.is_set() and self.finding.done and self.threads.complete

    async def unseen(self) -> int:
        return await self.threads.unseen()

    def deselect(self, ids: Sequence[str]) -> None:
        """Take threads out of the selection."""
        self.threads.deselect(ids)

    def say(self, text: str) -> None:
        """Show a line of text below the list, or in the reader; an empty one takes it away."""
        self.said_at = self.clock() if text else None
        screen = self.screen if isinstance(self.screen, ThreadScreen) else self._screen
        screen.say(text)

    async def reload(self, keep: bool = True) -> None:
        """Show the list again. With ``keep``, the cursor stays on its thread."""
        await self._find(keep=keep).wait()
        self.box.learn(self.index)

    def _find(self, *, keep: bool) -> asyncio.Event:
        """Begin to fill the list. What was begun before is never shown."""
        self._shown.set()  # nobody waits for what is not shown
        self._asked = self.box.value
        self._shown = shown = asyncio.Event()
        self._finder.finding = Finding()
        finding: Any = partial(self._finder.find, self.wanted(), shown, keep=keep)
        self.run_worker(finding, group="find", exclusive=True)
        return shown

    def wanted(self) -> Wanted:
        """What the list is to show."""
        return wanted(self.box.value, self._scope.query, time.time(), self.box.known)

    # What is found

    def _found(self, finding: Finding) -> None:
        if finding.done:
            self._moved()  # what is highlighted may be something else, or the thread has grown
        self._screen.show_finding(finding, self._scope, self.here.home)

    def _behind(self, counts: JobProgress | None, why: str) -> None:
        self.caught_up = counts is None and not why
        self._screen.show_progress(counts, why, self._scope)

    def _show_keys(self) -> None:
        keys = self._screen.keys
        others = {"open": "pick"} if self.pick else {}
        fleet = self.here.fleet is not None
        keys.update(line_of("picker", self.own_keys, self.size.width - 2, others, fleet=fleet))

    def on_resize(self) -> None:
        if self.ready.is_set():
            self._show_keys()
            self._moved()

    @on(Input.Changed, "#search")
    def _text_changed(self) -> None:
        self._screen.rule.offer(self.box.offered_values)
        self.list_typed()

    def take(self, text: str) -> None:
        self.box.take(text)

    @property
    def listed(self) -> bool:
        return self._asked == self.box.value and self._shown.is_set()

    def list_typed(self) -> None:
        if self.ready.is_set() and self._asked != self.box.value:
            self._find(keep=False)

    # The preview

    @on(ThreadListView.Moved)
    def _moved(self) -> None:
        work: Any = self._show_preview
        self.run_worker(work, group="preview", exclusive=True)

    async def _show_preview(self) -> None:
        await asyncio.sleep(_PREVIEW_S if self._fleet is None else _FETCHED_S)
        entry = self.threads.current_entry
        if entry is None:
            self._screen.heading.show("", "")
            self.preview.clear()
            return
        row = entry.row
        self._screen.heading.show(one_title(row), facts(entry, os.path.expanduser("~")))
        hit = self._finder.hits.get(row["id"])
        said = hit.messages if hit else ()
        index = self.index
        if self._fleet is not None:
            if (found := await self._fleet.for_preview(row)) is None:
                return
            index, row = found
        await self.preview.show_thread(index, row, self.wanted().terms, said)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key of the picker counts while something else is open, though Textual asks for
        some."""
        if len(self.screen_stack) > 1 and action in _ACTIONS:
            return False
        return super().check_action(action, parameters)

    @on(ThreadListView.Selected)
    def _selected(self) -> None:
        self._screen.rule.show_selected(len(self.threads.selected))

    def action_scope(self) -> None:
        self._scope.change()
        self._find(keep=True)

    def action_redraw(self) -> None:
        self.refresh(repaint=True, layout=True)

    @on(ThreadListView.Opened)
    async def action_open(self) -> None:
        if self.pick and (row := self.current) is not None:
            found = await self.index.rows_of(self.chosen) if self.threads.selected else {}
            rows = tuple(found[id_] for id_ in self.chosen if id_ in found)
            self.leave_with(Picked(row, rows=rows))
        else:
            self.action_read()

    def action_read(self) -> None:
        if (row := self.current) is not None:
            self.read(row)

    def read(self, row: Row) -> None:
        """Open the reader on a thread."""
        from cli.browse.reader.screen import ReaderScreen
        from cli.turns.source import TurnSource

        if self._fleet is None:
            self.push_screen(ReaderScreen(TurnSource(self.index, row), self._at()))
        else:
            work: Any = self._fleet.reading(row, self._at())
            self.run_worker(work, group="fetch", exclusive=True)

    def _at(self) -> str:
        """What the reader is to show first."""
        return parse(self.box.value, time.time()).words

    async def action_back(self) -> None:
        if self.box.value:
            self.box.value = ""
        elif self.threads.selected:
            self.threads.unselect()
        else:
            self.leave_with(None)

    def action_interrupt(self) -> None:
        self.leave_with(None, INTERRUPTED)

    def leave_with(self, picked: Picked | None, status: int = 0) -> None:
        """End the picker, once a change that is being made is done or put off. Asked again, it does
        not wait for that."""
        if self.ready.is_set() and not self._ending.is_set():
            self._picked, self._status = picked, status
            self._ending.set()
        else:
            self.exit(picked, status)

    def _end_by(self, number: int) -> None:
        self.leave_with(None, 128 + number)


def _no_file() -> int:
    raise UnsupportedOperation("fileno")
