"""The command as a client starts it."""

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from tests.cli.mcp.support import called, client_of, refused
from tests.support.command import COMMAND, Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

COUNT = 5
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
    b'"capabilities":{},"clientInfo":{"name":"test","version":"1"}}}\n'
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home that the index knows, and its messages."""
    made = Cli(tmp_path / "home", tmp_path)
    for number in range(COUNT):
        write_rollout(made.home, number, f"the thread {number}")
    made.run("search", "thread")
    return made


@asynccontextmanager
async def process_of(cli: Cli, *options: str, mode: Any = "legacy") -> AsyncIterator[Client]:
    """A client of a process of its own."""
    words = [*map(str, COMMAND), "mcp", *options]
    started = StdioServerParameters(
        command=words[0], args=words[1:], env=cli.environment(), cwd=cli.base
    )
    async with Client(stdio_client(started), mode=mode) as client:
        yield client


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """When each file of a folder was changed, and what is in it; folders, too."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *folder.rglob("*"))
    }


def test_a_process_offers_all_and_writes_nothing_that_it_must_not(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(client: Client) -> list[Any]:
        """What a client is offered, and what it is told by all that reads."""
        found: list[Any] = [(await client.list_tools()).tools]
        found.append((await client.list_prompts()).prompts)
        found.append((await client.list_resource_templates()).resource_templates)
        one = {"thread": thread_id(1)}
        given = {"thread_outline": one, "read_turns": one, "search_threads": {"query": "thread"}}
        given |= {"find_file_changes": {"path": "a.py"}}
        for tool in found[0]:
            found.append(await called(client, tool.name, **given.get(tool.name, {})))
        found.append((await client.read_resource(f"thread://{thread_id(1)}")).contents)
        return found

    async def work() -> None:
        async with process_of(cli) as client:
            told = await asked(client)
            assert {tool.name for tool in told[0]} >= {"list_threads", "read_turns"}
            assert all(tool.annotations.read_only_hint for tool in told[0])
            assert all(not tool.annotations.open_world_hint for tool in told[0])
            assert all(tool.output_schema for tool in told[0])
        assert everything(cli.home) == home
        beside = everything(cli.index.parent)
        async with process_of(cli, "--no-sync", mode="auto") as client:
            assert await asked(client) == told
        assert everything(cli.home) == home
        assert everything(cli.index.parent) == beside
        async with client_of(cli.home, cli.index, mode="legacy") as client:  # in this process
            assert await asked(client) == told

    home = everything(cli.home)
    monkeypatch.chdir(cli.base)
    asyncio.run(work())


def test_two_servers_of_one_index_see_what_is_added(cli: Cli) -> None:
    async def total(client: Client) -> int:
        return int((await called(client, "list_threads"))[0]["total"])

    async def work() -> None:
        one_of, other_of = (client_of(cli.home, cli.index) for _ in range(2))
        async with one_of as one, other_of as other:
            write_rollout(cli.home, COUNT, "a new thread")
            for client in (one, other):
                async with asyncio.timeout(PATIENCE_S):
                    while await total(client) == COUNT:  # noqa: ASYNC110 - it is not told
                        await asyncio.sleep(0.02)

    asyncio.run(work())


def test_a_server_starts_whatever_is_wrong_and_tools_say_what(cli: Cli) -> None:
    async def work() -> None:
        async with client_of(cli.home, cli.index) as client:
            cli.home.rename(cli.base / "gone")
            told = await refused(client, "list_threads")
            assert str(cli.home) in told
            assert "--home" in told
            (cli.base / "gone").rename(cli.home)
            assert (await called(client, "list_threads"))[0]["total"] == COUNT
        with closing(sqlite3.connect(cli.index)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        async with client_of(cli.home, cli.index) as client:
            told = await refused(client, "list_threads")
            assert "v9999" in told
            assert "update threadkeep" in told
        cli.index.write_bytes(b"no index" * 1000)
        async with client_of(cli.home, cli.index, sync=False) as client:
            told = await refused(client, "list_threads")
            assert str(cli.index) in told
            mend = f"threadkeep --home {cli.home} --db {cli.index} reindex builds a new one"
            assert mend in told
            for ask in (
                client.read_resource(f"thread://{thread_id(1)}"),
                client.get_prompt("go_on"),
            ):
                with pytest.raises(MCPError, match=re.escape(mend)):
                    await ask
        cli.index.unlink()
        async with client_of(cli.home, cli.index, sync=False) as client:
            told = await refused(client, "list_threads")
            assert f"threadkeep --home {cli.home} --db {cli.index} backfill makes one" in told
        assert not cli.index.exists()

    asyncio.run(work())


def test_an_index_that_is_damaged_meanwhile_is_made_again(cli: Cli) -> None:
    async def total(client: Client) -> int:
        result = await client.call_tool("list_threads", {})
        return -1 if result.is_error else int((result.structured_content or {})["total"])

    async def work() -> None:
        async with client_of(cli.home, cli.index) as client:
            assert await total(client) == COUNT
            cli.index.write_bytes(b"damaged" * 5000)
            write_rollout(cli.home, COUNT, "a new thread")
            async with asyncio.timeout(PATIENCE_S):
                while await total(client) != COUNT + 1:  # noqa: ASYNC110 - it is not told
                    await asyncio.sleep(0.05)

    asyncio.run(work())


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
def test_it_ends_soon_and_says_nothing(cli: Cli, end: signal.Signals | None) -> None:
    pipe = subprocess.PIPE
    with cli.start("mcp", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(INITIALIZE)
        process.stdin.flush()
        assert b'"serverInfo"' in process.stdout.readline()
        if end is None:
            process.stdin.close()
            process.stdin = None
        else:
            process.send_signal(end)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_no_line_stays_without_an_answer_and_no_client_has_to_wait_for_one(cli: Cli) -> None:
    ready = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
    half = (
        b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":'
        b'{"name":"search_threads","arguments":{"query":"nothing \\ud83d"}}}\n'
    )
    pipe = subprocess.PIPE
    with cli.start("mcp", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(INITIALIZE + ready + b"no JSON\n\n[]\n")
        process.stdin.flush()
        found = [json.loads(process.stdout.readline()) for _ in range(3)]
        errors = [(each["id"], each["error"]["code"]) for each in found[1:]]
        assert errors == [(None, -32700), (None, -32600)]
        process.stdin.write(half)
        process.stdin.flush()
        assert "Nothing matches" in str(json.loads(process.stdout.readline()))
        process.stdout.close()
        process.stdin.write(half)
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr
        assert process.stderr.read() == b""


def test_a_version_of_the_sdk_that_needs_more_is_imported_as_usual(cli: Cli) -> None:
    script = """
import runpy, sys
from cli.mcp.transport import light_import
defer, names = light_import._defer, []

def fail_in_the_middle(name):
    if names:
        raise RuntimeError
    names.append(name)
    defer(name)

light_import._defer = fail_in_the_middle
sys.argv = ["threadkeep", "mcp"]
runpy.run_module("cli", run_name="__main__")
"""
    ran = cli.run("-c", script, prefix=[sys.executable], stdin=INITIALIZE.decode())
    assert '"serverInfo"' in ran.out
    assert ran.err == ""
