"""Threads that change while they are read: written, moved, deleted, long ones that are read behind
the screen."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cli.browse.reader import screen
from cli.browse.reader.screen import ReaderScreen
from cli.turns.source import TurnSource
from rollout.schema.modes import LEGACY, PAGINATED
from state.edit.archive import move_threads
from state.edit.move_plan import Action
from tests.cli.browse.reader.reading import Reader, put, read
from tests.samples import long_threads
from tests.samples.histories import spell
from tests.samples.homes import thread_id
from tests.support.reading import TURN, event, turn

BOTH = pytest.mark.parametrize("mode", [LEGACY, PAGINATED])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def turns(*numbers: int, ended: bool = True) -> list[dict[str, Any]]:
    return [
        line
        for number in numbers
        for line in turn(number, event("agent_message", message=f"answer {number}"), ended=ended)
    ]


def put_long(home: Path, monkeypatch: pytest.MonkeyPatch, mode: str = PAGINATED) -> None:
    """Write a thread of 90 turns, which is read from its end."""
    monkeypatch.setattr("state.turns.checkpoint.AT_ONCE_BYTES", 64 * 1024)
    monkeypatch.setattr("state.turns.checkpoint._TAILS", (32 * 1024,))
    long_threads.put(home, 1, long_threads.content(1, mode, 90))


@BOTH
def test_new_turns_appear_at_the_end(home: Path, mode: str) -> None:
    path = long_threads.put(home, 1, long_threads.content(1, mode, 9, bulk=10))

    async def work(reader: Reader) -> None:
        assert "answer 8" in reader.text
        long_threads.add(path, long_threads.turn_lines(1, mode, 1, first=9), mode)
        await reader.until(lambda: "answer 9" in reader.text)
        assert "turn 10 of 10 · end" in reader.status
        # Who reads further up stays there.
        await reader.press("g")
        long_threads.add(path, long_threads.turn_lines(1, mode, 1, first=10), mode)
        await reader.until(lambda: "turn 1 of 11" in reader.status)
        assert reader.here.startswith("1 ")
        await reader.press("f")
        assert "answer 10" in reader.text

    read(home, work, thread=thread_id(1))


def test_a_turn_grows_while_it_is_read(home: Path) -> None:
    path = put(home, [*turns(1), *turns(2, ended=False)])

    async def work(reader: Reader) -> None:
        assert "not finished" in reader.text
        with path.open("ab") as file:
            file.write(spell([event("agent_message", message="one more")]))
        await reader.until(lambda: "one more" in reader.text)
        with path.open("ab") as file:
            file.write(spell([event("task_complete", turn_id=TURN.format(2), completed_at=1)]))
        await reader.until(lambda: "not finished" not in reader.text)

    read(home, work)


def test_a_torn_last_line_breaks_nothing(home: Path) -> None:
    path = put(home, turns(1))
    (line,) = spell([event("agent_message", message="torn apart")]).splitlines(keepends=True)

    async def work(reader: Reader) -> None:
        for piece in (line[:30], line[30:60], line[60:]):
            with path.open("ab") as file:
                file.write(piece)
            size = path.stat().st_size
            await reader.until(lambda: reader.screen.seen_size == size)  # noqa: B023
            await reader.settled()
            assert "question 1" in reader.text
        await reader.until(lambda: "torn apart" in reader.text)

    read(home, work)


def test_a_thread_that_is_archived_meanwhile_says_so(home: Path) -> None:
    put(home, turns(*range(1, 9)))

    async def work(reader: Reader) -> None:
        row = reader.screen.row
        await move_threads(reader.index, Action.ARCHIVE, [row["id"]])
        await reader.until(lambda: "The thread was archived." in reader.status)
        await reader.until(lambda: reader.shown("facts").endswith(" · archived"))
        await reader.press("g")
        assert "question 1" in reader.text

    read(home, work)


def test_a_thread_that_is_deleted_meanwhile_says_so(home: Path) -> None:
    path = put(home, turns(*range(1, 9)))

    async def work(reader: Reader) -> None:
        path.unlink()
        await reader.until(lambda: "The file of this thread is gone" in reader.status)
        assert "question 8" in reader.text
        await reader.press("g", "J", "t", "G", "y")
        await reader.find("question 2")

    read(home, work)


def test_turns_that_are_taken_back_go(home: Path) -> None:
    path = put(home, turns(*range(1, 5)))

    async def work(reader: Reader) -> None:
        with path.open("ab") as file:
            file.write(spell([event("thread_rolled_back", num_turns=2)]))
        await reader.until(lambda: "turn 2 of 2" in reader.status)
        assert "question 3" not in reader.text

    read(home, work)


@BOTH
def test_a_long_thread_is_there_before_all_of_it_is_read(
    home: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_long(home, monkeypatch, mode)

    async def work(reader: Reader) -> None:
        assert "answer 89" in reader.text
        await reader.press("K", "K")
        here = reader.lines
        await reader.until(lambda: "of 90" in reader.status)
        assert [line.split("─")[-1] for line in reader.lines[1:]] == [
            line.split("─")[-1] for line in here[1:]
        ]
        await reader.press("g")
        assert "question 0" in reader.text
        assert "turn 1 of 90" in reader.status

    read(home, work, thread=thread_id(1))


@BOTH
def test_a_search_finds_what_is_not_in_memory(
    home: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_long(home, monkeypatch, mode)

    async def work(reader: Reader) -> None:
        await reader.find("Answer 3")
        assert "/11" in reader.status  # 3 and 30 to 39
        assert reader.here == "answer 39"
        await reader.press("n")
        assert reader.here == "answer 3"

    read(home, work, thread=thread_id(1))


def test_the_reader_can_be_left_at_any_moment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_long(home, monkeypatch)

    async def work(reader: Reader) -> None:
        for steps in range(12):
            source = TurnSource(reader.index, reader.screen.row)
            await reader.app.push_screen(ReaderScreen(source, "answer"))
            for _ in range(steps):
                await asyncio.sleep(0)
            await reader.app.pop_screen()
            await reader.pilot.pause()

    read(home, work, thread=thread_id(1))


def test_going_to_the_beginning_can_be_stopped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_long(home, monkeypatch)
    monkeypatch.setattr(screen, "_LOOK_S", 3600.0)  # else all of it may be read before the key

    async def work(reader: Reader) -> None:
        async with reader.screen._source._turns._lock(thread_id(1)):
            await reader.pilot.press("g")
            await reader.until(lambda: "Esc stops" in reader.status)
            await reader.pilot.press("escape")
            await reader.until(lambda: "Stopped." in reader.status)
        await reader.settled()
        assert "the beginning is being read · end" in reader.status
        await reader.press("g")
        assert "turn 1 of 90" in reader.status

    read(home, work, thread=thread_id(1))
