"""Serving many clients over HTTP, to those alone that have the token."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.cli.mcp.support import called
from tests.support.checks import synced
from tests.support.command import Cli, write_rollout
from tests.support.effort import PATIENCE_S

TOKEN = "a1" * 20


class Server:
    """A server that was started, by what it says."""

    def __init__(self, said: list[str]) -> None:
        self.url, header = said
        self.header = {"authorization": header.partition(": ")[2]}
        self.port = int(self.url.split(":")[2].partition("/")[0])

    def status(self, method: str = "POST", **headers: str) -> int:
        """The status of a request with these headers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        usual = {"content-type": "application/json", "accept": "application/json"}
        connection.request(method, "/mcp", b"{}", usual | headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    base = tmp_path_factory.mktemp("served")
    made = Cli(base / "home", base)
    write_rollout(made.home, 1, "the thread")
    synced(made.home, made.index)
    return made


@contextmanager
def serving(cli: Cli, **environment: str) -> Iterator[Server]:
    pipe = subprocess.PIPE
    with cli.start("mcp", "--http", "--port", "0", env=environment, stderr=pipe) as process:
        try:
            assert process.stderr
            yield Server([process.stderr.readline().decode().strip() for _ in range(2)])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
    assert process.returncode == 0


def test_clients_with_the_token_are_answered(cli: Cli) -> None:
    async def ask(server: Server, mode: Any) -> None:
        async with httpx2.AsyncClient(headers=server.header) as web:
            there = streamable_http_client(server.url, http_client=web)
            async with Client(there, mode=mode) as client:
                assert (await called(client, "list_threads"))[0]["total"] == 1

    async def work(server: Server) -> None:
        async with asyncio.TaskGroup() as clients:
            for mode in ("legacy", "auto", "legacy"):
                clients.create_task(ask(server, mode))

    with serving(cli) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/mcp"
        assert len(server.header["authorization"]) > 40
        asyncio.run(work(server))
    with serving(cli, THREADKEEP_TOKEN=TOKEN) as server:
        assert server.header == {"authorization": f"Bearer {TOKEN}"}


def test_all_others_are_refused(cli: Cli) -> None:
    with serving(cli, THREADKEEP_TOKEN=TOKEN) as server:
        given, here = server.header, f"127.0.0.1:{server.port}"
        assert server.status(**given) not in (401, 403, 421)
        assert server.status(**given, origin=f"http://{here}") not in (401, 403, 421)
        assert server.status(**given, host=f"localhost:{server.port}") not in (401, 403, 421)
        for method in ("GET", "POST", "DELETE"):
            assert server.status(method) == 401
            for token in (TOKEN[:-1], f"{TOKEN}a", "", "é"):
                assert server.status(method, authorization=f"Bearer {token}") == 401
            assert server.status(method, authorization=f"Basic {TOKEN}") == 401
            for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", here + "0"):
                assert server.status(method, **given, host=host) == 421
            for origin in ("http://evil.example", f"https://{here}", "null", "http://127.0.0.1"):
                assert server.status(method, **given, origin=origin) == 403


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--port", "9"], {}, "--http"),
        (["--http"], {"THREADKEEP_TOKEN": "short"}, "openssl rand -hex 32"),
        (["--http", "--port", "70000"], {}, "65535"),
    ],
)
def test_what_cannot_be_served_is_refused(
    cli: Cli, options: list[str], environment: dict[str, str], said: str
) -> None:
    assert said in cli.run("mcp", *options, env=environment, status=2).err


def test_a_port_that_is_taken_is_refused(cli: Cli) -> None:
    with serving(cli) as server:
        told = cli.run("mcp", "--http", "--port", str(server.port), status=2).err
        assert f"another program listens on {server.port}" in told
