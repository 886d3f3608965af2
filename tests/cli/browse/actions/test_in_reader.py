"""Changes of the thread that the reader shows, whatever is selected in the list."""

import asyncio
from pathlib import Path

from textual.widgets import Input, Static

from cli.browse.dialogs import TextDialog
from cli.browse.reader.screen import ReaderScreen
from rollout.files.writer_lock import WriterLock
from tests.cli.browse.actions.picking import Picker, home_of, picking
from tests.support.command import thread_id


def test_the_thread_that_is_read_is_changed(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")
    file = next((here.home / "sessions").rglob(f"*{thread_id(1)}.jsonl"))

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(0)
            await picker.press("enter")
            await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
            dialog = await picker.opened("f2", TextDialog)
            assert dialog.query_one(Input).value == ""
            await picker.write("Named")
            await picker.act("enter")
            await until(picker, "status", "It is now named “Named”. Ctrl+Z undoes.")
            await until(picker, "title", "Named")
            await picker.act("ctrl+a")
            await until(picker, "status", "Archived “Named”. Ctrl+Z undoes.")
            await until(picker, "facts", "archived")
            assert not file.exists()
            await picker.act("ctrl+z")
            await picker.act("ctrl+z")
            await until(picker, "status", "Undone: named “Named”.")
            await until(picker, "title", "second thing")
            assert file.exists()
            await picker.press("escape")
            assert picker.app.chosen == [thread_id(0)]

    asyncio.run(work())


async def until(picker: Picker, part: str, text: str) -> None:
    """Wait until a line of the reader has a text."""
    line = picker.app.screen.query_one(f"#reader-{part}", Static)
    await picker.until(lambda: text in line.render_line(0).text)


def test_a_reason_is_read_to_its_end_on_80_columns(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            await picker.press("enter")
            await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
            with WriterLock.acquire(here.home, thread_id(1)):
                await picker.act("ctrl+a")
            status = picker.app.screen.query_one("#reader-status", Static)
            await picker.until(lambda: status.size.height > 1)
            lines = [status.render_line(y).text.strip() for y in range(status.size.height)]
            said = " ".join(lines)
            assert "Nothing was moved. “second thing” already has an active writer" in said
            assert "close it in the program that has it open." in said
            assert lines[-1].endswith("turn 1 of 1 · end")
            await picker.press("down")
            await picker.until(lambda: status.size.height == 1)

    asyncio.run(work())
