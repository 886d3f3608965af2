"""The picker on a home, for tests: driven by keys, waiting for conditions and never for times."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from textual.app import App
from textual.pilot import Pilot
from textual.strip import Strip

from cli.arguments.locations import Locations
from cli.browse.app import BrowseApp
from cli.browse.picked import Picked


def picture(app: App[Any], *, light: bool = False) -> str:
    """The screen of an app as an SVG, in the colours of a dark terminal or of a light one."""
    width, height = app.size
    paper = Console(
        width=width,
        height=height,
        file=StringIO(),
        force_terminal=True,
        color_system="truecolor",
        record=True,
        legacy_windows=False,
        safe_box=False,
    )
    paper.print(app.screen._compositor.render_update(full=True, simplify=True))
    theme = DEFAULT_TERMINAL_THEME if light else SVG_EXPORT_THEME
    return paper.export_svg(title="threadkeep browse", theme=theme, unique_id="t")


class Picker:
    """Presses keys, and waits for what they do."""

    def __init__(self, app: BrowseApp, pilot: Pilot[Picked | None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        """Press keys one after the other; each is handled before the next."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type a text, and wait until all of it was searched."""
        await self.pilot.press(*("space" if letter == " " else letter for letter in text))
        await self.settled()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true, however long that takes."""
        while not true():
            assert self.app.is_running
            await self.pilot.pause(0.01)

    async def settled(self) -> None:
        """Wait until the list shows all that is found, and each row that is seen is read."""
        await self.pilot.pause()
        await self.until(lambda: self.app.settled)
        await self.pilot.pause()

    @property
    def screen(self) -> list[str]:
        """The lines of the screen."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return ["".join(piece.text for piece in strip) for strip in strips]

    def picture(self, *, light: bool = False) -> str:
        """The screen as an SVG, in the colours of a dark terminal or of a light one."""
        return picture(self.app, light=light)

    def filtered(self, strip: Strip) -> Iterable[Segment]:
        """A line as it goes to the terminal."""
        pieces = [*strip]
        for line_filter in self.app._filters:
            pieces = line_filter.apply(pieces, self.app.screen.background_colors[1])
        return pieces

    @property
    def titles(self) -> list[str]:
        """The lines of the list that are on the screen, without the ages in front."""
        view = self.app.threads
        lines = [view.render_line(y).text for y in range(view.size.height)]
        return [line[8:].rstrip() for line in lines if line.strip()]

    @property
    def titles_as_text(self) -> str:
        """What stands in the place of the list, as one text."""
        view = self.app.threads
        return " ".join(view.render_line(y).text.strip() for y in range(view.size.height))

    @property
    def focused(self) -> str:
        """The id of the widget that has the focus."""
        return (self.app.focused and self.app.focused.id) or ""

    @property
    def current(self) -> str:
        """The id of the thread under the cursor; empty for none."""
        return self.app.current["id"] if self.app.current else ""


@asynccontextmanager
async def picking(
    home: Path,
    index: Path,
    *,
    size: tuple[int, int] = (80, 24),
    caught_up: bool = True,
    **options: Any,
) -> AsyncIterator[Picker]:
    """The picker, with its list as it is at the start."""
    app = BrowseApp(Locations(home, index), **options)
    async with app.run_test(size=size) as pilot:
        picker = Picker(app, pilot)
        await picker.until(app.ready.is_set)
        if caught_up:
            await picker.until(lambda: app.caught_up)
        await picker.settled()
        yield picker
        app.leave_with(None)
