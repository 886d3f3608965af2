"""Clients that leave in the middle of requests: nothing of what they asked for goes on."""

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.arguments.locations import locations_of
from cli.remote.client import identity
from cli.server.core.client import Client as Connection
from cli.server.core.service import _MAX_COMMANDS, Service
from cli.server.methods.registry import METHODS
from cli.server.protocol.outbox import Outbox
from cli.server.transport.streams import serve_socket
from state.db import database
from tests.support.app_client import CLIENT, Client, Server, soon
from tests.support.checks import synced
from tests.support.command import COMMAND, Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.leaving import Figures, crowd, leave_stdio, on_socket, on_websocket, params_of

COUNT = 40
MOST_CONNECTIONS = (
    database._MOST_WRITERS + database._MOST_READERS + database._MOST_WORKERS + 1 + _MAX_COMMANDS
)
"""Of SQLite at a time. While one is open, SQLite keeps the descriptors of closed ones for the next
ones, and a cancelled statement keeps its connection until Python collects garbage: so many at most,
whatever the number of clients."""
THREADS = 4
"""Threads of a pool."""
MOST_LEAVING = 1_000
"""Descriptors of clients that have left, and are not seen off yet, however many come."""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for a home of some threads, which the index knows."""
    folder = tmp_path_factory.mktemp("left")
    made = Cli(folder / "home", folder)
    for number in range(COUNT):
        write_rollout(made.home, number, f"the thread {number}")
    synced(made.home, made.index)
    return made


@pytest.fixture
def server(cli: Cli) -> Iterator[Server]:
    with Server(cli, "--listen", "unix://") as started:
        yield started


def place_of(cli: Cli) -> Path:
    """Where the server of an index listens."""
    return cli.index.with_name(f"{cli.index.name}.sock")


def ready(cli: Cli, server: Server) -> Client:
    """A client of a server whose index is in step."""
    client = server.connect(place_of(cli)).begin()
    soon(lambda: client.call("thread/list")["complete"])
    return client


def command_params(*args: str) -> dict[str, Any]:
    return {
        "program": identity(),
        "args": list(args),
        "terminal": False,
        "columns": 80,
        "lines": 24,
        "environment": {},
    }


def ticks(pid: int) -> int:
    """How much of a processor a process has used, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def is_busy(pid: int, since: int) -> bool:
    """Whether a process has worked a while since it had used so much."""
    return ticks(pid) > since + 20


def quiet(pid: int) -> bool:
    """Whether a process does next to nothing."""
    before = ticks(pid)
    time.sleep(0.5)
    return ticks(pid) - before < 10


def left_as_before(pid: int, before: Figures) -> None:
    """Wait until a server holds no more than it did."""

    def is_so() -> bool:
        now = Figures.of(pid)
        index = now.of_index <= 2 * MOST_CONNECTIONS + 1  # with the WAL's, and shared memory
        threads = now.threads <= before.threads + THREADS
        return index and threads and now.descriptors <= before.descriptors

    soon(is_so)


def all_methods(cli: Cli) -> dict[str, dict[str, Any]]:
    asked = params_of(thread_id(1))
    asked["threadkeep/command"] = command_params("query", ENDLESS)
    assert set(asked) == set(METHODS)
    return asked


PARTS = 4
"""Of all methods, so that no test takes minutes more than it may."""
CROWDS = [
    (6, slice(None)),
    *(pytest.param(1_000, slice(at, None, PARTS), marks=pytest.mark.full) for at in range(PARTS)),
]


def left_by_crowds(cli: Cli, server: Server, send: Any, clients: int, part: slice) -> Figures:
    """The figures after clients that left in the middle of each method; they are as before."""
    pid = server.process.pid
    asked = list(all_methods(cli).items())[part]
    for method, params in asked:
        crowd(send, method, params, 2)  # what it loads and opens once, it keeps
    soon(lambda: quiet(pid))
    before = Figures.of(pid)
    for method, params in asked:
        crowd(send, method, params, clients)
        assert Figures.of(pid).descriptors < before.descriptors + MOST_LEAVING
    left_as_before(pid, before)
    assert Figures.of(pid).kb < before.kb + 60_000
    soon(lambda: quiet(pid))
    return Figures.of(pid)


def test_a_client_that_left_is_not_taken_for_the_next_one(cli: Cli, tmp_path: Path) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [("initialize", {"clientInfo": CLIENT})]
    asked += [("threadkeep/changes", {}), ("threadkeep/changes", {"waitMs": 60_000})]
    lines = [{"id": number, "method": m, "params": p} for number, (m, p) in enumerate(asked)]

    def connected() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(tmp_path / "socket"))
        client.setblocking(False)
        client.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        return client

    async def answered(client: socket.socket) -> None:
        """Wait until the second request is answered; nothing of that is read."""
        said = b""
        while said.count(b"\n") < 2:
            await asyncio.sleep(0.01)
            with suppress(BlockingIOError):
                said = client.recv(2**16, socket.MSG_PEEK)

    async def work() -> None:
        service = Service(locations_of(str(cli.home), str(cli.index)), lambda _: 0)
        async with service.running():
            serve = partial(serve_socket, service)
            server = await asyncio.start_unix_server(serve, tmp_path / "socket")
            here = []
            for moment in range(5):
                left = connected()
                await answered(left)
                left.close()  # which is an error on the other side, as it has read nothing
                for _ in range(moment):
                    await asyncio.sleep(0)
                here.append(connected())  # its descriptor there may be the same
                await answered(here[-1])
            until = time.monotonic() + PATIENCE_S
            while service.connections > len(here):
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
            for client in here:
                client.close()
            server.close()
            while service.connections:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)

    asyncio.run(work())


def test_the_lock_of_a_thread_lives_as_long_as_it_is_used(cli: Cli) -> None:
    async def work() -> None:
        service = Service(locations_of(str(cli.home), str(cli.index)), lambda _: 0)
        async with service.lock_for("a"):
            assert service.lock_for("a").locked()
        unused = weakref.ref(service.lock_for("a"))
        assert unused() is None
        assert not service.release("a", Connection(Outbox()))

    asyncio.run(work())


def test_a_change_whose_client_leaves_is_told_to_the_others(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("told")  # a socket's path is short
    cli = Cli(folder / "home", folder)
    write_rollout(cli.home, 1, "the thread")
    synced(cli.home, cli.index)
    with Server(cli, "--listen", "unix://") as server:
        other = ready(cli, server)
        with closing(sqlite3.connect(cli.index, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            leaving = server.connect(place_of(cli)).begin()
            leaving.ask("thread/archive", threadId=thread_id(1))
            soon(lambda: list(cli.home.glob("archived_sessions/*")))
            leaving.close()
            time.sleep(0.3)  # the server has noticed; if it has not, this tests less
        assert other.until("thread/archived") == {"threadId": thread_id(1)}
        assert other.call("thread/list", archived=True)["data"][0]["id"] == thread_id(1)


@pytest.mark.parametrize(("clients", "part"), CROWDS)
def test_clients_that_leave_a_socket_leave_nothing(
    clients: int, part: slice, cli: Cli, server: Server
) -> None:
    client = ready(cli, server)
    for method, params in all_methods(cli).items():
        if method not in ("threadkeep/command", "threadkeep/changes", "thread/delete"):
            client.answer(client.ask(method, **params))
    left_by_crowds(cli, server, on_socket(place_of(cli)), clients, part)
    assert client.call("thread/list")["data"]


@pytest.mark.parametrize(("clients", "part"), CROWDS)
def test_clients_that_leave_a_websocket_leave_nothing(clients: int, part: slice, cli: Cli) -> None:
    with Server(cli, "--listen", "ws://127.0.0.1:0") as server:
        assert server.process.stderr
        url = server.process.stderr.readline().decode().split()[-1]
        send = on_websocket(url)
        left_by_crowds(cli, server, send, clients, part)


@pytest.mark.parametrize("method", ["thread/search", "threadkeep/changes"])
def test_a_server_ends_with_the_client_on_its_standard_input(method: str, cli: Cli) -> None:
    leave_stdio(cli, method, params_of(thread_id(1))[method])


def test_a_client_that_sends_no_more_is_answered(cli: Cli, server: Server) -> None:
    ready(cli, server)
    client = server.connect(place_of(cli)).begin()
    for _ in range(5):
        client.ask("thread/search", searchTerm="the")
    assert client.connection
    client.connection.shutdown(socket.SHUT_WR)
    for _ in range(5):
        assert client.next()["result"]["data"]


def test_a_query_ends_with_who_asked_for_it(cli: Cli, server: Server) -> None:
    ready(cli, server)
    pid = server.process.pid
    soon(lambda: quiet(pid))
    for number in (signal.SIGINT, signal.SIGKILL):
        asking = subprocess.Popen(
            [*COMMAND, "query", ENDLESS], env=cli.environment(), stderr=subprocess.DEVNULL
        )
        soon(partial(is_busy, pid, ticks(pid)))
        asking.send_signal(number)
        asking.wait()
        soon(lambda: quiet(pid))


def test_a_query_in_a_server_has_a_limit(cli: Cli, server: Server) -> None:
    client = ready(cli, server)
    error = client.fail("threadkeep/command", **command_params("query", ENDLESS))
    assert error["data"]["kind"] == "not_served"
    soon(lambda: quiet(server.process.pid))
    # One function is one step, in which SQLite cannot be stopped: its texts are short here.
    long = "SELECT length(hex(zeroblob(1500000)))"
    error = client.fail("threadkeep/command", **command_params("query", long))
    assert error["data"]["kind"] == "not_served"
    assert cli.run("query", long).lines[1] == "3000000"


def test_many_commands_at_once_wait_for_none_but_themselves(cli: Cli, server: Server) -> None:
    client = ready(cli, server)
    listed = command_params("list", "--json")
    for _ in range(32):
        client.ask("threadkeep/command", **listed)
    answers = [client.next() for _ in range(32)]
    # On a busy machine some take longer than the server's patience: their clients run them.
    late = [each["error"]["message"] for each in answers if "error" in each]
    assert all("TimeoutError" in message for message in late)
    assert {each["result"]["status"] for each in answers if "result" in each} == {0}
    assert client.call("threadkeep/command", **listed)["status"] == 0


@pytest.mark.parametrize("leave", [True, False])
def test_a_busy_server_ends_when_it_is_told_to(leave: bool, cli: Cli) -> None:
    with Server(cli, "--listen", "unix://", env={"LOG_FORMAT": "json"}) as server:
        ready(cli, server)
        asked = all_methods(cli)
        here: list[Client] = []
        for method in ("thread/search", "threadkeep/command", "threadkeep/changes"):
            for _ in range(10):
                client = server.connect(place_of(cli)).begin()
                for _ in range(8):
                    client.ask(method, **asked[method])
                here.append(client)
        if leave:
            for client in here:
                client.close()
        server.process.send_signal(signal.SIGTERM)
        _, log = server.end()
        assert server.process.returncode == 0
        end = json.loads(log.splitlines()[-1])
        assert end["fields"]["reason"] == "SIGTERM"
        assert end["fields"]["connections"] <= len(here) + 1


def test_a_client_that_does_not_read_does_not_hold_up_the_end(cli: Cli) -> None:
    with Server(cli, env={"LOG_FORMAT": "json"}) as server:
        client = server.client.begin()
        soon(lambda: client.call("thread/list")["complete"])
        for _ in range(40):
            client.ask("thread/list", limit=100)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)
        assert server.process.stderr
        end = json.loads(server.process.stderr.read().splitlines()[-1])
        assert (end["fields"]["reason"], end["fields"]["connections"]) == ("SIGTERM", 1)
