"""Tools for agents on a fleet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mcp.client import Client

from cli.mcp.server import make_server
from cli.runtime.serving.kept_index import KeptIndex
from state.fleet.reading.lists import filters
from tests.cli.fleet.faces import COUNT, MACHINE, ONLY_ROW, Faces
from tests.cli.mcp.support import called, refused
from tests.support.command import thread_id


def asked(both: Faces, work: Callable[[Client], Awaitable[Any]], *, local: bool = False) -> Any:
    """What some work gives with a client of the server of the fleet, or of the index."""

    async def run() -> Any:
        kept = KeptIndex(both.local if local else both.fleet)
        async with kept, Client(make_server(kept, redact=False)) as client:
            return await work(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_threads", {}),
        ("list_threads", {"project": "project1", "limit": 2}),
        ("list_threads", {"tags": ["bug"]}),
        ("thread_outline", {"thread": "prompt 3"}),
        ("read_turns", {"thread": thread_id(3), "include": ["messages", "tools"]}),
        ("usage_summary", {"by": "thread", "since": "all"}),
    ],
)
def test_a_tool_answers_as_it_does_on_the_machine(
    both: Faces, tool: str, arguments: dict[str, Any]
) -> None:
    async def call(client: Client) -> Any:
        found, _ = await called(client, tool, **arguments)
        return found

    of_machine, of_fleet = asked(both, call, local=True), asked(both, call)
    threads = [*of_fleet.get("threads", ()), *filter(None, [of_fleet.get("thread")])]
    for thread in threads:
        if isinstance(thread, dict):
            assert (thread.pop("machine"), thread.pop("user")) == (MACHINE, "me")
    assert of_fleet == of_machine


def test_a_machine_and_a_user_can_be_named(both: Faces) -> None:
    async def call(client: Client) -> None:
        for named in ({"machine": MACHINE}, {"user": "me"}):
            found, _ = await called(client, "list_threads", **named)
            assert found["total"] == COUNT
            found, _ = await called(client, "usage_summary", by="user", since="all", **named)
            assert [row["key"] for row in found["rows"]] == ["me"]
            found, _ = await called(client, "usage_summary", by="machine", since="all", **named)
            assert [row["key"] for row in found["rows"]] == [MACHINE]
        told = await refused(client, "usage_summary", machine="desktop")
        assert "no machine of the fleet is called 'desktop'" in told
        told = await refused(client, "list_threads", machine="desktop")
        assert "no machine of the fleet is called 'desktop'" in told
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "find_file_changes" not in names
        assert "read_turns" in names

    asked(both, call)

    async def of_machine(client: Client) -> None:
        told = await refused(client, "list_threads", machine=MACHINE)
        assert told.startswith("no argument 'machine'")
        told = await refused(client, "usage_summary", by="machine")
        assert "only a fleet is counted by machine" in told

    asked(both, of_machine, local=True)


def test_more_threads_than_are_counted_are_said_to_be_more(
    both: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "MOST_COUNTED", 3)

    async def call(client: Client) -> None:
        found, text = await called(client, "list_threads")
        assert found["total"] == 4
        assert found["note"] == "There are more than 3 threads."
        assert text.startswith("There are more than 3 threads.")

    asked(both, call)


def test_what_was_not_pushed_and_a_fleet_that_is_away_are_errors_of_tools(both: Faces) -> None:
    async def call(client: Client) -> None:
        told = await refused(client, "read_turns", thread=ONLY_ROW)
        assert "has pushed only the metadata" in told
        both.door.shut()
        assert await refused(client, "list_threads")
        both.door.open()
        found, _ = await called(client, "list_threads")
        assert found["total"] == COUNT

    asked(both, call)
