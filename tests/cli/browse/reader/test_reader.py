"""A thread in the reader: what is shown of it, and how one moves in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.browse.reader.taking import changed_file
from cli.render.blocks.block import Block, Form, Role
from state.userdata.relink import relink
from tests.cli.browse.reader.reading import Reader, put, read
from tests.support.reading import call, event, item, turn

PATCH = """*** Begin Patch
*** Update File: src/a.py
@@
-old line
+new line
*** Add File: src/b.py
+first
*** End Patch"""
MANY = "\n".join(f"output {number}" for number in range(1, 31))


def commands() -> list[dict[str, Any]]:
    """A turn with a command, a patch, an image and a message."""
    shell = json.dumps({"output": MANY, "metadata": {"exit_code": 2, "duration_seconds": 1.5}})
    return [
        event("agent_reasoning", text="**Looking around**\n\nThere is much to see."),
        *call("shell", {"command": ["bash", "-lc", "make test"]}, shell),
        item("custom_tool_call", name="apply_patch", input=PATCH, call_id="call_2"),
        item("custom_tool_call_output", call_id="call_2", output="Success"),
        event("agent_message", message="# Done\n\nIt **works** now, see `src/a.py`."),
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_thread_opens_at_its_end(home: Path) -> None:
    put(home, [line for number in range(1, 9) for line in turn(number)])

    async def work(reader: Reader) -> None:
        assert "question 8" in reader.text
        assert "question 1" not in reader.text
        assert "turn 8 of 8 · end" in reader.status
        await reader.press("g")
        assert reader.lines[2].strip() == "┃ question 1"
        assert reader.lines[0].startswith("▌─ 1 2025-10-09")
        await reader.press("G")
        assert "turn 8 of 8 · end" in reader.status
        await reader.press("pageup", "b", "space", "pagedown", "up", "k", "down", "j", "home")
        assert "turn 1 of 8" in reader.status

    read(home, work)


def test_what_show_shows_is_shown(home: Path) -> None:
    put(home, turn(1, *commands()))

    async def work(reader: Reader) -> None:
        await reader.press("g")
        shown = reader.text.rstrip().split("\n")
        shown = [line.strip() for line in shown]
        assert shown[2:] == [
            "┃ question 1",
            "",
            "▸ Looking around … 2 more lines",
            "",
            "$ make test  exit 2, 1.5 s",
            *(f"│ output {number}" for number in (1, 2, 3, 4)),
            "│ … 22 more lines",
            *(f"│ output {number}" for number in (27, 28, 29, 30)),
            "",
            "patch src/a.py, src/b.py",
            *(f"│ {line}" for line in PATCH.split("\n")),
            "",
            "# Done",
            "",
            "It works now, see `src/a.py`.",
        ]

    read(home, work, size=(80, 40))


def test_tools_are_folded_one_by_one_and_all_together(home: Path) -> None:
    put(home, turn(1, *commands()))

    async def work(reader: Reader) -> None:
        await reader.find("$ make test")
        await reader.press("enter")
        assert "output 15" in reader.text
        assert reader.here == "$ make test  exit 2, 1.5 s"
        await reader.press("enter")
        assert "22 more lines" in reader.text
        await reader.press("t")
        assert "Tool calls are in full." in reader.status
        await reader.press("escape", "g")
        assert "output 15" in reader.text
        await reader.press("t")
        await reader.press("g")
        assert "▸ 2 tool calls · 1 failed" in reader.text
        assert "output" not in reader.text
        while "tool calls" not in reader.here:
            await reader.press("down")
        await reader.press("enter")
        assert "▾ 2 tool calls" in reader.text
        assert "22 more lines" in reader.text
        await reader.press("t")
        assert "▸ 2" not in reader.text

    read(home, work, size=(80, 40))


def test_a_click_unfolds(home: Path) -> None:
    put(home, turn(1, *commands()))

    async def work(reader: Reader) -> None:
        await reader.press("g")
        y = next(y for y, line in enumerate(reader.lines) if "22 more lines" in line)
        await reader.pilot.click("#reader-turns", offset=(5, y))
        await reader.settled()
        assert "output 15" in reader.text

    read(home, work, size=(80, 50))


def test_one_goes_by_prompts(home: Path) -> None:
    put(home, [line for number in range(1, 9) for line in turn(number, *commands())])

    async def work(reader: Reader) -> None:
        await reader.press("g", "J")
        assert reader.lines[2].strip() == "┃ question 2"
        await reader.press("J", "J", "down", "down", "K")
        assert reader.here.startswith("4 ")
        await reader.press("K")
        assert reader.lines[2].strip() == "┃ question 3"
        for _ in range(7):
            await reader.press("J")
        assert "turn 8 of 8 · end" in reader.status

    read(home, work)


def test_the_outline_follows_and_leads(home: Path) -> None:
    put(home, [line for number in range(1, 9) for line in turn(number, *commands())])

    async def work(reader: Reader) -> None:
        assert not reader.screen.outline.display
        await reader.press("O")
        assert [line.strip("▌ ").split()[0] for line in reader.outline] == [
            str(n) for n in range(1, 9)
        ]
        await reader.until(lambda: "✗1" in reader.outline[2])
        assert "question 3" in reader.outline[2]
        assert "±2" in reader.outline[2]
        await reader.pilot.click("#reader-outline", offset=(5, 2))
        await reader.settled()
        assert "┃ question 3" in reader.lines[2]
        await reader.press("tab", "down", "enter")
        assert "┃ question 4" in reader.lines[2]
        await reader.press("f8")
        assert not reader.screen.outline.display

    read(home, work)


def test_the_outline_is_there_where_there_is_room(home: Path) -> None:
    put(home, turn(1))

    async def work(reader: Reader) -> None:
        assert "question 1" in reader.outline[0]

    read(home, work, size=(120, 40))


def test_matches_are_counted_and_gone_to(home: Path) -> None:
    put(home, [line for number in range(1, 9) for line in turn(number, *commands())])

    async def work(reader: Reader) -> None:
        await reader.press("g")
        await reader.find("OUTPUT 15")  # which is folded
        assert "“OUTPUT 15”: 1/8" in reader.status
        assert reader.here == "│ output 15"
        await reader.press("n")
        assert "2/8 · turn 2 of 8" in reader.status
        await reader.press("N", "N")
        assert "8/8 · turn 8 of 8" in reader.status
        assert "From the end again." in reader.status
        await reader.find("nowhere to be found")
        assert "no match" in reader.status
        await reader.press("escape")
        assert "no match" not in reader.status

    read(home, work)


def test_the_first_match_of_a_term_is_shown_at_first(home: Path) -> None:
    put(home, [line for number in range(1, 9) for line in turn(number)])

    async def work(reader: Reader) -> None:
        assert "“question”: 1/8 · turn 1 of 8" in reader.status
        assert reader.here == "┃ question 1"

    read(home, work, at="question")


def test_of_several_words_what_has_most_of_them_is_shown_at_first(home: Path) -> None:
    said = [event("agent_message", message=text) for text in ("a green one", "a green house", "x")]
    put(home, [line for number, each in enumerate(said, 1) for line in turn(number, each)])

    async def work(reader: Reader) -> None:
        assert reader.here == "a green house"
        assert "2/3" in reader.status

    read(home, work, at="house green")
    read(home, work, at="hous gre")  # the list has found what is only begun


def test_a_message_is_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, turn(1, *commands()))

    async def work(reader: Reader) -> None:
        await reader.press("y")
        assert reader.app.clipboard == "# Done\n\nIt **works** now, see `src/a.py`."
        assert "Copied the message: 41 characters." in reader.status
        await reader.find("make test")
        await reader.press("y")
        assert reader.app.clipboard == "make test"
        await reader.press("K", "y")  # the cursor is in the heading of the turn
        assert reader.app.clipboard == "question 1"
        assert "Copied the message: 10 characters." in reader.status

    read(home, work)


def test_the_file_of_a_patch_is_found() -> None:
    patch = Block(Role.TOOL, "patch src/a.py, src/b.py", PATCH, Form.DIFF)
    begin = len(patch.title) + 1
    assert changed_file(patch, 0) == "src/a.py"
    assert changed_file(patch, begin + PATCH.index("+new")) == "src/a.py"
    assert changed_file(patch, begin + PATCH.index("+first")) == "src/b.py"
    assert changed_file(Block(Role.TOOL, "update src/c.py", "@@", Form.DIFF), 0) == "src/c.py"
    assert changed_file(Block(Role.TOOL, "ls", "src/c.py", Form.OUTPUT), 0) is None


def test_a_patched_file_is_sought_where_the_folder_is_now(home: Path, tmp_path: Path) -> None:
    put(home, turn(1, *commands()))

    async def work(reader: Reader) -> None:
        await relink(reader.index.database, "/w", str(tmp_path / "new"))
        await reader.find("src/a.py")
        await reader.press("o")
        assert f"{tmp_path}/new/src/a.py is not there any more." in reader.status
        (tmp_path / "new/src").mkdir(parents=True)
        (tmp_path / "new/src/a.py").write_text("new line")
        await reader.press("o")  # an editor needs a real terminal
        assert "An editor cannot be opened in this terminal." in reader.status

    read(home, work, size=(240, 40))


def test_the_place_stays_when_the_width_changes(home: Path) -> None:
    long = "word " * 200
    lines = [
        line
        for number in range(1, 9)
        for line in turn(number, event("agent_message", message=long))
    ]
    put(home, lines)

    async def work(reader: Reader) -> None:
        await reader.press("g", "J", "J", "J")
        assert reader.here.startswith("4 ")
        row = reader.screen.turns.page.y(reader.screen.turns.cursor)
        await reader.pilot.resize_terminal(50, 30)
        await reader.settled()
        assert reader.here.startswith("4 ")
        assert reader.screen.turns.page.y(reader.screen.turns.cursor) > row
        assert all(len(line) <= 50 for line in reader.lines)

    read(home, work)


def test_what_is_said_at_length_is_cut_with_a_sign(home: Path) -> None:
    put(home, turn(1))

    async def work(reader: Reader) -> None:
        reader.screen.say("word " * 100)
        *_, last, facts = reader.status.split("\n")
        assert last.endswith("word…")
        assert facts.strip() == "turn 1 of 1 · end"
        await reader.press("down")
        assert reader.status.strip() == "turn 1 of 1 · end"

    read(home, work)


def test_esc_goes_back(home: Path) -> None:
    put(home, turn(1))

    async def work(reader: Reader) -> None:
        await reader.pilot.press("escape")
        await reader.until(lambda: reader.app.screen is not reader.screen)

    read(home, work)


@pytest.mark.parametrize("keys", ["?", "f1"])
def test_all_keys_are_shown(home: Path, keys: str) -> None:
    put(home, turn(1))

    async def work(reader: Reader) -> None:
        await reader.pilot.press("question_mark" if keys == "?" else keys)
        await reader.until(lambda: reader.app.screen is not reader.screen)
        await reader.pilot.press("escape")
        await reader.until(lambda: reader.app.screen is reader.screen)

    read(home, work)
