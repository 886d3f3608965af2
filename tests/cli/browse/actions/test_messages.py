"""How long the picker says what it did."""

import asyncio
from pathlib import Path

from cli.browse.dialogs import TextDialog
from cli.browse.reader.screen import ReaderScreen
from tests.cli.browse.actions.picking import home_of, picking


def test_a_message_goes_with_the_first_key_some_seconds_later(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")
    now = 0.0

    async def work() -> None:
        nonlocal now
        async with picking(here) as picker:
            picker.app.clock = lambda: now
            assert await picker.act("ctrl+p") == "Pinned “second thing”. Ctrl+Z undoes."
            now += 4
            await picker.press("down")
            assert picker.said == "Pinned “second thing”. Ctrl+Z undoes."
            now += 4
            assert picker.said == "Pinned “second thing”. Ctrl+Z undoes."
            await picker.press("up")
            assert picker.said == ""
            assert await picker.act("ctrl+z") == "Undone: pinned “second thing”."
            now += 6
            await picker.write("t")
            assert picker.said == ""

    asyncio.run(work())


def test_the_message_of_an_action_that_is_running_stays(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    now = 0.0

    async def work() -> None:
        nonlocal now
        async with picking(here) as picker:
            picker.app.clock = lambda: now
            await picker.opened("f4", TextDialog)
            picker.app.say("Writing …")
            now += 6
            await picker.write("a")
            assert picker.said == "Writing …"
            await picker.act("escape")
            await picker.press("enter")
            await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
            assert picker.said == ""

    asyncio.run(work())
