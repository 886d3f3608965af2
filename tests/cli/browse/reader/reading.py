"""The reader alone on one thread, for its tests: driven by keys, waiting for conditions and never
for times."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cli.browse.picked import Picked
from cli.browse.reader.screen import ReaderScreen
from cli.turns.source import TurnSource
from state.query.rows import Row
from state.thread_index import ThreadIndex, open_index
from tests.samples.histories import first_line, numbered, spell
from tests.samples.rollouts import THREAD_ID
from tests.support.indexes import empty_index

NAME = f"sessions/2026/10/15/rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl"


class ReaderApp(App[Picked | None]):
    """Shows one thread."""

    def __init__(self, index: ThreadIndex, row: Row, at: str) -> None:
        super().__init__(ansi_color=True)
        self.reader = ReaderScreen(TurnSource(index, row), at)

    def on_mount(self) -> None:
        self.theme = "ansi-dark"
        self.push_screen(self.reader)


class Reader:
    """Presses keys, and tells what is on the screen."""

    def __init__(self, app: ReaderApp, pilot: Pilot[Any], index: ThreadIndex) -> None:
        self.app, self.pilot, self.index = app, pilot, index
        self.screen = app.reader

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, and wait for what they lead to."""
        await self.pilot.press(*keys)
        await self.settled()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true, however long that takes."""
        while not true():
            await self.pilot.pause(0.01)

    async def settled(self) -> None:
        """Wait until what is seen is read, and what was asked for is done."""
        await self.pilot.pause()
        await self.until(lambda: self.screen.settled)
        await self.pilot.pause()

    async def find(self, text: str) -> None:
        """Search the thread."""
        await self.press("slash")
        self.screen.query_one("#reader-search", Input).value = text
        await self.press("enter")

    @property
    def lines(self) -> list[str]:
        """The lines of the turns that are on the screen."""
        view = self.screen.turns
        return [view.render_line(y).text.rstrip() for y in range(view.size.height)]

    @property
    def text(self) -> str:
        """The same in one."""
        return "\n".join(self.lines)

    @property
    def here(self) -> str:
        """The line under the cursor, without its mark."""
        view = self.screen.turns
        y = view.page.y(view.cursor) - view.scroll_offset.y
        return self.lines[y].strip("▌─ ")

    @property
    def outline(self) -> list[str]:
        """The lines of the outline."""
        view = self.screen.outline
        lines = [view.render_line(y).text.rstrip() for y in range(view.size.height)]
        return [line for line in lines if line]

    def shown(self, id_: str) -> str:
        """What a line around the turns says."""
        return str(self.screen.query_one(f"#reader-{id_}", Static).content)

    @property
    def status(self) -> str:
        """The line below the turns."""
        return self.shown("status")


def put(home: Path, lines: list[dict[str, Any]], mode: str = "legacy", name: str = NAME) -> Path:
    """Write a thread with these lines behind its first one."""
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    every = [first_line(mode), *lines]
    path.write_bytes(spell(numbered(every) if mode == "paginated" else every))
    return path


def read(
    home: Path,
    work: Callable[[Reader], Awaitable[None]],
    *,
    thread: str = THREAD_ID,
    size: tuple[int, int] = (80, 24),
    at: str = "",
) -> None:
    """Open a thread of a home in the reader, and do something there."""
    db = home.parent / "index.sqlite3"
    empty_index(db)

    async def run() -> None:
        async with open_index(home, db) as index:
            await index.catch_up()
            row = await index.thread(thread)
            app = ReaderApp(index, row, at)
            async with app.run_test(size=size) as pilot:
                reader = Reader(app, pilot, index)
                await reader.settled()
                await work(reader)

    asyncio.run(run())
