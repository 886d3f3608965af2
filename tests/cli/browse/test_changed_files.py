"""The picker finds the threads that changed a file."""

import asyncio
import json
from pathlib import Path

from rich.color import Color

from tests.cli.browse.support import picking
from tests.support.command import thread_id, write_rollout

YELLOW = Color.parse("bright_yellow")


def change(path: Path, name: str) -> None:
    """Add a patch of a file to a rollout."""
    output = f"Success. Updated the following files:\nM {name}\n"
    payload = {"type": "custom_tool_call_output", "call_id": "c", "output": output}
    line = {"timestamp": "2026-05-28T20:00:00.000Z", "type": "response_item", "payload": payload}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def test_a_file_finds_the_threads_that_changed_it(home: Path, index_path: Path) -> None:
    for number, text in enumerate(("first thing", "second thing", "third thing", "fourth app.py")):
        write_rollout(home, number, text)
    write_rollout(home, 4, "fifth thing", archived=True)
    rollouts = sorted((home / "sessions").rglob("rollout-*.jsonl"))
    for at, name in ((0, "src/app.py"), (1, "readme.md"), (2, "src/app.py")):
        change(rollouts[at], name)

    async def work() -> None:
        async with picking(home, index_path) as picker:
            await picker.type("file:App")
            await picker.settled()
            assert [title.split()[0] for title in picker.titles] == ["third", "first"]
            assert all("± src/app.py" in title for title in picker.titles)
            await picker.type(" first")
            assert picker.current == thread_id(0)
            assert len(picker.titles) == 1
            await picker.press("escape")
            await picker.type("file:nowhere")
            assert picker.app.threads.total == 0
            assert "is:archived" not in picker.titles_as_text
            await picker.press("escape")
            await picker.type("fifth")
            assert "1 archived thread: type is:archived" in picker.titles_as_text

    asyncio.run(work())


def test_what_was_typed_is_highlighted_in_the_path(home: Path, index_path: Path) -> None:
    name = f"İstanbul/straße/{'deep/' * 12}app.py"  # longer when case is set aside
    change(write_rollout(home, 0, "first thing"), name)

    async def work() -> None:
        async with picking(home, index_path, size=(160, 24)) as picker:
            for text, marked in (("app.PY", "app.py"), ("STRASSE", "straße")):
                await picker.type(f"file:{text}")
                line = picker.app.threads.render_line(0)
                found = [part.text for part in line if part.style and part.style.bgcolor == YELLOW]
                assert found == [marked]
                await picker.press("escape")

    asyncio.run(work())
