"""The picker on a home of a few threads, for the tests of what it does with them."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from cli.arguments.locations import Locations
from cli.browse.app import BrowseApp
from cli.browse.picked import Picked
from state.thread_index import ThreadIndex
from tests.support.checks import synced
from tests.support.command import thread_id, write_rollout

Dialog = TypeVar("Dialog", bound=Screen[Any])


@contextmanager
def held(here: Locations) -> Iterator[None]:
    """Hold the index, as another process that writes does."""
    with closing(sqlite3.connect(here.index, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


class Picker:
    """Presses keys and waits for what they do."""

    def __init__(self, app: BrowseApp, pilot: Pilot[Picked | None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        """Press keys one after the other; each is handled before the next."""
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        """Type a text."""
        await self.pilot.press(*("space" if letter == " " else letter for letter in text))

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true, however long that takes."""
        while not true():
            await self.pilot.pause(0.01)

    async def act(self, *keys: str) -> str:
        """Press keys, wait until the action that they begin is done, and give what it says."""
        await self.press(*keys)
        await self.done()
        return self.said

    async def opened(self, key: str, kind: type[Dialog]) -> Dialog:
        """The dialog that a key opens."""
        await self.press(key)
        await self.until(lambda: isinstance(self.app.screen, kind))
        await self.pilot.pause()
        assert isinstance(self.app.screen, kind)
        return self.app.screen

    def select(self, *numbers: int) -> None:
        """Select threads."""
        self.app.threads.selected.update(dict.fromkeys(map(thread_id, numbers)))

    async def done(self) -> None:
        """Wait for the end of the action that is running."""
        await self.until(lambda: self.app.action_done)
        await self.pilot.pause()

    @property
    def said(self) -> str:
        """The message below the list."""
        return str(self.app.query_one("#message", Static).content)


def home_of(folder: Path, *texts: str, archived: int = 0) -> Locations:
    """A home with a thread for each text, the last one the newest, and its index."""
    home = folder / "home"
    for number, text in enumerate(texts):
        write_rollout(home, number, text, cwd=str(folder), archived=number < archived)
    here = Locations(home, folder / "state" / "index.sqlite3")
    synced(home, here.index)
    return here


@asynccontextmanager
async def picking(
    here: Locations, *, size: tuple[int, int] = (80, 24), index: ThreadIndex | None = None
) -> AsyncIterator[Picker]:
    """The picker, with its list as it is at the start."""
    app = BrowseApp(here, index)
    async with app.run_test(size=size) as pilot:
        picker = Picker(app, pilot)
        await picker.until(lambda: app.ready.is_set() and app.current)
        yield picker
        app.leave_with(None)
        await picker.until(lambda: all(each.is_finished for each in app.workers))
