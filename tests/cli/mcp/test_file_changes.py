"""``find_file_changes``."""

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from cli.mcp.budget import BYTES_A_TOKEN
from tests.cli.mcp.support import asked, called, indexed, refused
from tests.samples.homes import encoded, event, lines, thread_id, write

STAMP = "2026-05-28T20:00:00.000Z"
DIFF = "@@ -1 +1 @@\n-old {0}\n+new {0}\n"


def patch(path: str, mark: int, times: int = 1) -> dict[str, Any]:
    change = {"type": "update", "unified_diff": DIFF.format(mark) * times, "move_path": None}
    return event(
        STAMP,
        "patch_apply_end",
        call_id=f"c{mark}",
        changes={path: change},
        stdout=f"Success. Updated the following files:\nM {path}\n",
        stderr="",
        success=True,
        status="completed",
    )


def prompt(text: str) -> dict[str, Any]:
    return event(STAMP, "user_message", message=text)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose changes are indexed."""
    folder = tmp_path_factory.mktemp("home")
    for number in range(10, 14):
        write(folder, number, encoded([*lines(number), patch("/w/src/app.py", number)]))
    several = [prompt(f"p{at}") for at in range(3)]
    patches = [patch("/w/lib/util.py", at) for at in range(3)]
    both = [each for pair in zip(several, patches, strict=True) for each in pair]
    write(folder, 1, encoded([*lines(1), *both, prompt("no change")]))
    printed = "Success. Updated the following files:\nM lib/other.py\n"
    output = {"type": "custom_tool_call_output", "call_id": "x", "output": printed}
    said = {"timestamp": STAMP, "type": "response_item", "payload": output}
    write(folder, 2, encoded([*lines(2), prompt("change it"), said]))
    write(folder, 3, encoded([*lines(3), patch("/w/big.txt", 3, 400)]))
    write(folder, 4, encoded([*lines(4), patch("/w/src/app.py", 4)]), archived=True)
    indexed(folder)
    return folder


def ids(found: dict[str, Any]) -> list[str]:
    return [thread["id"] for thread in found.get("threads", [])]


def test_threads_are_found_by_the_files_that_they_changed(home: Path) -> None:
    async def work(client: Client) -> None:
        found, text = await called(client, "find_file_changes", path="SRC/app")
        assert ids(found) == [thread_id(number) for number in (13, 12, 11, 10)]
        assert found["note"] == "Not searched: 1 archived (archived=true)."
        change = found["threads"][0]["changes"]
        assert change == [
            {"path": "/w/src/app.py", "kind": "changed", "at": STAMP[:19] + "Z", "turn": 1}
        ]
        assert all(thread_id(number) in text for number in (13, 12, 11, 10))
        assert "turn 1, changed /w/src/app.py" in text
        found, _ = await called(client, "find_file_changes", path="app.py", archived=True)
        assert ids(found) == [thread_id(4)]
        found, _ = await called(client, "find_file_changes", path="app.py", project="/work/p1")
        assert ids(found) == [thread_id(13), thread_id(10)]
        found, text = await called(client, "find_file_changes", path="nowhere.py")
        assert text.startswith("No thread changed such a file")
        assert "empty" in await refused(client, "find_file_changes", path=" ")

    asked(home, work)


def test_patches_come_with_the_numbers_of_their_turns(home: Path) -> None:
    async def work(client: Client) -> None:
        found, text = await called(client, "find_file_changes", path="util.py", with_patch=True)
        (thread,) = found["threads"]
        assert [(each["turn"], each["patch"]) for each in thread["changes"]] == [
            (2 + at, DIFF.format(at)) for at in range(3)
        ]
        assert "+new 2" in text
        found, text = await called(client, "find_file_changes", path="util.py")
        (thread,) = found["threads"]
        assert (thread["count"], len(thread["changes"])) == (3, 1)
        assert thread["changes"][0]["turn"] == 4
        assert "2 earlier changes" in text
        found, text = await called(
            client, "find_file_changes", path="big.txt", with_patch=True, max_tokens=500
        )
        (change,) = found["threads"][0]["changes"]
        assert len(text) <= 500 * BYTES_A_TOKEN
        assert change["patch"].endswith("…")

    asked(home, work)


def test_a_whole_path_finds_what_patches_call_by_its_end(home: Path) -> None:
    async def work(client: Client) -> None:
        found, text = await called(client, "find_file_changes", path="/home/me/x/lib/other.py")
        assert ids(found) == [thread_id(2)]
        assert found["threads"][0]["changes"][0]["turn"] == 2
        assert "No patch has the path /home/me/x/lib/other.py: these have lib/other.py." in text
        found, _ = await called(client, "find_file_changes", path="/w/src/app.py", limit=1)
        assert ids(found) == [thread_id(13)]
        found, _ = await called(
            client, "find_file_changes", path="/v/src/app.py", limit=3, max_tokens=200
        )
        joined = ids(found)
        while cursor := found.get("next_cursor"):
            found, text = await called(
                client, "find_file_changes", path="/v/src/app.py", cursor=cursor
            )
            joined += ids(found)
        assert joined == [thread_id(number) for number in (13, 12, 11, 10)]
        told = await refused(client, "find_file_changes", path="/w/src/app.py", cursor="x")
        assert "call again without cursor" in told

    asked(home, work)


def test_a_thread_that_is_gone_is_not_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    files = [write(home, at, encoded([*lines(at), patch("/w/app.py", at)])) for at in range(3)]
    indexed(home)

    async def work(client: Client) -> None:
        await called(client, "find_file_changes", path="app.py")
        files[1].unlink()
        found, _ = await called(client, "find_file_changes", path="app.py")
        assert ids(found) == [thread_id(2), thread_id(0)]

    asked(home, work, sync=False)


def test_a_page_whose_threads_are_gone_leads_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(3):
        write(home, number, encoded([*lines(number), patch("/w/app.py", number)]))
    indexed(home)
    for number in (1, 2):
        (file,) = home.rglob(f"*{thread_id(number)}*")
        file.unlink()

    async def work(client: Client) -> None:
        found, text = await called(client, "find_file_changes", path="app.py", limit=2)
        assert ids(found) == []
        cursor = found["next_cursor"]
        assert f"call again with cursor='{cursor}'" in text
        found, _ = await called(client, "find_file_changes", path="app.py", limit=2, cursor=cursor)
        assert ids(found) == [thread_id(0)]

    asked(home, work, sync=False)
