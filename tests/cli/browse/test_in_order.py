"""Keys take effect in the order in which they are typed, however fast they come."""

import asyncio
from pathlib import Path

import pytest
from textual import events

from cli.browse.dialogs import TextDialog
from cli.browse.reader.screen import ReaderScreen
from tests.cli.browse.support import Picker, picking
from tests.support.command import thread_id, write_rollout

TEXTS = ("about webhooks", "about migrations", "about licences", "about colours")


def burst(picker: Picker, *keys: str) -> None:
    """Hand keys to the picker at once, as a paste or a slow connection does."""
    for key in keys:
        picker.app.post_message(events.Key(key, key if len(key) == 1 else None))


@pytest.fixture
def threads(home: Path) -> Path:
    for number, text in enumerate(TEXTS):
        write_rollout(home, number, text)
    return home


@pytest.mark.parametrize("first", [(), ("down",)])
def test_a_key_behind_a_text_is_for_the_list_of_that_text(
    threads: Path, index_path: Path, first: tuple[str, ...]
) -> None:
    async def work() -> None:
        async with picking(threads, index_path) as picker:
            await picker.press(*first)
            burst(picker, *"migration", "enter")
            await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
            assert isinstance(picker.app.screen, ReaderScreen)
            assert picker.app.screen.row["id"] == thread_id(1)

    asyncio.run(work())


def test_a_move_behind_a_text_is_not_lost(threads: Path, index_path: Path) -> None:
    async def work() -> None:
        async with picking(threads, index_path) as picker:
            burst(picker, *"about", "down", "down")
            await picker.until(lambda: picker.current == thread_id(1))
            await picker.settled()
            assert picker.current == thread_id(1)

    asyncio.run(work())


def test_a_text_behind_a_key_is_for_the_dialog_of_that_key(threads: Path, index_path: Path) -> None:
    async def work() -> None:
        async with picking(threads, index_path) as picker:
            burst(picker, "ctrl+t", *"later", "enter")
            await picker.until(lambda: "#later" in "\n".join(picker.titles))
            assert picker.app.box.value == ""
            assert not isinstance(picker.app.screen, TextDialog)

    asyncio.run(work())


def test_the_picker_begins_with_keys_that_came_before_its_index(
    threads: Path, index_path: Path
) -> None:
    async def work() -> None:
        async with picking(threads, index_path, text="licences", caught_up=False) as picker:
            burst(picker, "enter")
            await picker.until(lambda: isinstance(picker.app.screen, ReaderScreen))
            assert isinstance(picker.app.screen, ReaderScreen)
            assert picker.app.screen.row["id"] == thread_id(2)

    asyncio.run(work())


def test_a_blank_behind_a_letter_that_was_typed_in_the_list_is_a_blank(
    threads: Path, index_path: Path
) -> None:
    async def work() -> None:
        async with picking(threads, index_path) as picker:
            await picker.press("down")
            picker.app.post_message(events.Key("f", "f"))
            picker.app.post_message(events.Key("space", " "))
            picker.app.post_message(events.Key("b", "b"))
            await picker.until(lambda: picker.app.box.value == "f b")
            assert not picker.app.threads.selected

    asyncio.run(work())
