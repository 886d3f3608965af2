"""How lines come from clients and go to them: standard input and output, and sockets."""

import asyncio
import fcntl
import os
import select
import socket
import stat
import sys
import termios
from array import array
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import suppress
from typing import Final

from cli.server.core.service import Service
from cli.server.protocol.messages import PARSE_ERROR, RpcError, failure
from cli.server.transport.session import Session, Write

MAX_MESSAGE_BYTES: Final = 64 * 2**20
"""Bytes of one message."""
_CHUNK_BYTES: Final = 64 * 1024


async def serve_stdio(service: Service) -> None:
    """Serve the one client on standard input and output, until the input ends.

    From now on file descriptor 1 leads to standard error: nothing that is printed can get between
    the messages.
    """
    outgoing = os.dup(1)
    os.dup2(2, 1)
    put = _without_waiting(outgoing)

    async def write(data: bytes) -> None:
        rest = put(memoryview(data))
        while rest:
            await _writable(outgoing)
            rest = put(rest)

    await Session(service, write, gone(outgoing)).serve(_lines(_input(0), write))


async def serve_socket(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve a client on a socket, until either side ends it."""

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def chunks() -> AsyncGenerator[bytes]:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                yield chunk

    left = gone(writer.get_extra_info("socket").fileno())

    def is_gone() -> bool:  # once the writer is closed the descriptor may be another client's
        return writer.is_closing() or left()

    try:
        await Session(service, write, is_gone).serve(_lines(chunks(), write))
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def gone(descriptor: int, *, ends: bool = False) -> Callable[[], bool]:
    """Gives what tells whether nobody can read any more what is written to a descriptor. ``ends``:
    a client that sends no more reads no more, either."""
    poll = select.poll()
    # Errors and the end of both sides are always told; only Linux tells that of the other one.
    poll.register(descriptor, select.POLLRDHUP if ends and sys.platform == "linux" else 0)
    return lambda: bool(poll.poll(0))


async def _lines(chunks: AsyncIterable[bytes], write: Write) -> AsyncGenerator[bytes]:
    """The lines in what comes. One that is too long is refused, and passed over."""
    rest = bytearray()
    dropping = False
    async for chunk in chunks:
        *ended, last = chunk.split(b"\n")
        for piece in ended:
            line, rest = bytes(rest + piece), bytearray()
            if dropping:
                dropping = False
            else:
                yield line
        if not dropping:
            rest += last
        if len(rest) > MAX_MESSAGE_BYTES:
            text = f"Parse error: a message is longer than {MAX_MESSAGE_BYTES} bytes"
            await write(failure(None, RpcError(PARSE_ERROR, text, "parse_error")))
            rest, dropping = bytearray(), True
    if rest:
        yield bytes(rest)


async def _input(descriptor: int) -> AsyncGenerator[bytes]:
    """What comes on a descriptor, as it comes. It is read when there is something only: it may be
    shared with others, whom it must go on blocking."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()

    def note() -> None:
        loop.remove_reader(descriptor)
        ready.set()

    while True:
        try:
            loop.add_reader(descriptor, note)
        except PermissionError:  # a file: there is always something, or its end
            await asyncio.sleep(0)
        else:
            try:
                await ready.wait()
            finally:
                loop.remove_reader(descriptor)
            ready.clear()
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _writable(descriptor: int) -> None:
    """Wait until something can be written to a descriptor."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)


def _without_waiting(descriptor: int) -> Callable[[memoryview], memoryview]:
    """Gives a function that writes as much as nobody has to wait for, and returns the rest.

    The descriptor stays blocking, as it may be shared.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        client = socket.socket(fileno=os.dup(descriptor))

        def send(data: memoryview) -> memoryview:
            with suppress(BlockingIOError):
                while data:
                    data = data[client.send(data, socket.MSG_DONTWAIT) :]
            return data

        return send
    if not stat.S_ISFIFO(mode):  # a file, or a terminal: nobody who would be waited for long

        def write(data: memoryview) -> memoryview:
            return data[os.write(descriptor, data) :]

        return write
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # Only Linux tells; elsewhere what POSIX promises has to do.
    whole = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) if sys.platform == "linux" else 0

    def room() -> int:
        """How many bytes can be written for sure: an empty pipe takes all that it holds, another
        one this much if it takes anything."""
        if whole and not _unread(descriptor):
            return whole
        return select.PIPE_BUF if poll.poll(0) else 0

    def put(data: memoryview) -> memoryview:
        while data and (free := room()):
            data = data[os.write(descriptor, data[:free]) :]
        return data

    return put


def _unread(pipe: int) -> int:
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]
