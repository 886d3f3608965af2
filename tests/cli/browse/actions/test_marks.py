"""Tags, pins, notes and status in the picker: in the journal and the index, and taken back."""

import asyncio
import json
import shutil
from functools import partial
from pathlib import Path

from textual.widgets import Input, OptionList, Static

from cli.arguments.locations import Locations
from cli.browse.dialogs import Choice, Question, TextDialog
from cli.browse.reader.screen import ReaderScreen
from state.db.location import journal_path
from state.thread_index import open_index
from tests.cli.browse.actions.picking import held, home_of, picking
from tests.support.checks import codes, synced, verified
from tests.support.command import Inside, thread_id
from tests.support.indexes import rows


def test_tags_are_added_and_removed_for_all_selected_threads(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing", "third thing")

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(0, 1)
            dialog = await picker.opened("ctrl+t", TextDialog)
            assert shown(dialog) == "tag adds, -tag removes"
            await picker.write("Parser, #urgent")
            said = await picker.act("enter")
            assert said == "Added #parser, #urgent: 2 threads. Ctrl+Z undoes."
            assert marks(here) == {
                0: {"tag:parser": "1", "tag:urgent": "1"},
                1: {"tag:parser": "1", "tag:urgent": "1"},
            }
            picker.app.threads.selected.clear()
            picker.select(1, 2)
            dialog = await picker.opened("ctrl+t", TextDialog)
            assert shown(dialog).splitlines()[:2] == [
                "Tags: #parser (1)  #urgent (1)",
                "Known: #parser (2)  #urgent (2)",
            ]
            await picker.write("-parser later")
            said = await picker.act("enter")
            assert said == "Added #later and removed #parser: 2 threads. Ctrl+Z undoes."
            assert marks(here) == {
                0: {"tag:parser": "1", "tag:urgent": "1"},
                1: {"tag:later": "1", "tag:urgent": "1"},
                2: {"tag:later": "1"},
            }
            said = await picker.act("ctrl+z")
            assert said == "Undone: added #later and removed #parser: 2 threads."
            assert marks(here) == {
                0: {"tag:parser": "1", "tag:urgent": "1"},
                1: {"tag:parser": "1", "tag:urgent": "1"},
            }
            await picker.act("ctrl+z")
            assert marks(here) == {}

    asyncio.run(work())
    assert codes(verified(here.home, here.index)) == {}
    journal = [json.loads(line) for line in journal_path(here.index).read_text().splitlines()]
    assert [line["key"] for line in journal if line["thread_id"] == thread_id(2)] == [
        "tag:later",
        "tag:later",
    ]


def test_what_is_journalled_outlives_the_index(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")

    async def work() -> None:
        async with picking(here) as picker:
            await picker.act("ctrl+p")

    asyncio.run(work())
    here.index.unlink()
    synced(here.home, here.index)
    assert marks(here) == {0: {"pinned": "1"}}


def test_known_tags_are_completed(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")
    cli = Inside(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})
    cli.run("tag", "parser", thread_id(0))
    cli.run("tag", "parser,patience", thread_id(1))

    async def work() -> None:
        async with picking(here) as picker:
            for keys in (["right"], ["tab"], ["left", "tab"]):
                dialog = await picker.opened("ctrl+t", TextDialog)
                box = dialog.query_one(Input)
                await picker.write("new, -pat")
                await picker.until(partial(getattr, box, "_suggestion"))
                await picker.press(*keys)
                assert box.value == "new, -patience"
                await picker.act("escape")

    asyncio.run(work())


def test_a_wrong_tag_keeps_the_dialog_open(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")

    async def work() -> None:
        async with picking(here) as picker:
            dialog = await picker.opened("ctrl+t", TextDialog)
            await picker.write("x" * 65)
            await picker.press("enter")
            problem = str(dialog.query_one(".problem", Static).content)
            assert problem == "A tag has at most 64 characters."
            await picker.press("ctrl+d")  # no tag is known that could be deleted
            await picker.act("escape")

    asyncio.run(work())
    assert not journal_path(here.index).exists()


def test_a_tag_is_deleted_from_all_threads_when_that_is_confirmed(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing", "third thing")
    cli = Inside(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})
    cli.run("tag", "parser,other", thread_id(0))
    cli.run("tag", "parser", thread_id(1))
    cli.run("archive", thread_id(1))
    before = marks(here)

    async def work() -> None:
        async with picking(here) as picker:
            dialog = await picker.opened("ctrl+t", TextDialog)
            for text, told in (
                ("", "Name the one tag that is to be deleted."),
                ("nobody", "No thread has #nobody."),
            ):
                dialog.query_one(Input).value = text
                await picker.press("ctrl+d")
                assert str(dialog.query_one(".problem", Static).content) == told
            dialog.query_one(Input).value = "parser"
            question = await picker.opened("ctrl+d", Question)
            shown_text = str(question.query_one(Static).content)
            assert shown_text == "Delete the tag #parser from 2 threads?"
            said = await picker.act("y")
            assert said == "Deleted #parser from 2 threads. Ctrl+Z undoes."
            assert marks(here) == {0: {"tag:other": "1"}}
            assert await picker.act("ctrl+z") == "Undone: deleted #parser."

    asyncio.run(work())
    assert marks(here) == before


def test_several_threads_are_pinned_then_unpinned(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            assert await picker.act("ctrl+p") == "Pinned “second thing”. Ctrl+Z undoes."
            picker.select(0, 1)
            assert await picker.act("ctrl+p") == "Pinned 2 threads. Ctrl+Z undoes."
            assert marks(here) == {0: {"pinned": "1"}, 1: {"pinned": "1"}}
            await picker.act("ctrl+z")
            assert marks(here) == {1: {"pinned": "1"}}
            await picker.act("ctrl+p")
            assert await picker.act("ctrl+p") == "Unpinned 2 threads. Ctrl+Z undoes."

    asyncio.run(work())
    assert marks(here) == {}


def test_a_note_is_written_changed_and_removed(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")

    async def work() -> None:
        async with picking(here) as picker:
            await picker.opened("f4", TextDialog)
            await picker.write("ask Ada")
            said = await picker.act("enter")
            assert said == "Noted on “first thing”. Ctrl+Z undoes."
            dialog = await picker.opened("f4", TextDialog)
            assert dialog.query_one(Input).value == "ask Ada"
            dialog.query_one(Input).value = ""
            said = await picker.act("enter")
            assert said == "Removed the note of “first thing”. Ctrl+Z undoes."
            assert marks(here) == {}
            await picker.act("ctrl+z")

    asyncio.run(work())
    assert marks(here) == {0: {"note": "ask Ada"}}


def test_a_note_is_seen_as_soon_as_it_is_written(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    note = "ask Ada which of the two parsers she would rather keep, and whether that is for good"

    async def work() -> None:
        async with picking(here) as picker:
            await picker.opened("f4", TextDialog)
            await picker.write(note)
            await picker.act("enter")
            heading = picker.app.query_one("#heading")
            await picker.until(lambda: " ask Ada which" in heading.render_line(0).text)
            await picker.act("f7")
            assert picker.app.threads.render_line(1).text.strip().startswith("ask Ada which of the")
            await picker.press("enter")
            await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
            marks_line = picker.app.screen.query_one("#reader-marks", Static)
            await picker.until(lambda: marks_line.size.height == 2)
            assert str(marks_line.content).replace("\n", " ") == note
            await picker.opened("f4", TextDialog)
            await picker.press("ctrl+u", *"soon")
            await picker.act("enter")
            await picker.act("ctrl+p")
            await picker.until(lambda: str(marks_line.content) == "★ pinned · soon")

    asyncio.run(work())


def test_a_status_is_chosen_and_taken_back(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            await picker.opened("f5", Choice)
            await picker.press("w")
            said = await picker.act("enter")
            assert said == "Status waiting: “second thing”. Ctrl+Z undoes."
            picker.select(0, 1)
            choice = await picker.opened("f5", Choice)
            assert choice.query_one(OptionList).highlighted == 0
            await picker.press("d", "d")
            assert await picker.act("enter") == "Status done: 2 threads. Ctrl+Z undoes."
            choice = await picker.opened("f5", Choice)
            assert choice.query_one(OptionList).highlighted == 3
            await picker.press("n")
            assert await picker.act("enter") == "Status none: 2 threads. Ctrl+Z undoes."
            assert marks(here) == {}
            await picker.act("ctrl+z")
            assert marks(here) == {0: {"status": "done"}, 1: {"status": "done"}}
            await picker.act("ctrl+z")
            await picker.opened("f5", Choice)
            await picker.act("escape")

    asyncio.run(work())
    assert marks(here) == {1: {"status": "waiting"}}


def test_hundreds_of_threads_are_tagged_at_once(tmp_path: Path) -> None:
    here = home_of(tmp_path, *(f"thing {number}" for number in range(300)))

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(*range(300))
            await picker.opened("ctrl+t", TextDialog)
            await picker.write("all")
            assert await picker.act("enter") == "Added #all: 300 threads. Ctrl+Z undoes."
            assert marks(here) == {number: {"tag:all": "1"} for number in range(300)}
            await picker.act("ctrl+z")

    asyncio.run(work())
    assert marks(here) == {}


def test_errors_are_told_and_the_next_key_works(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            picker.app.index.database.stop_waiting()
            with held(here):
                said = await picker.act("ctrl+p")
            assert "was locked by another process" in said
            assert said.endswith("press the key again in a moment.")
            assert await picker.act("ctrl+p") == "Pinned “second thing”. Ctrl+Z undoes."
            journal_path(here.index).rename(tmp_path / "aside")
            journal_path(here.index).mkdir()
            said = await picker.act("ctrl+p")
            assert "facts.jsonl cannot be used: " in said
            journal_path(here.index).rmdir()
            (tmp_path / "aside").rename(journal_path(here.index))
            picker.select(1)
            next((here.home / "sessions").rglob(f"*{thread_id(1)}.jsonl")).unlink()
            await picker.app.index.sync()
            told, refused = (await picker.act("ctrl+p")).splitlines()
            assert told == "Nothing was changed."
            short = f"{thread_id(1)[:13]}…"
            assert refused == f"Thread {short} is gone: its file is not there any more."

    asyncio.run(work())


def test_nothing_is_changed_in_a_temporary_copy_of_the_index(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    copy = Path(shutil.copy(here.index, tmp_path / "copy.sqlite3"))

    async def work() -> None:
        async with open_index(here.home, copy) as index, picking(here, index=index) as picker:
            for key in ("ctrl+t", "ctrl+p", "f2", "f4", "f5", "ctrl+a"):
                said = await picker.act(key)
                assert said == (
                    f"The index {here.index} cannot be used: only a temporary copy of it is open,"
                    " which keeps no change: make its folder writable, or name another file with"
                    " --db."
                )
            assert (await picker.act("ctrl+y")).startswith("Copied: ")

    asyncio.run(work())
    assert (marks(here), [*here.home.rglob("archived_sessions")]) == ({}, [])


def marks(here: Locations) -> dict[int, dict[str, str]]:
    """What users have set, by the number of a thread."""
    found: dict[int, dict[str, str]] = {}
    for row in rows(here.index, "SELECT thread_id, key, value FROM user_data"):
        if row["value"] is not None:
            found.setdefault(int(row["thread_id"][-4:], 16), {})[row["key"]] = row["value"]
    return found


def shown(dialog: TextDialog) -> str:
    """What stands above the text."""
    return str(dialog.query(Static).first().content)
