"""The app-server on a fleet."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from cli.arguments.locations import Locations
from cli.server.core.service import Service
from cli.server.transport.session import Session
from tests.cli.fleet.faces import COUNT, MACHINE, ONLY_ROW, Faces
from tests.support.app_client import CLIENT
from tests.support.command import thread_id


class Asker:
    """Asks a server of some place, one request after the other."""

    def __init__(self, service: Service) -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._session = Session(service, self._write, lambda: False)
        self._count = 0

    async def serve(self) -> None:
        await self._session.serve(self._asked())

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        request = {"id": self._count, "method": method, "params": params}
        self._lines.put_nowait(json.dumps(request).encode())
        return await self._answers.get()

    def leave(self) -> None:
        self._lines.put_nowait(None)

    async def _asked(self) -> AsyncIterator[bytes]:
        while (line := await self._lines.get()) is not None:
            yield line

    async def _write(self, data: bytes) -> None:
        for line in data.splitlines():
            message = json.loads(line)
            if "id" in message:
                self._answers.put_nowait(message)


def answers(here: Locations, *requests: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of a server to some requests."""

    async def run() -> list[dict[str, Any]]:
        async with Service(here, lambda _: 0).running() as service:
            asker = Asker(service)
            serving = asyncio.create_task(asker.serve())
            experimental = {"experimentalApi": True}
            await asker.ask("initialize", clientInfo=CLIENT, capabilities=experimental)
            found = [await asker.ask(method, **params) for method, params in requests]
            asker.leave()
            await serving
            return found

    return asyncio.run(run())


def of_machine(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what only one of the two has."""
    result: dict[str, Any] = json.loads(json.dumps(answer["result"]))
    threads = result.get("data", [result.get("thread")])
    for thread in threads:
        if thread and "path" in thread:
            thread["path"] = thread["path"].rpartition("/")[2]
            for name in ("machine", "user", "machines"):
                thread.pop(name, None)
    result.pop("complete", None)
    return result


def test_lists_and_threads_are_those_of_the_machine(both: Faces) -> None:
    id_ = thread_id(3)
    requests: tuple[tuple[str, dict[str, Any]], ...] = (
        ("thread/list", {}),
        ("thread/list", {"limit": 2, "sortKey": "updated_at"}),
        ("thread/read", {"threadId": id_, "includeTurns": True}),
        ("thread/turns/list", {"threadId": id_}),
        ("thread/loaded/list", {}),
    )
    local, fleet = answers(both.local, *requests), answers(both.fleet, *requests)
    assert [*map(of_machine, local)] == [*map(of_machine, fleet)]
    first = fleet[0]["result"]
    assert len(first["data"]) == COUNT
    assert first["complete"]
    assert {each["machine"] for each in first["data"]} == {MACHINE}


def test_nothing_is_changed_and_what_was_not_pushed_says_so(both: Faces) -> None:
    id_ = thread_id(3)
    changes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("thread/start", {"cwd": "/w"}),
        ("thread/resume", {"threadId": id_}),
        ("thread/name/set", {"threadId": id_, "name": "other"}),
        ("thread/archive", {"threadId": id_}),
        ("threadkeep/changes", {}),
    )
    *refused, unread = answers(
        both.fleet, *changes, ("thread/read", {"threadId": ONLY_ROW, "includeTurns": True})
    )
    assert {each["error"]["data"]["kind"] for each in refused} == {"unsupported_method"}
    assert "has pushed only the metadata" in unread["error"]["message"]


def test_a_fleet_that_is_away_is_an_error_that_passes(both: Faces) -> None:
    async def run() -> None:
        both.door.shut()
        async with Service(both.fleet, lambda _: 0).running() as service:
            asker = Asker(service)
            serving = asyncio.create_task(asker.serve())
            await asker.ask("initialize", clientInfo=CLIENT)
            answer = await asker.ask("thread/list")
            assert answer["error"]["data"]["retryable"], answer
            both.door.open()
            while "error" in (answer := await asker.ask("thread/list")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert len(answer["result"]["data"]) == COUNT
            asker.leave()
            await serving

    asyncio.run(run())
