"""Threads whose newest copy was pushed without what is in them, while an older one has it."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp.client import Client

from cli.arguments.locations import Locations
from cli.fleet.config import VARIABLE
from cli.mcp.server import make_server
from cli.runtime.serving.kept_index import KeptIndex
from tests.cli.fleet.test_app_server_of_fleet import answers
from tests.cli.mcp.support import called
from tests.cli.web.support import Web, web
from tests.state.fleet.contents import execute, machine
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index

ONE, TWO, THREE = map(thread_id, (1, 2, 3))
NOTE = re.compile(
    "The newest copy, on lap, was pushed without its rollout: this is the one of desk, of 20"
)


class Here(NamedTuple):
    """Who reads."""

    cli: Cli
    server: Locations


@pytest.fixture(scope="module")
def here(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """The desk has pushed three threads with their rollouts. On the lap the first two have gone on,
    and of the first one it has pushed the messages, of the others nothing but metadata."""
    base = tmp_path_factory.mktemp("copies")
    with new_fleet(cluster) as fleet, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))

        async def push(name: str, *added: str) -> None:
            for number in (1, 2, 3):
                path = write_rollout(base / name / "home", number, f"question {number}")
                for text in added if number < 3 else ():
                    line = path.read_text().splitlines()[1].replace("question", text)
                    path.write_text(f"{path.read_text()}{line.replace('T00:', 'T01:')}\n")
            async with machine(fleet, base / name, name) as pushing:
                put_index(fleet, name, pushing.index.database.path)
                if added:
                    await pushing.push_messages(fleet, ONE)
                else:
                    await pushing.push(ONE, TWO, THREE)

        asyncio.run(push("desk"))
        asyncio.run(push("lap", "again", "once more"))
        execute(
            fleet,
            "UPDATE threadkeep.threads SET level = CASE WHEN EXISTS (SELECT 1 FROM"
            " threadkeep.rollouts r WHERE r.machine_id = threads.machine_id) THEN 'raw' WHEN id ="
            " %s THEN 'text' ELSE level END",
            [ONE],
        )
        address = fleet.reader()
        cli = Inside(base / "here", base, {VARIABLE: address})
        cli.home.mkdir()
        yield Here(cli, Locations(base / "none", base / "reader.sqlite3", None, address))


@pytest.mark.parametrize("thread", [ONE, TWO])
def test_the_older_copy_is_shown_and_says_so(here: Here, thread: str) -> None:
    shown = here.cli.run("show", thread, "--fleet").out
    assert NOTE.search(shown)
    assert "machine desk" in shown
    assert "again" not in shown
    as_json = here.cli.run("show", thread, "--fleet", "--json")
    assert NOTE.search(as_json.err)
    assert as_json.json["thread"]["machine"] == "desk"
    assert as_json.json["thread"]["machines"] == ["lap", "desk"]


def test_a_copy_that_is_as_new_is_not_said_to_be_older(here: Here) -> None:
    shown = here.cli.run("show", THREE, "--fleet")
    assert "machine desk" in shown.out
    assert "newest copy" not in shown.out + shown.err


def test_a_machine_that_is_named_is_shown_with_what_it_has(here: Here) -> None:
    shown = here.cli.run("show", ONE, "--fleet", "--machine", "lap")
    assert "again 1" in shown.out
    assert not NOTE.search(shown.out + shown.err)
    row = here.cli.run("show", TWO, "--fleet", "--machine", "lap")
    assert "machine lap has pushed only the metadata" in row.err
    assert "--machine desk" in row.err


def test_an_export_and_a_pull_say_which_copy_they_are(here: Here, tmp_path: Path) -> None:
    words = ("export", ONE, TWO, "--fleet", "-o", f"{tmp_path}/", "--json")
    exported = here.cli.run(*words)
    assert [each["machine"] for each in exported.json["exported"]] == ["desk", "desk"]
    assert [line.split(":")[0] for line in exported.err.splitlines()] == [ONE, TWO]
    assert NOTE.search((tmp_path / f"{ONE}.md").read_text())
    pulled = here.cli.run("pull", ONE)
    assert NOTE.search(pulled.err)
    assert "from machine desk" in pulled.err
    assert here.cli.ids() == [ONE]


def pages(here: Here, work: Callable[[Web], Awaitable[Any]]) -> None:
    async def run() -> None:
        async with web(here.server) as client:
            await work(client)

    asyncio.run(run())


def test_a_page_says_which_copy_it_is_and_leads_to_the_others(here: Here) -> None:
    async def look(client: Web) -> None:
        page = (await client.get(f"/thread/{ONE}")).text
        assert NOTE.search(page)
        assert "As <b>desk</b> pushed it" in page
        other = f"/machine/lap/thread/{ONE}"
        assert f'href="{other}">lap</a>' in page
        of_lap = (await client.get(other)).text
        assert "again 1" in of_lap
        assert "Only its messages were pushed" in of_lap
        assert f'data-url="{other}"' in of_lap
        assert "again 1" in (await client.get(f"{other}/turns")).text

    pages(here, look)


def test_a_list_as_a_machine_has_it_leads_to_its_copies(here: Here) -> None:
    async def look(client: Web) -> None:
        for name in ("lap", "desk"):
            listed = (await client.get(f"/?q=machine:{name}")).text
            assert f'<a href="/machine/{name}/thread/{ONE}"' in listed
        assert f'<a href="/thread/{ONE}"' in (await client.get("/")).text
        used = (await client.get("/usage?since=all&by=thread&q=machine:lap")).text
        assert f'href="/thread/{ONE}"' not in used
        assert (await client.get(f"/machine/nowhere/thread/{ONE}")).status_code == 400

    pages(here, look)


def test_agents_are_told_which_copy_they_read(here: Here) -> None:
    async def look() -> None:
        kept = KeptIndex(here.server)
        async with kept, Client(make_server(kept, redact=False)) as client:
            for tool in ("read_turns", "thread_outline"):
                found, _ = await called(client, tool, thread=ONE)
                assert NOTE.search(found["note"])

    asyncio.run(look())
    asked = ("thread/read", {"threadId": ONE, "includeTurns": True})
    (answer,) = answers(here.server, asked)
    assert answer["result"]["thread"]["machine"] == "desk"
