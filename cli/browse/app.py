"""The picker: one search box, the list of threads, and a preview of the thread under the cursor."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from cli.arguments.locations import Locations
from cli.browse.actions.acting import ActingApp
from cli.browse.list_view import ThreadListView
from cli.browse.source import ThreadSource
from state.query.rows import Row
from state.thread_index import ThreadIndex, open_index

_NARROW: Final = 100
"""With fewer columns, the preview is below the list."""


class BrowseApp(ActingApp):
    """Gives what was picked, or None."""

    CSS_PATH = "browse.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-wide")]  # noqa: RUF012 - as in App
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,ctrl+k", "move(-1)", "up", id="up", priority=True, show=False),
        Binding("down,ctrl+j", "move(1)", "down", id="down", priority=True, show=False),
        Binding("escape", "back", "back", id="back"),
    ]

    def __init__(self, here: Locations) -> None:
        super().__init__()
        self.here = here
        self.index: ThreadIndex
        """Open once ``ready`` is set."""
        self.ready = asyncio.Event()
        self._leaving = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Input(placeholder="Search threads", id="search", compact=True)
        with Horizontal(id="main"):
            yield ThreadListView(id="list")
            yield Static(id="preview")
        yield Static(id="message")

    def on_mount(self) -> None:
        self.run_worker(self._hold_index(), name="index")

    async def _hold_index(self) -> None:
        async with open_index(self.here.home, self.here.index) as index:
            self.index = index
            self.ready.set()
            source = ThreadSource(index)
            await self.threads.show(source)
            await index.catch_up()
            await self.threads.show(source)
            await self._leaving.wait()
            await self.end_action()

    @property
    def threads(self) -> ThreadListView:
        """The list."""
        return self.query_one(ThreadListView)

    @property
    def current(self) -> Row | None:
        """The row of the thread under the cursor."""
        return self.threads.current

    @property
    def chosen(self) -> list[str]:
        """The ids of the threads that an action is for: the selected ones, else the current one."""
        current = self.current
        return [*self.threads.selected] or ([current["id"]] if current else [])

    def say(self, text: str) -> None:
        """Show a line of text below the list."""
        self.query_one("#message", Static).update(text)

    def action_move(self, by: int) -> None:
        self.threads.move(by)

    async def action_back(self) -> None:
        self._leaving.set()
        self.exit(None)

    def deselect(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self.threads.selected.pop(id_, None)

    async def reload(self) -> None:
        await self.threads.show(ThreadSource(self.index))
