"""Keys of the user's, help, completion, picking and trees in the picker."""

import asyncio
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.widgets import OptionList

from cli.browse.actions.tree import TreeScreen
from cli.browse.reader.screen import ReaderScreen
from cli.browse.rule import Rule
from cli.browse.words.help import HelpScreen
from cli.errors import INTERRUPTED
from state.query.tree import tree_steps
from tests.cli.browse.support import Picker, picking
from tests.cli.browse.test_picker import run
from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.indexes import in_index, sync


def thread(home: Path, number: int, prompt: str, **facts: Any) -> None:
    """Write a thread; those of higher numbers are newer."""
    write(home, number, encoded(lines(number, prompt, **facts)))


def threads(home: Path, *prompts: str) -> None:
    """Write a thread for each prompt, the last one the newest."""
    for number, prompt in enumerate(prompts):
        thread(home, number, prompt)


def test_filters_are_completed_by_what_the_index_has(home: Path, index_path: Path) -> None:
    for number, branch in enumerate(["main", "feature/login", "feature/logout"]):
        thread(home, number, f"thread {number}", git={"branch": branch})

    async def steps(picker: Picker) -> None:
        box, rule = picker.app.box, picker.app.screen.query_one("#rule", Rule)
        await picker.until(lambda: box.known.branches)
        await picker.type("bran")
        assert rule.offered == ""  # an ordinary word may begin so, too
        await picker.press("right")
        assert box.value == "branch:"
        await picker.settled()
        assert rule.offered == "branch:feature/logout · branch:feature/login · branch:main"
        await picker.type("log")
        assert "branch:feature/login" in rule.render().plain
        await picker.press("right")
        await picker.settled()
        assert box.value == "branch:feature/logout "
        assert rule.offered == ""
        assert picker.current == thread_id(2)
        assert len(picker.titles) == 1

    run(home, index_path, steps)


def test_a_filter_narrows_the_list_while_it_is_typed(home: Path, index_path: Path) -> None:
    for number, branch in enumerate(["main", "feature/login", "feature/logout"]):
        thread(home, number, f"thread {number}", git={"branch": branch})

    async def steps(picker: Picker) -> None:
        await picker.until(lambda: picker.app.box.known.branches)
        await picker.type("branch:feat")
        assert len(picker.titles) == 2
        await picker.type("ure/login")
        assert len(picker.titles) == 1
        await picker.type(" since:soon")
        assert len(picker.titles) == 1
        assert "'soon' is no time" in picker.app.screen.query_one("#rule", Rule).left

    run(home, index_path, steps)


def test_f1_shows_all_keys_and_a_question_mark_does_in_an_empty_box(
    home: Path, index_path: Path
) -> None:
    threads(home, "why? because")

    async def steps(picker: Picker) -> None:
        for key in ("f1", "question_mark"):
            await picker.press(key)
            assert isinstance(picker.app.screen, HelpScreen)
            await picker.press("ctrl+r", "escape")
            assert not isinstance(picker.app.screen, HelpScreen)
        await picker.type("why")
        await picker.press("question_mark")
        assert picker.app.box.value == "why?"
        await picker.press("f1")
        assert isinstance(picker.app.screen, HelpScreen)

    run(home, index_path, steps)


def test_a_user_s_keys_count_in_place_of_the_usual_ones(home: Path, index_path: Path) -> None:
    threads(home, "one thread")

    async def steps(picker: Picker) -> None:
        await picker.press("f1", "question_mark")
        assert not isinstance(picker.app.screen, HelpScreen)
        assert picker.app.box.value == "?"
        await picker.press("backspace", "plus", "f12")
        assert picker.app.chosen == [thread_id(0)]
        assert picker.app.threads.selected
        assert isinstance(picker.app.screen, HelpScreen)
        assert "F12" in shown(picker.app.screen.query_one("Static"))

    run(home, index_path, steps, own_keys={"picker.keys": ("f12",), "picker.select": ("+",)})


def shown(widget: Any) -> str:
    """The text of a widget."""
    content = widget.content
    return content.plain if isinstance(content, Text) else str(content)


def test_enter_picks_the_thread_or_all_that_are_selected(home: Path, index_path: Path) -> None:
    threads(home, "first thing", "second thing", "third thing")
    sync(home, index_path)

    async def picked(*keys: str) -> Any:
        async with picking(home, index_path, pick=True) as picker:
            await picker.press(*keys)
            while picker.app.return_code is None:
                await picker.pilot.pause(0.01)
            return picker.app.return_value, picker.app.return_code

    found, _ = asyncio.run(picked("down", "enter"))
    assert (found.row["id"], found.action, found.rows) == (thread_id(1), "pick", ())
    found, _ = asyncio.run(picked("down", "space", "down", "space", "up", "up", "enter"))
    assert [row["id"] for row in found.rows] == [thread_id(1), thread_id(0)]
    assert asyncio.run(picked("escape")) == (None, 0)
    assert asyncio.run(picked("ctrl+c")) == (None, INTERRUPTED)


def test_the_tree_of_a_thread_is_shown_and_gives_a_thread(home: Path, index_path: Path) -> None:
    thread(home, 0, "the first one")
    thread(home, 1, "a fork", forked_from_id=thread_id(0))
    thread(home, 2, "\x1b[31malone")

    async def steps(picker: Picker) -> None:
        await picker.press("f3")
        await picker.pilot.pause()
        await picker.until(lambda: picker.app._screen.message.has_class("-shown"))
        assert picker.app.screen is picker.app._screen
        await picker.press("down", "f3")
        await picker.until(lambda: isinstance(picker.app.screen, TreeScreen))
        await picker.pilot.pause()
        box = picker.app.screen.query_one(OptionList)
        assert box.highlighted == 1
        lines = [str(box.get_option_at_index(at).prompt) for at in range(box.option_count)]
        assert "the first one" in lines[0]
        assert "└─ a fork  this one, fork" in lines[1]
        await picker.press("escape")
        assert picker.app.screen is picker.app._screen

    run(home, index_path, steps)


def test_the_thread_that_is_chosen_in_a_tree_is_its_result(home: Path, index_path: Path) -> None:
    thread(home, 0, "the first one")
    thread(home, 1, "a fork", forked_from_id=thread_id(0))
    thread(home, 2, "a fork of it", forked_from_id=thread_id(1))
    sync(home, index_path)
    asked = tree_steps(thread_id(2))
    tree = in_index(home, index_path, lambda index: index.database.query(asked))

    async def work() -> None:
        async with picking(home, index_path) as picker:
            results: list[Any] = []
            picker.app.push_screen(TreeScreen(tree, thread_id(2)), results.append)
            await picker.pilot.pause()
            await picker.press("up", "enter")
            assert [row["id"] for row in results] == [thread_id(1)]

    asyncio.run(work())


def test_enter_in_a_tree_reads_the_thread(home: Path, index_path: Path) -> None:
    thread(home, 0, "the first one")
    thread(home, 1, "a fork", forked_from_id=thread_id(0))

    async def steps(picker: Picker) -> None:
        await picker.press("f3")
        await picker.until(lambda: isinstance(picker.app.screen, TreeScreen))
        await picker.press("up", "enter")
        await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
        reader = picker.app.screen
        assert isinstance(reader, ReaderScreen)
        assert reader.row["id"] == thread_id(0)
        await picker.press("escape")
        await picker.until(lambda: picker.app.screen is picker.app._screen)

    run(home, index_path, steps)
