"""Pages of a fleet."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cli.runtime.serving import fleet_supervisor
from cli.runtime.serving.fleet_supervisor import FleetSupervisor
from cli.runtime.serving.kept_index import KeptIndex
from state.db.steps import Steps
from state.fleet.machines import last_push_steps
from state.fleet.reading.lists import filters
from tests.cli.fleet.faces import COUNT, MACHINE, ONLY_ROW, Faces
from tests.cli.web.support import Web, web
from tests.state.fleet.contents import execute
from tests.support.command import thread_id


def asked(both: Faces, work: Callable[[Web], Awaitable[Any]]) -> tuple[Any, Any]:
    """What some work gives on the pages of the index, and on those of the fleet."""

    async def run() -> tuple[Any, Any]:
        async with web(both.local) as local, web(both.fleet) as fleet:
            return await work(local), await work(fleet)

    return asyncio.run(run())


def rows(text: str) -> list[str]:
    """The ids of the list of a page."""
    return re.findall(r'data-id="([0-9a-f-]{36})"', text)


@pytest.mark.parametrize("address", ["/", "/?q=prompt+3", "/?q=tag:bug", "/?q=project:project1"])
def test_a_list_has_the_threads_of_the_index_with_their_machine(both: Faces, address: str) -> None:
    async def look(client: Web) -> str:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        return answer.text

    local, fleet = asked(both, look)
    assert rows(local) == rows(fleet)
    assert rows(local)
    assert ">laptop</a>" in fleet
    assert ">laptop</a>" not in local


def test_a_thread_reads_as_it_does_at_home(both: Faces) -> None:
    async def look(client: Web) -> str:
        answer = await client.get(f"/thread/{thread_id(3)}")
        assert answer.status_code == 200, answer.text
        return answer.text

    local, fleet = asked(both, look)
    turns = re.compile(r'<div id="turns".*?<p id="end"', re.DOTALL)
    assert turns.findall(local) == turns.findall(fleet)
    assert "answer 3" in local
    assert "look here" in fleet
    assert f"As <b>{MACHINE}</b> pushed it" in fleet


async def of_fleet(both: Faces, work: Callable[[Web], Awaitable[None]]) -> None:
    async with web(both.fleet) as client:
        await work(client)


def test_more_threads_than_are_counted_are_said_to_be_more(
    both: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "MOST_COUNTED", 3)

    async def look(client: Web) -> None:
        assert "more than 3 threads" in (await client.get("/")).text

    asyncio.run(of_fleet(both, look))


def test_a_machine_is_a_filter_and_completed(both: Faces) -> None:
    async def look(client: Web) -> None:
        assert len(rows((await client.get("/?q=machine:laptop")).text)) == COUNT
        assert len(rows((await client.get("/?q=user:me")).text)) == COUNT
        for word in ("machine:desktop", "user:ada", "user:ada+prompt"):
            unknown = (await client.get(f"/?q={word}+")).text
            name, _, value = word.partition("+")[0].partition(":")
            assert f"{name}: the fleet has no {name} {value}" in unknown
            assert not rows(unknown)
        offered = (await client.get("/complete?q=machine:la&at=10")).json()["completions"]
        assert [each["token"] for each in offered] == ["machine:laptop"]

    asyncio.run(of_fleet(both, look))
    revoked = "UPDATE threadkeep.machines SET revoked_at = {}"
    execute(both.server, revoked.format("now()"))  # what it has pushed stays
    asyncio.run(of_fleet(both, look))
    execute(both.server, revoked.format("NULL"))


def test_a_damaged_index_of_the_cache_is_made_anew(both: Faces) -> None:
    async def look(client: Web) -> None:
        answer = await client.get(f"/thread/{thread_id(2)}")
        assert (answer.status_code, "answer 2" in answer.text) == (200, True)

    asyncio.run(of_fleet(both, look))
    (index,) = both.local.home.parent.joinpath("cache").rglob("index.sqlite3")
    index.write_bytes(b"SQLite format 3\0" + bytes(5000))
    asyncio.run(of_fleet(both, look))


def test_what_was_used_is_counted_by_machine_and_user(both: Faces) -> None:
    async def look(client: Web) -> str:
        answer = await client.get("/usage?since=all&by=machine")
        assert answer.status_code == 200, answer.text
        return answer.text

    local, fleet = asked(both, look)
    assert "<option selected>machine</option>" in fleet
    assert "<option>machine</option>" not in local


def test_what_was_not_pushed_says_so(both: Faces) -> None:
    async def look(client: Web) -> None:
        answer = await client.get(f"/thread/{ONLY_ROW}")
        assert answer.status_code == 404
        assert "has pushed only the metadata" in answer.text

    asyncio.run(of_fleet(both, look))


def test_a_fleet_is_not_changed_and_has_no_files_to_check(both: Faces) -> None:
    async def look(client: Web) -> None:
        name = thread_id(3)
        assert (await client.get(f"/thread/{name}/change")).status_code == 403
        assert (await client.change(f"/thread/{name}/rename", name="other")).status_code == 403
        health = await client.get("/health")
        assert f"<td>{MACHINE}</td>" in health.text
        for part in ("state", "checks", "verification"):
            assert (await client.get(f"/health/{part}")).status_code == 404
        numbers = (await client.get("/metrics")).text
        assert "threadkeep_fleet_machines 1\n" in numbers
        assert f'{{machine="{MACHINE}",user="me"}} 0' in numbers

    asyncio.run(of_fleet(both, look))


def test_a_fleet_that_is_away_is_back_when_it_is_back(both: Faces) -> None:
    async def look(client: Web) -> None:
        assert (await client.get("/")).status_code == 200
        both.door.shut()
        for address in (
            "/?sort=updated",
            "/usage",
            "/health",
            "/metrics",
            f"/thread/{thread_id(1)}",
        ):
            answer = await client.get(address)
            assert (answer.status_code, address) == (503, address)
        both.door.open()
        assert rows((await client.get("/?sort=updated")).text)

    asyncio.run(of_fleet(both, look))


def test_a_fleet_may_be_away_at_first(both: Faces) -> None:
    async def look(client: Web) -> None:
        assert (await client.get("/")).status_code == 503
        both.door.open()
        while (await client.get("/")).status_code != 200:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)

    both.door.shut()
    asyncio.run(of_fleet(both, look))


def test_pages_hear_of_a_push_by_one_look_for_all(
    both: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_supervisor, "_LOOK_S", 0.3)
    pushed = FleetSupervisor._pushed
    asked = looks = 0

    async def asking(supervisor: FleetSupervisor) -> str | None:
        nonlocal asked
        found = await pushed(supervisor)
        asked += 1
        return found

    def counted() -> Steps[str | None]:
        nonlocal looks
        looks += 1
        return (yield from last_push_steps())

    monkeypatch.setattr(FleetSupervisor, "_pushed", asking)
    monkeypatch.setattr(fleet_supervisor, "last_push_steps", counted)

    async def follow() -> None:
        async with KeptIndex(both.fleet) as kept:
            await kept.store()

            async def hear() -> None:
                await anext(kept.changes())

            heard = [asyncio.create_task(hear()) for _ in range(3)]
            while asked < 6:  # noqa: ASYNC110 - by then all know when the last push was
                await asyncio.sleep(0.01)
            assert not any(each.done() for each in heard)
            execute(both.server, "UPDATE threadkeep.machines SET pushed_at = clock_timestamp()")
            await asyncio.gather(*heard)
            assert looks < asked

    asyncio.run(follow())
