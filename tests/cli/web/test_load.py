"""Many clients at once, slow ones, and those that leave: nobody waits for another."""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cli.runtime.serving.kept_index import KeptIndex
from cli.web.app import make_app
from cli.web.pages import threads
from cli.web.security import Access
from cli.web.serve import end, server_of
from cli.web.site import Site
from cli.web.streams import MOST_STREAMS, Event, EventStream
from tests.cli.web.server import Server
from tests.cli.web.support import small_home, web
from tests.support.command import Cli
from tests.support.effort import PATIENCE_S

LARGE = 32 * 2**20
"""More than the system takes for a client that does not read."""


class Here:
    """A server of this process, with addresses of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *routes: Route) -> None:
        monkeypatch.setattr(threads, "ROUTES", (*threads.ROUTES, *routes))
        self.here = small_home(folder)
        self._writers: list[asyncio.StreamWriter] = []

    def run(self, work: Callable[["Here"], Awaitable[None]]) -> None:
        """Serve while ``work`` goes on, and until all has ended."""
        asyncio.run(self._run(work))

    async def _run(self, work: Callable[["Here"], Awaitable[None]]) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
            access = Access(listening.getsockname()[1])
            async with KeptIndex(self.here) as kept, asyncio.timeout(PATIENCE_S):
                self.site = Site(self.here, kept, access)
                self.server = server_of(make_app(self.site))
                serving = asyncio.create_task(self.server.serve(sockets=[listening]))
                await work(self)
                end(self.server, self.site)
                await serving
                for writer in self._writers:
                    writer.close()

    async def ask(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for a page; nothing of the answer is read."""
        access = self.site.access
        reader, writer = await asyncio.open_connection("127.0.0.1", access.port, limit=2**12)
        head = (
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{access.port}\r\n"
            f"cookie: {access.cookie}={access.session}\r\nsec-fetch-site: same-origin\r\n\r\n"
        )
        self._writers.append(writer)
        writer.write(head.encode())
        return reader, writer

    async def status(self, path: str) -> int:
        """The status of the answer."""
        reader, writer = await self.ask(path)
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nothing notifies of it
        await asyncio.sleep(0.01)


def test_slow_readers_hold_up_neither_others_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def large(request: Request) -> Response:
        async def parts() -> AsyncGenerator[bytes]:
            for _ in range(LARGE // 2**16):
                yield bytes(2**16)

        return StreamingResponse(parts())

    async def events(request: Request) -> Response:
        async def many() -> AsyncGenerator[Event]:
            while True:
                yield "line", "x" * 2**16

        return EventStream(request, many())

    async def work(here: Here) -> None:
        slow = [await here.ask(path) for path in ("/large", "/events") * 20]
        for reader, _ in slow:
            assert await reader.read(1)
        for _ in range(20):
            assert await here.status("/") == 200
            for reader, _ in slow:
                assert await reader.read(1)
        assert len(here.site.streams) == 20
        for _, writer in slow[:20]:
            writer.close()
        await until(lambda: len(here.site.streams) == 10)
        end(here.server, here.site)

    Here(tmp_path, monkeypatch, Route("/large", large), Route("/events", events)).run(work)


def test_streams_are_few_and_end_with_their_clients_and_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ones: set[int] = set()
    tell = asyncio.Event()

    async def events(request: Request) -> Response:
        async def one(number: int) -> AsyncGenerator[Event]:
            open_ones.add(number)
            try:
                yield "begun", {"number": number}
                await tell.wait()
                yield "told", "line\nbreak é"
                await asyncio.Event().wait()
            finally:
                open_ones.discard(number)

        return EventStream(request, one(id(request)))

    async def work(here: Here) -> None:
        streams = [await here.ask("/events") for _ in range(MOST_STREAMS)]
        for reader, _ in streams:
            assert b"200" in await reader.readline()
            await reader.readuntil(b'event: begun\ndata: {"number": ')
        assert len(here.site.streams) == len(open_ones) == MOST_STREAMS
        assert await here.status("/events") == 503
        assert await here.status("/") == 200
        tell.set()
        for reader, _ in streams:
            await reader.readuntil('event: told\ndata: "line\\nbreak é"\n\n'.encode())
        for _, writer in streams[1:]:
            writer.close()
        await until(lambda: len(here.site.streams) == 1 and len(open_ones) == 1)
        end(here.server, here.site)
        await streams[0][0].read()  # to its end
        assert not open_ones

    Here(tmp_path, monkeypatch, Route("/events", events)).run(work)


def test_work_ends_when_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[str] = []

    async def long(request: Request) -> Response:
        states.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            states.append("ended")
        return Response()

    async def work(here: Here) -> None:
        _, writer = await here.ask("/long")
        await until(lambda: states == ["begun"])
        writer.close()
        await until(lambda: states == ["begun", "ended"])
        _, kept = await here.ask("/long")
        await until(lambda: states[2:] == ["begun"])
        assert not kept.is_closing()

    Here(tmp_path, monkeypatch, Route("/long", long)).run(work)
    assert states[2:] == ["begun", "ended"], "the end of the server ends it, too"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_500_requests_at_once_and_an_end_among_open_connections(
    tmp_path: Path, number: signal.Signals
) -> None:
    here = small_home(tmp_path)
    cli = Cli(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})
    with Server(cli, "--port", "0") as server:
        followed = server.connect("/threads/events")
        assert followed.recv(12) == b"HTTP/1.1 200"
        silent = socket.create_connection(("127.0.0.1", server.port))
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"GET / HTTP/1.1\r\nhost:")
        if number == signal.SIGINT:
            paths = ["/", *["/health/progress"] * 49] * 10
            asked = [server.connect(path) for path in paths]
            for one in asked:
                assert one.recv(12) == b"HTTP/1.1 200"
        assert server.get("/").status == 200
        assert server.end(number)[0] == 0
        assert b"retry" in followed.makefile("rb").read()
        for one in (followed, silent, half, *(asked if number == signal.SIGINT else ())):
            one.close()


def test_what_is_no_request_gets_no_answer_of_ours(tmp_path: Path) -> None:
    here = small_home(tmp_path)
    cli = Cli(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})
    wrong: tuple[Any, ...] = (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"GET http://evil.test/ HTTP/1.1\r\nhost: evil.test\r\n\r\n",
        b"\r\n" * 100,
    )
    with Server(cli, "--port", "0") as server:
        for data in wrong:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.settimeout(PATIENCE_S)
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: client.recv(2**16), b""))
                assert b" 200 " not in answer
                assert b"prompt" not in answer
        assert server.get("/").status == 200
        status, said = server.end()
        assert (status, said) == (0, "Only you can open this address. Ctrl-C ends it.\n")


def test_the_head_of_a_stream_is_no_stream(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here) as client:
            answer = await client.head("/threads/events")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert not client.site.streams

    asyncio.run(look())
