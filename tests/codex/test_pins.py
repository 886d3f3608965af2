"""Pins of the real Codex are ours, and ours are its."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollout.metadata.session_index import NAMES_FILE
from state.codex_db.database import PINNED_SECTION
from state.codex_db.notify import notify_codex
from state.userdata.journal import read_settings
from state.userdata.model import UserValue
from tests.codex.codex_app import call, end, start
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.codex.databases import Codex
from tests.support.checks import synced

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
pytestmark = pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")
SECTION = "thread_section_id, section_position, section_entered_at_ms, is_pinned"


class Running:
    """A Codex that runs on a home with three threads."""

    def __init__(self, home: Path) -> None:
        self.codex = Codex(home / "state_5.sqlite")
        self._process = start(CODEX, home)
        self._calls = 0

    def ask(self, method: str, **params: Any) -> Any:
        self._calls += 1
        answer = call(self._process, self._calls, method, params)
        assert "result" in answer, answer
        return answer["result"]

    def move(self, number: int, section: str | None) -> None:
        self.ask("thread/section/move", threadId=thread_id(number), sectionId=section)

    def pinned(self) -> list[str]:
        """The threads that it lists as pinned, in their order."""
        asked = {"sectionId": PINNED_SECTION, "sortKey": "section_position", "modelProviders": []}
        found = self.ask("thread/list", **asked)["data"]
        assert {thread["section"]["name"] for thread in found} <= {"Pinned"}
        return [thread["id"] for thread in found]

    def section(self, number: int) -> list[Any]:
        asked = f"SELECT {SECTION} FROM threads WHERE id = ?"
        return [*self.codex.rows(asked, thread_id(number))[0].values()]

    def close(self) -> None:
        end(self._process)


@contextmanager
def running(home: Path) -> Iterator[Running]:
    codex = Running(home)
    try:
        yield codex
    finally:
        codex.close()


@pytest.fixture
def three(home: Path) -> Path:
    for number, mode in ((1, "legacy"), (2, "legacy"), (3, "paginated")):
        content = lines(number, history_mode=mode)
        if mode == "paginated":
            content = [{"ordinal": ordinal, **line} for ordinal, line in enumerate(content)]
        write(home, number, encoded(content))
    return home


def test_codex_writes_a_pin_as_we_do(three: Path) -> None:
    with running(three) as codex:
        for number in (1, 2):
            codex.move(number, PINNED_SECTION)
        *by_codex, _, is_pinned = codex.section(2)
        assert (by_codex, is_pinned) == ([PINNED_SECTION, 2_000_000], 0)
        _, _, entered, _ = codex.section(1)
        codex.move(1, PINNED_SECTION)  # a move within the section
        assert codex.section(1) == [PINNED_SECTION, 3_000_000, entered, 0]
        assert notify_codex(codex.codex.path, {thread_id(3): {"pinned": "1"}}) is None
        *by_us, entered, is_pinned = codex.section(3)
        assert (by_us, is_pinned) == ([PINNED_SECTION, 4_000_000], 0)
        assert isinstance(entered, int)
        assert codex.pinned() == [thread_id(n) for n in (2, 1, 3)]
        codex.move(1, None)
        assert notify_codex(codex.codex.path, {thread_id(2): {"pinned": None}}) is None
        assert codex.section(1) == codex.section(2) == [None, None, None, 0]
        assert codex.pinned() == [thread_id(3)]


def test_pins_and_names_of_codexs_come_to_us(three: Path, index_path: Path) -> None:
    def taken() -> dict[int, dict[str, str | None]]:
        synced(three, index_path)
        found: dict[int, dict[str, str | None]] = {1: {}, 2: {}, 3: {}}
        for given in read_settings(index_path):
            assert isinstance(given, UserValue)
            number = next(n for n in found if thread_id(n) == given.thread_id)
            found[number][given.key] = given.value
        return found

    with running(three) as codex:
        codex.move(1, PINNED_SECTION)
        codex.move(2, PINNED_SECTION)
        assert taken() == {1: {"pinned": "1"}, 2: {"pinned": "1"}, 3: {}}
        codex.move(2, None)
        codex.move(3, PINNED_SECTION)
        assert taken() == {1: {"pinned": "1"}, 2: {"pinned": None}, 3: {"pinned": "1"}}
        codex.ask("thread/name/set", threadId=thread_id(3), name="by Codex")
        assert "by Codex" in (three / NAMES_FILE).read_text("utf-8")
        (three / NAMES_FILE).unlink()
        assert taken()[3] == {"pinned": "1", "name": "by Codex"}


def test_a_section_of_the_user_is_another_one(three: Path) -> None:
    with running(three) as codex:
        mine = codex.ask("threadSection/create", name="Mine")["section"]["id"]
        for number in (1, 2):
            codex.move(number, mine)
        assert notify_codex(codex.codex.path, {thread_id(1): {"pinned": None}}) is None
        assert codex.section(1)[0] == mine
        codex.move(1, PINNED_SECTION)
        assert notify_codex(codex.codex.path, {thread_id(2): {"pinned": "1"}}) is None
        assert codex.section(1)[:2] == [PINNED_SECTION, 1_000_000]
        assert codex.section(2)[:2] == [PINNED_SECTION, 2_000_000]
        # The column of earlier versions means nothing any more.
        codex.codex.change("UPDATE threads SET is_pinned = 1 WHERE id = ?", thread_id(3))
        read = codex.ask("thread/read", threadId=thread_id(3))["thread"]
        assert read["section"] is None
