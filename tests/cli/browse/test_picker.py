"""The picker: its list, its search, its focus."""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from state.edit.marks import set_marks
from state.jobs.lease import Owner
from tests.cli.browse.support import Picker, picking
from tests.support.command import thread_id, write_rollout
from tests.support.indexes import sync

Steps = Callable[[Picker], Awaitable[None]]


def run(home: Path, index: Path, steps: Steps, **options: object) -> None:
    """Do something with the picker on a home."""

    async def work() -> None:
        async with picking(home, index, **options) as picker:  # type: ignore[arg-type]
            await steps(picker)

    asyncio.run(work())


def threads(home: Path, *texts: str) -> None:
    """Write a thread for each text, the last one the newest."""
    for number, text in enumerate(texts):
        write_rollout(home, number, text)


def test_the_newest_thread_comes_first_and_is_under_the_cursor(
    home: Path, index_path: Path
) -> None:
    threads(home, "first thing", "second thing", "third thing")

    async def steps(picker: Picker) -> None:
        assert [title.split("  ")[0] for title in picker.titles] == [
            "third thing",
            "second thing",
            "first thing",
        ]
        assert picker.current == thread_id(2)
        await picker.press("down")
        assert picker.current == thread_id(1)
        await picker.press("ctrl+k")
        assert picker.current == thread_id(2)

    run(home, index_path, steps)


def test_letters_go_to_the_search_box_from_the_list_too(home: Path, index_path: Path) -> None:
    threads(home, "first thing", "second thing", "third thing")

    async def steps(picker: Picker) -> None:
        assert picker.focused == "search"
        await picker.press("down")
        assert picker.focused == "list"
        await picker.type("sec")
        assert picker.app.box.value == "sec"
        assert picker.focused == "search"
        assert picker.current == thread_id(1)
        assert len(picker.titles) == 1
        await picker.press("escape")
        await picker.settled()
        assert len(picker.titles) == 3

    run(home, index_path, steps)


def test_space_selects_in_the_list_and_is_a_blank_in_the_box(home: Path, index_path: Path) -> None:
    threads(home, "first thing", "second thing", "third thing")

    async def steps(picker: Picker) -> None:
        assert picker.app.chosen == [thread_id(2)]
        await picker.press("down", "space", "space")
        assert picker.app.chosen == [thread_id(1), thread_id(0)]
        await picker.type("thing")
        await picker.type(" fi")
        assert picker.app.box.value == "thing fi"
        assert picker.app.chosen == [thread_id(1), thread_id(0)]
        await picker.press("escape", "escape")
        await picker.settled()
        assert picker.app.chosen == [thread_id(2)]

    run(home, index_path, steps)


def test_the_cursor_stays_on_its_thread_while_others_appear(home: Path, index_path: Path) -> None:
    threads(home, *(f"thing {number}" for number in range(60)))
    sync(home, index_path)

    async def steps(picker: Picker) -> None:
        view = picker.app.threads
        for _ in range(30):
            await picker.press("down")
        at, top = picker.current, view.cursor - view.scroll_offset.y
        for number in range(60, 65):
            write_rollout(home, number, f"thing {number}")
        await picker.app.index.sync()
        await picker.app.reload()
        await picker.settled()
        assert view.total == 65
        assert picker.current == at
        assert view.cursor - view.scroll_offset.y == top

    run(home, index_path, steps)


def test_what_was_said_comes_behind_titles_and_is_highlighted(home: Path, index_path: Path) -> None:
    threads(home, "about apples and pears", "nothing special", "pears")
    said(home, 1, "the answer has pears in it")

    async def steps(picker: Picker) -> None:
        await picker.type("pears")
        assert [title.split("  ")[0] for title in picker.titles] == [
            "pears",
            "about apples and pears",
            "nothing special",
        ]
        assert "the answer has pears in it" in picker.titles[2]
        await picker.press("down", "down")
        at = picker.current
        await picker.app.reload()
        await picker.settled()
        assert picker.current == at == thread_id(1)
        assert len(picker.titles) == 3

    run(home, index_path, steps)


def test_words_with_a_minus_leave_out_threads_that_hold_them(home: Path, index_path: Path) -> None:
    threads(home, "apples", "apples and pears", "apples again")
    said(home, 2, "no pears here")

    async def steps(picker: Picker) -> None:
        await picker.type("apples -pears")
        assert [title.split("  ")[0] for title in picker.titles] == ["apples"]

    run(home, index_path, steps)


def test_a_newer_text_never_shows_what_an_older_one_finds(home: Path, index_path: Path) -> None:
    threads(home, *(f"{word} thing" for word in ("ash", "asher", "ashes") for _ in range(20)))

    async def steps(picker: Picker) -> None:
        box, shown = picker.app.box, []
        for text in ("a", "as", "ash", "ashe", "ashes", "asher", "ashes"):
            box.value = text
            await asyncio.sleep(0)
            shown.append(text)
        await picker.settled()
        assert {title.split()[0] for title in picker.titles} == {"ashes"}
        assert picker.app.threads.total == 20

    run(home, index_path, steps)


def test_an_empty_list_says_why_and_what_to_do(home: Path, index_path: Path) -> None:
    async def nothing(picker: Picker) -> None:
        assert "No threads here yet" in picker.titles_as_text
        write_rollout(home, 0, "apples", cwd="/srv/one")
        write_rollout(home, 1, "old pears", archived=True)
        await picker.app.index.sync()
        await picker.app.reload()
        await picker.settled()
        assert picker.current == thread_id(0)

    async def something(picker: Picker) -> None:
        await picker.press("tab")
        await picker.settled()
        assert "No threads in two." in picker.titles_as_text
        assert "Tab shows all projects." in picker.titles_as_text
        await picker.press("tab")
        await picker.type("pears")
        assert "No thread matches “pears”." in picker.titles_as_text
        assert "1 archived thread: type is:archived" in picker.titles_as_text
        await picker.type(" is:archived")
        assert picker.current == thread_id(1)

    run(home, index_path, nothing)
    run(home, index_path, something, folder="/srv/two")


def test_escape_sequences_and_wide_letters_take_their_cells(home: Path, index_path: Path) -> None:
    threads(home, "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07", "東京 " * 40, "naïve 👩‍👩‍👧 text")

    async def steps(picker: Picker) -> None:
        for size in ((80, 24), (41, 12), (130, 30)):
            await picker.pilot.resize_terminal(*size)
            await picker.settled()
            view = picker.app.threads
            for y in range(view.size.height):
                strip = view.render_line(y)
                assert strip.cell_length == view.scrollable_content_region.width
                assert not any(ord(letter) < 32 for letter in strip.text)
        assert any("red bell" in title for title in picker.titles)

    run(home, index_path, steps)


def test_pinned_threads_come_first_while_nothing_is_typed(home: Path, index_path: Path) -> None:
    threads(home, "apples", "pears", "plums and apples")

    async def steps(picker: Picker) -> None:
        await set_marks(picker.app.index, [thread_id(0)], {"pinned": "1"})
        await picker.app.reload()
        await picker.settled()
        assert [title.split("  ")[0] for title in picker.titles] == [
            "★ apples",
            "plums and apples",
            "pears",
        ]
        assert picker.current == thread_id(2)
        await picker.type("apples")
        assert [title.split("  ")[0] for title in picker.titles] == ["plums and apples", "★ apples"]

    run(home, index_path, steps)


def test_rows_of_a_long_list_are_read_when_they_are_seen(home: Path, index_path: Path) -> None:
    threads(home, *(f"thing {number}" for number in range(1_200)))
    sync(home, index_path)

    async def steps(picker: Picker) -> None:
        view = picker.app.threads
        assert view.total == 1_200
        await picker.press("ctrl+end")
        await picker.settled()
        assert picker.current == thread_id(0)
        assert "thing 0" in picker.titles[-1]
        await picker.press("ctrl+home", "pagedown")
        await picker.settled()
        page = view.size.height
        assert view.cursor == page - 1
        assert picker.current == thread_id(1_200 - page)
        await picker.press("f7")
        await picker.settled()
        assert picker.current == thread_id(1_200 - page)
        assert view.cursor in view.seen

    run(home, index_path, steps)


def test_new_threads_appear_while_the_picker_is_open(home: Path, index_path: Path) -> None:
    threads(home, "apples")

    async def steps(picker: Picker) -> None:
        write_rollout(home, 1, "pears")
        await picker.until(lambda: picker.app.threads.total == 2)
        await picker.settled()
        assert picker.current == thread_id(0)

    run(home, index_path, steps)


def said(home: Path, number: int, text: str) -> None:
    """Have the agent say something in a thread."""
    (path,) = home.glob(f"sessions/**/*{thread_id(number)}.jsonl")
    payload = {"type": "agent_message", "message": text}
    line = {"timestamp": "2026-10-15T01:00:00.000Z", "type": "event_msg", "payload": payload}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def test_without_colours_matches_are_underlined(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads(home, "apples", "more apples", "pears")
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(picker: Picker) -> None:
        await picker.type("apples")
        strips = picker.app.screen._compositor.render_strips(picker.app.size)
        drawn = [piece for strip in strips for piece in picker.filtered(strip) if piece.style]
        assert all(
            (each.style.color is None or each.style.color.is_default)
            and (each.style.bgcolor is None or each.style.bgcolor.is_default)
            for each in drawn
            if each.style
        )
        found = [each.text for each in drawn if each.style and each.style.underline]
        assert found.count("apples") >= 2
        assert any(each.style.reverse for each in drawn if each.style)

    run(home, index_path, steps)


def test_the_preview_shows_the_end_of_a_thread_or_the_first_match(
    home: Path, index_path: Path
) -> None:
    threads(home, "apples", "pears")
    said(home, 1, "one\n\n" * 60 + "about **plums** here")
    said(home, 1, "and\n\n" * 60 + "the end")

    async def steps(picker: Picker) -> None:
        preview = picker.app.preview

        def shows(text: str) -> bool:
            height = preview.size.height
            return any(text in preview.render_line(y).text for y in range(height))

        await picker.until(lambda: shows("the end"))
        await picker.type("plums")
        await picker.until(lambda: shows("about plums here"))
        assert not shows("the end")
        await picker.press("escape", "down")
        await picker.until(lambda: shows("apples"))
        (path,) = home.glob(f"sessions/**/*{thread_id(1)}.jsonl")
        path.chmod(0)
        path.rename(path.with_name("elsewhere"))
        await picker.press("up")
        await picker.settled()
        assert picker.app.is_running

    run(home, index_path, steps)


def test_an_index_that_another_process_fills_is_shown_as_it_grows(
    home: Path, index_path: Path
) -> None:
    threads(home, "apples", "pears")
    sync(home, index_path)
    with closing(sqlite3.connect(index_path)) as connection, connection:
        connection.execute(
            "UPDATE backfill_state SET status = 'running', owner = ?, lease_expires_at_ms = ?",
            [Owner.this_process().to_json(), time.time_ns() // 1_000_000 + 3_600_000],
        )

    async def steps(picker: Picker) -> None:
        assert [title.split("  ")[0] for title in picker.titles] == ["pears", "apples"]
        await picker.until(lambda: f"by pid {os.getpid()}" in picker.screen[1])
        await picker.app.reload()
        await picker.settled()
        assert f"by pid {os.getpid()}" in picker.screen[1]
        assert picker.app.is_running

    run(home, index_path, steps, caught_up=False, size=(120, 30))


def test_the_cursor_stays_while_many_keys_come_at_once(home: Path, index_path: Path) -> None:
    threads(home, *(f"thing {number}" for number in range(90)))
    sync(home, index_path)

    async def steps(picker: Picker) -> None:
        view = picker.app.threads
        for key in ("pagedown", "pagedown", "down", "up", "ctrl+end", "ctrl+home", "pageup"):
            await picker.press(key)
            assert view.cursor in view.seen
            assert 0 <= view.cursor < view.total
        await picker.press(*["down"] * 40)
        at = picker.current
        assert at == thread_id(49)
        await picker.pilot.resize_terminal(60, 12)
        await picker.settled()
        assert picker.current == at
        assert view.cursor in view.seen

    run(home, index_path, steps)
