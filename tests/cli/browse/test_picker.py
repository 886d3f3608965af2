"""The picker: its list, its search, its focus."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

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
