"""Files that are damaged, huge or written by other versions, in the reader."""

import os
from pathlib import Path

import pytest
import zstandard

from tests.cli.browse.reader.reading import NAME, Reader, put, read
from tests.samples.histories import first_line, spell
from tests.support.reading import NEVER, call, event, turn


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_thread_without_turns_says_so(home: Path) -> None:
    put(home, [])

    async def work(reader: Reader) -> None:
        assert reader.shown("empty") == "No messages yet."
        await reader.press("g", "J", "K", "n", "t", "y", "o", "enter", "G", "O")
        await reader.find("x")

    read(home, work)


def test_escape_sequences_and_wide_characters_do_no_harm(home: Path) -> None:
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07 東京\u202e 👩‍👩‍👧‍👦 tab\there \x00\x08"
    lines = turn(1, event("agent_message", message=text), *call("shell", {"command": text}, text))
    put(home, [*lines, *turn(2, event("agent_message", message="[bold]no markup[/bold] [/x]"))])

    async def work(reader: Reader) -> None:
        shown = reader.text
        assert not NEVER.search(shown.replace("\n", ""))
        assert "red" in shown
        assert "東京" in shown
        assert "[bold]no markup[/bold] [/x]" in shown
        view = reader.screen.turns
        width = view.size.width - 1  # the bar
        assert {view.render_line(y).cell_length for y in range(view.size.height)} == {width}

    read(home, work, size=(80, 40))


def test_damage_is_said_as_show_says_it(home: Path) -> None:
    data = spell([first_line("legacy"), *(line for at in range(1, 9) for line in turn(at))])
    whole = b"".join(zstandard.compress(data[at : at + 500]) for at in range(0, len(data), 500))
    path = home / f"{NAME}.zst"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[: len(whole) // 2])

    async def work(reader: Reader) -> None:
        assert "breaks off at byte" in reader.shown("warnings")
        assert "what comes before it is shown" in reader.shown("warnings")
        assert "question 1" in reader.text

    read(home, work)


def test_unknown_kinds_are_shown_as_they_are(home: Path) -> None:
    item = {"type": "Telepathy", "id": "i1", "thoughts": ["many"]}
    number = "019a0000-0000-7000-9000-000000000001"
    lines = [
        event("task_started", turn_id=number, started_at=1),
        event("item_completed", turn_id=number, item=item),
        event("never_heard_of", value=1),
        event("task_complete", turn_id=number),
    ]
    put(home, lines, "paginated")

    async def work(reader: Reader) -> None:
        assert "Telepathy" in reader.text
        assert "many" in reader.text

    read(home, work)


def test_a_huge_line_is_cut(home: Path) -> None:
    huge = "0123456789" * 200_000
    lines = turn(1, event("agent_message", message=huge), *call("shell", {"command": "x"}, huge))
    put(home, lines)

    async def work(reader: Reader) -> None:
        assert "more characters" in reader.text
        height = reader.screen.turns.page.height
        assert 500_000 / 80 < height < 8_000
        await reader.press("t", "g", "G")
        assert reader.screen.turns.page.height < 16_000
        assert "1,500,000 more characters: threadkeep show --full has them all" in reader.text

    read(home, work)


def test_many_turns_are_not_all_in_memory(home: Path) -> None:
    put(home, [line for at in range(3_000) for line in turn(at % 9 + 1)])

    async def work(reader: Reader) -> None:
        for _ in range(30):
            await reader.press("pageup")
        slots = reader.screen.turns.page.slots
        assert len(slots) == 3_000
        assert sum(len(slot.here) for slot in slots) < 2_500
        await reader.press("g")
        assert "turn 1 of 3,000" in reader.status

    read(home, work)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_said(home: Path) -> None:
    path = put(home, turn(1))

    async def work(reader: Reader) -> None:
        path.chmod(0)
        os.utime(path, (1, 1))
        await reader.until(lambda: "Permission denied" in reader.status)

    read(home, work)
