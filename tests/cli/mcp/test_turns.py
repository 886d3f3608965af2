"""Tools that tell of the turns of a thread."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ResourceTemplateReference, TextResourceContents

from cli.mcp.budget import BYTES_A_TOKEN
from rollout.schema.modes import LEGACY, PAGINATED
from state.db.location import index_path
from tests.cli.mcp.support import called, client_of, refused
from tests.samples.histories import spell
from tests.samples.homes import thread_id
from tests.samples.long_threads import content, head, put
from tests.samples.rollouts import CORPUS, event, user
from tests.support.checks import synced

TURNS = 40
EVERYTHING = ["messages", "tools", "patches", "reasoning"]
SPEECH = "".join(f"line {number} of the speech, in “quotes”\n" for number in range(400))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thread of many turns, one of both modes, and one with a long answer."""
    folder = tmp_path_factory.mktemp("home")
    put(folder, 1, content(1, PAGINATED, TURNS, bulk=10))
    put(folder, 2, content(2, LEGACY, TURNS, bulk=10))
    lines = [user("make a speech"), event("agent_message", message=SPEECH)]
    long = [user("a long title " * 20), event("agent_message", message=SPEECH)]
    put(folder, 0, spell([head(0, LEGACY), *long]))
    put(folder, 3, spell([head(3, LEGACY), *lines, user("thanks")]))
    synced(folder, index_path(folder, folder.parent))
    return folder


async def all_pages(client: Client, tool: str, **arguments: Any) -> list[dict[str, Any]]:
    """All results of a tool, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor or not found:
        result, text = await called(client, tool, cursor=cursor, **arguments)
        typed = json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode()
        assert max(len(text), len(typed)) <= arguments["max_tokens"] * BYTES_A_TOKEN
        found.append(result)
        cursor = result.get("next_cursor", "")
        assert cursor in text
    return found


def test_little_room_and_a_long_title_leave_room_for_text(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            given = {"thread": thread_id(0), "from_turn": 1, "max_tokens": 200}
            pages = await all_pages(client, "read_turns", **given)
            told = "".join(turn["text"] for page in pages for turn in page["turns"])
            assert told.count("line ") == SPEECH.count("line ")

    asyncio.run(work())


@pytest.mark.parametrize("number", [1, 2])
def test_an_outline_has_all_turns_page_by_page(home: Path, number: int) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            given = {"thread": thread_id(number), "max_tokens": 400}
            pages = await all_pages(client, "thread_outline", **given)
            assert len(pages) > 1
            turns = [turn for page in pages for turn in page["turns"]]
            assert [turn["turn"] for turn in turns] == [*range(1, TURNS + 1)]
            assert [turn["prompt"] for turn in turns] == [f"question {at}" for at in range(TURNS)]
            assert turns[0]["took"] == "7 ms"
            assert {page["total"] for page in pages} == {TURNS}
            last, text = await called(client, "thread_outline", thread="-1", from_turn=-2)
            assert [turn["prompt"] for turn in last["turns"]] == ["make a speech", "thanks"]
            assert "1. make a speech" in text

    asyncio.run(work())


def test_turns_are_read_from_one_to_the_end(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            read, text = await called(client, "read_turns", thread=thread_id(1)[:26])
            assert [turn["turn"] for turn in read["turns"]] == [TURNS]
            assert f"**user**\nquestion {TURNS - 1}" in text
            given = {"thread": thread_id(1), "from_turn": 1, "max_tokens": 400}
            pages = await all_pages(client, "read_turns", **given)
            turns = [turn for page in pages for turn in page["turns"]]
            assert len(pages) > 1
            assert [turn["turn"] for turn in turns] == [*range(1, TURNS + 1)]
            assert all(f"answer {at}" in turn["text"] for at, turn in enumerate(turns))

    asyncio.run(work())


def test_as_many_turns_as_wanted_are_told_of_a_thread_named_by_its_title(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            named: dict[str, Any] = {"thread": " make a\nspeech ", "from_turn": 2}
            for tool, first in (("read_turns", 2), ("thread_outline", 2)):
                told, _ = await called(client, tool, **named, limit=1)
                assert [turn["turn"] for turn in told["turns"]] == [first]
                assert "next_cursor" not in told
                given = {"thread": thread_id(1), "from_turn": 5, "limit": 2}
                told, _ = await called(client, tool, **given)
                more, _ = await called(client, tool, **given, cursor=told["next_cursor"])
                assert [t["turn"] for part in (told, more) for t in part["turns"]] == [5, 6, 7, 8]
            same = await refused(client, "read_turns", thread="question 0")
            assert "'question 0' matches 2 threads; give the id of one of them:" in same
            assert f"{thread_id(1)} question 0" in same

    asyncio.run(work())


def test_a_long_text_is_read_piece_by_piece(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            given = {"thread": thread_id(3), "from_turn": 1, "max_tokens": 700}
            pages = await all_pages(client, "read_turns", **given)
            first = [turn["text"] for page in pages for turn in page["turns"] if turn["turn"] == 1]
            assert len(first) > 5
            assert all(text.endswith("\n") for text in first)  # it is cut between lines
            assert SPEECH in "".join(first)
            assert pages[-1]["turns"][-1]["text"].strip() == "**user**\nthanks"

    asyncio.run(work())


def test_what_is_asked_for_is_told_of_real_threads(tmp_path: Path) -> None:
    async def told(client: Client, thread: str, include: list[str]) -> str:
        given = {"thread": thread, "from_turn": 1, "include": include, "max_tokens": 20_000}
        pages = await all_pages(client, "read_turns", **given)
        return "\n".join(turn.get("text", "") for page in pages for turn in page["turns"])

    async def work() -> None:
        async with client_of(CORPUS, tmp_path / "index", sync=False) as client:
            listed, _ = await called(client, "list_threads", max_tokens=20_000)
            found = ""
            for entry in listed["threads"]:
                every = await told(client, entry["id"], EVERYTHING)
                said = await told(client, entry["id"], ["messages"])
                changed = await told(client, entry["id"], ["patches"])
                assert "```diff" not in said
                assert set(filter(None, said.split("\n"))) <= {*every.split("\n")}
                assert set(filter(None, changed.split("\n"))) <= {*every.split("\n")}
                assert "\n$ " not in changed
                found += every
            assert re.search(r"(?m)^```diff\n[+-]", found)
            assert re.search(r"(?m)^\$ .*\(exit \d", found)
            assert "**reasoning**" in found

    synced(CORPUS, tmp_path / "index")
    asyncio.run(work())


def test_what_is_not_there_is_refused_with_what_to_call(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            for tool in ("read_turns", "thread_outline"):
                told = await refused(client, tool, thread="nobody")
                assert "call list_threads or search_threads" in told
                told = await refused(client, tool, thread=thread_id(1)[:8])
                assert all(thread_id(number) in told for number in (1, 2, 3))
                told = await refused(client, tool, thread=thread_id(1), cursor="x" * 3000)
                assert "call again without cursor" in told
                assert len(told) < 400
                told = await refused(client, tool, thread="x" * 100_000)
                assert "or its title as lists have it; call list_threads" in told
                assert len(told) < 400
                told = await refused(client, tool, thread=thread_id(1), from_turn=TURNS + 1)
                assert f"its {TURNS} turns" in told
                assert "call thread_outline" in told
                told = await refused(client, tool, thread=thread_id(1), from_turn=0)
                assert "from_turn: turns count from 1" in told
            part = {"thread": thread_id(3), "from_turn": 1, "max_tokens": 400}
            cursor = (await called(client, "read_turns", **part))[0]["next_cursor"]
            told = await refused(client, "read_turns", thread=thread_id(2), cursor=cursor)
            assert "its turn is not there any more" in told
            told = await refused(client, "search_threads", query="*")
            assert told.endswith('give words, "phrases" or beginnings of words (word*)')

    asyncio.run(work())


def test_a_thread_is_a_resource_whose_id_is_completed(home: Path) -> None:
    async def work() -> None:
        async with client_of(home, index_path(home, home.parent)) as client:
            (template,) = (await client.list_resource_templates()).resource_templates
            assert template.uri_template == "thread://{id}"
            (read,) = (await client.read_resource(f"thread://{thread_id(1)}")).contents
            assert isinstance(read, TextResourceContents)
            assert read.mime_type == "text/markdown"
            assert "1. question 0" in read.text
            assert f"answer {TURNS - 1}" in read.text
            with pytest.raises(MCPError, match="no thread matches 'nobody'"):
                await client.read_resource("thread://nobody")
            place = ResourceTemplateReference(type="ref/resource", uri="thread://{id}")
            for begun in ("", thread_id(1)[:8]):
                argument = {"name": "id", "value": begun}
                ids = (await client.complete(place, argument)).completion.values
                assert ids == [thread_id(number) for number in (3, 2, 1, 0)]
            argument = {"name": "id", "value": "zzzz"}
            assert (await client.complete(place, argument)).completion.values == []

    asyncio.run(work())
