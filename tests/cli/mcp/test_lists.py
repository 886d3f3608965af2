"""Tools that list threads."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from mcp.types import ListRootsResult, Root

from cli.mcp.budget import BYTES_A_TOKEN
from cli.mcp.tools import current_project
from state.db.location import index_path
from tests import ROOT
from tests.cli.mcp.support import called, client_of, refused
from tests.support.checks import synced
from tests.support.command import thread_id, write_rollout

COUNT = 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the index knows."""
    folder = tmp_path_factory.mktemp("home")
    for number in range(COUNT):
        write_rollout(folder, number, f"the thread {number}", cwd=f"/w/{'ab'[number % 2]}")
    write_rollout(folder, COUNT, "an old thread", archived=True)
    synced(folder, index_path(folder, folder.parent))
    return folder


def numbers(listed: dict[str, Any]) -> list[int]:
    """Which threads a result has."""
    ids = [thread_id(number) for number in range(COUNT + 1)]
    return [ids.index(entry["id"]) for entry in listed["threads"]]


def test_threads_are_listed_the_newest_first_and_page_by_page(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            found: list[int] = []
            cursor = ""
            while cursor or not found:
                listed, text = await called(client, "list_threads", cursor=cursor, max_tokens=500)
                assert len(text) <= 500 * BYTES_A_TOKEN
                assert listed["total"] == COUNT
                assert all(entry["id"] in text for entry in listed["threads"])
                found += numbers(listed)
                cursor = listed.get("next_cursor", "")
                assert cursor in text
            assert found == [*reversed(range(COUNT))]
            listed, text = await called(client, "list_threads", max_tokens=20_000)
            assert "next_cursor" not in listed
            assert listed["note"] == "Not listed: 1 archived (archived=true)."
            assert listed["note"] in text
            for limit, count in ((-1, 1), (0, 1), (7, 7), (10**30, COUNT)):
                arguments = {"limit": limit, "max_tokens": 20_000}
                listed, _ = await called(client, "list_threads", **arguments)
                assert len(listed["threads"]) == count

    asyncio.run(work())


def test_filters_of_the_list_are_those_of_the_command(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            listed, _ = await called(client, "list_threads", archived=True)
            assert numbers(listed) == [COUNT]
            listed, _ = await called(client, "list_threads", project="/w/a", query="THREAD 2")
            assert numbers(listed) == [28, 26, 24, 22, 20, 2]
            listed, _ = await called(client, "list_threads", since="2026-10-15T00:00:28Z")
            assert numbers(listed) == [29, 28]
            listed, text = await called(client, "list_threads", tags=["nothing"])
            assert numbers(listed) == []
            assert text.startswith("No threads match.")

    asyncio.run(work())


def test_the_project_is_that_of_the_client(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def roots(_: Any) -> ListRootsResult:
        uris = ["file:///w/a", "file:///w/b%20c"]
        return ListRootsResult(roots=[Root(uri=uri) for uri in uris])

    async def below(_: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri="file:///w/a/sub/dir")])

    async def silent(_: Any) -> ListRootsResult:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def work() -> None:
        index = index_path(home, home.parent)
        for mode in ("legacy", "auto"):
            options: dict[str, Any] = {"mode": mode}
            async with client_of(home, index, **options, list_roots_callback=roots) as client:
                found, text = await called(client, "current_project", max_tokens=200)
                assert (found["project"], found["folder"]) == ("a", "/w/a")
                assert found["other_folders"] == ["/w/b c"]
                assert found["total"] == COUNT // 2
                assert numbers(found) == [28, 26, 24]
                assert "# a (/w/a): 15 threads" in text
                assert "Also open: /w/b c" in text
            async with client_of(home, index, **options, list_roots_callback=below) as client:
                found, _ = await called(client, "current_project")
                assert (found["project"], found["folder"]) == ("a", "/w/a/sub/dir")
                assert found["total"] == COUNT // 2
                note = "No thread ran in this folder: these are of /w/a, which it is in."
                assert found["note"] == note
            monkeypatch.chdir(home)
            async with client_of(home, index, **options) as client:
                found, text = await called(client, "current_project")
                assert (found["folder"], found["threads"]) == (str(home), [])
                assert "list_threads" in text
        monkeypatch.setattr(current_project, "_PATIENCE_S", 0.01)
        async with client_of(home, index, mode="legacy", list_roots_callback=silent) as client:
            assert (await called(client, "current_project"))[0]["folder"] == str(home)

    asyncio.run(work())


def test_what_cannot_be_asked_for_is_refused_with_what_to_do(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            told = await refused(client, "list_threads", since="someday")
            assert "since: 'someday' is no time; give a day" in told
            told = await refused(client, "list_threads", cursor="x")
            assert "call again without cursor" in told
            told = await refused(client, "list_threads", tags=["a b"])
            assert "a b" in told
            assert "tags: input should be a valid list" in await refused(
                client, "list_threads", tags=3
            )

    asyncio.run(work())


def test_the_page_names_all_that_is_offered(home: Path) -> None:
    page = (ROOT / "docs" / "mcp.md").read_text("utf-8")

    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            for tool in (await client.list_tools()).tools:
                (row,) = re.findall(rf"(?m)^\| `{tool.name}` \|.*", page)
                told = {*re.findall(r"`(\w+)`", row)} - {tool.name} | {"max_tokens"}
                assert told == {*tool.input_schema["properties"]}
            for prompt in (await client.list_prompts()).prompts:
                assert f"`{prompt.name}`" in page

    asyncio.run(work())
