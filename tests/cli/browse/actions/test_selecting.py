"""Selecting several threads, and how many are shown."""

import asyncio
from pathlib import Path

from tests.cli.browse.actions.picking import Picker, home_of, picking
from tests.support.command import thread_id


def test_the_selected_threads_are_counted_and_escape_selects_none(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing", "third thing")

    async def work() -> None:
        async with picking(here) as picker:
            await picker.press("down")
            assert counted(picker).startswith("─ 3 threads ")
            await picker.press("up", "space", "space")
            assert counted(picker).startswith("─ 2 selected · 3 threads ")
            assert picker.app.chosen == [thread_id(2), thread_id(1)]
            await picker.press("up", "space")
            assert counted(picker).startswith("─ 1 selected · 3 threads ")
            await picker.press("escape")
            assert counted(picker).startswith("─ 3 threads ")
            assert picker.app.is_running

    asyncio.run(work())


def test_all_threads_that_are_found_are_selected_and_go_together(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "other", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            await picker.write("thing")
            await picker.until(lambda: picker.app.settled and picker.app.threads.total == 2)
            await picker.press("f9")
            await picker.until(lambda: len(picker.app.threads.selected) == 2)
            await picker.pilot.pause()
            assert counted(picker).startswith("─ 2 selected · 2 threads ")
            assert await picker.act("ctrl+p") == "Pinned 2 threads. Ctrl+Z undoes."
            await picker.press("f9")
            await picker.until(lambda: not picker.app.threads.selected)
            assert counted(picker).startswith("─ 2 threads ")

    asyncio.run(work())


def counted(picker: Picker) -> str:
    """The line above the list."""
    return picker.app.query_one("#rule").render_line(0).text
