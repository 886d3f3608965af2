"""The picker on a fleet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import get_args

from cli.browse.app import BrowseApp
from cli.browse.reader.screen import ReaderScreen
from cli.browse.words.help import help_text
from cli.browse.words.keys import Place
from state.fleet.reading.index import open_fleet
from tests.cli.browse.support import Picker, picking
from tests.cli.fleet.faces import COUNT, MACHINE, Faces
from tests.support.command import thread_id


def picked(both: Faces, work: Callable[[Picker], Awaitable[None]]) -> None:
    """Do some work in the picker of the fleet."""

    async def run() -> None:
        here = both.fleet
        assert here.fleet is not None
        async with open_fleet(here.home, here.index, here.fleet) as index:
            app = BrowseApp(here, index)
            async with app.run_test(size=(120, 24)) as pilot:
                picker = Picker(app, pilot)
                await picker.until(lambda: app.caught_up)
                await picker.settled()
                await work(picker)
                app.leave_with(None)

    asyncio.run(run())


def test_the_list_is_that_of_the_machine_with_its_name(both: Faces) -> None:
    async def ids_of(picker: Picker) -> list[str]:
        app = picker.app
        return [entry.row["id"] for key in app.threads.keys if (entry := app._source.entry(key))]

    async def local() -> list[str]:
        async with picking(both.local.home, both.local.index) as picker:
            return await ids_of(picker)

    of_machine = asyncio.run(local())
    assert len(of_machine) == COUNT

    async def look(picker: Picker) -> None:
        assert await ids_of(picker) == of_machine
        assert all(f"me@{MACHINE}" in title for title in picker.titles)
        assert picker.screen[-1].split() == [
            *("Enter", "read", "F1", "keys", "Esc", "leave", "Tab", "project/all"),
        ]
        await picker.type("machine:laptop tag:bug ")
        assert await ids_of(picker) == [thread_id(3)]

    picked(both, look)


def test_a_thread_is_fetched_and_read_and_changed_elsewhere(both: Faces) -> None:
    async def look(picker: Picker) -> None:
        await picker.type("tag:bug ")
        await picker.until(lambda: "answer 3" in picker.app.preview.text)
        await picker.press("ctrl+t")
        await picker.until(lambda: "is changed on its machine" in "\n".join(picker.screen))
        await picker.press("ctrl+r")
        await picker.until(lambda: f"pull {thread_id(3)}" in said(picker))
        await picker.press("enter")
        await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
        await picker.until(lambda: "answer 3" in "\n".join(picker.screen))
        await picker.until(lambda: "look here" in "\n".join(picker.screen))
        assert "outline" in picker.screen[-1]
        assert "resume" not in picker.screen[-1]

    picked(both, look)


def test_the_keys_that_a_fleet_refuses_are_not_explained() -> None:
    for place in get_args(Place):
        text = help_text(place, {}, fleet=True).plain
        assert "Copy the command" in text
        for refused in ("Ctrl+R", "Ctrl+T", "F2", "$EDITOR"):
            assert refused not in text
        assert "Ctrl+R" in help_text(place, {}).plain


def said(picker: Picker) -> str:
    """What the screen says, without its line breaks."""
    return " ".join(" ".join(picker.screen).split())


def test_what_was_not_pushed_and_a_fleet_that_is_away_are_told(both: Faces) -> None:
    async def look(picker: Picker) -> None:
        await picker.until(lambda: "has pushed only the metadata" in picker.app.preview.text)
        both.door.shut()
        await picker.type("is:pinned ")
        await picker.until(lambda: picker.app.finding.problem)
        both.door.open()
        await picker.press("escape")
        await picker.settled()
        assert len(picker.app.threads.keys) == COUNT

    picked(both, look)
