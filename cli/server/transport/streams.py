"""Clients on standard input and output, and on sockets."""

import asyncio
import os
import select
import socket
import stat
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Final

from cli.server.core.service import Service
from cli.server.protocol.messages import PARSE_ERROR, RpcError, failure
from cli.server.transport.session import Session, Write

MAX_MESSAGE_BYTES: Final = 64 * 2**20
"""The longest message of a client, in bytes."""
_CHUNK_BYTES: Final = 64 * 1024


async def serve_stdio(service: Service) -> None:
    """Serve the one client on standard input and output, until the input ends.

    From then on file descriptor 1 leads to standard error, so that nothing printed can get between
    the messages.
    """
    outgoing = os.dup(1)
    os.dup2(2, 1)
    write = _stdout_writer(outgoing)
    await Session(service, write, gone(outgoing)).serve(_lines(_input(0), write))


async def serve_socket(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve a client on a socket, until either side closes it."""

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def chunks() -> AsyncGenerator[bytes]:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                yield chunk

    left = gone(writer.get_extra_info("socket").fileno())

    def is_gone() -> bool:  # after closing, the descriptor may belong to another client
        return writer.is_closing() or left()

    try:
        await Session(service, write, is_gone).serve(_lines(chunks(), write))
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def gone(descriptor: int, *, ends: bool = False) -> Callable[[], bool]:
    """A function that tells whether the other side of a descriptor is closed for reading. With
    ``ends`` a client that sends no more counts as one that reads no more."""
    poll = select.poll()
    # POLLERR and POLLHUP are always reported; only Linux has POLLRDHUP.
    poll.register(descriptor, select.POLLRDHUP if ends and sys.platform == "linux" else 0)
    return lambda: bool(poll.poll(0))


async def _lines(chunks: AsyncIterable[bytes], write: Write) -> AsyncGenerator[bytes]:
    """Split chunks into lines. One that is too long is refused and skipped."""
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
    """Read a descriptor when it has data: it stays blocking, as it may be shared."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()

    def note() -> None:
        loop.remove_reader(descriptor)
        ready.set()

    while True:
        try:
            loop.add_reader(descriptor, note)
        except PermissionError:  # a file: it can always be read
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


def _stdout_writer(descriptor: int) -> Write:
    """A function that writes to a descriptor: what it takes at once, at once, and the rest in a
    thread of its own.

    The descriptor stays blocking, as it may be shared. A client that does not read blocks the
    thread alone, and a daemon thread does not hold up the end of the process.
    """
    write_at_once = _nonblocking_write(descriptor)
    queue: SimpleQueue[tuple[memoryview, Future[None]]] = SimpleQueue()
    pending: set[Future[None]] = set()

    def work() -> None:
        while True:
            rest, written = queue.get()
            if not written.set_running_or_notify_cancel():
                continue
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError as error:
                written.set_exception(error)
            else:
                written.set_result(None)

    threading.Thread(target=work, daemon=True).start()

    async def write(data: bytes) -> None:
        rest = memoryview(data)
        if write_at_once and not pending:  # else it would overtake what the thread still writes
            with suppress(BlockingIOError):
                while rest:
                    rest = rest[write_at_once(rest) :]
        if rest:
            written: Future[None] = Future()
            pending.add(written)
            written.add_done_callback(pending.discard)
            queue.put((rest, written))
            await asyncio.wrap_future(written)

    return write


def _nonblocking_write(descriptor: int) -> Callable[[memoryview], int] | None:
    """A function that writes as much as a socket or pipe takes without waiting. None if the
    descriptor itself would have to be made non-blocking for that."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        client = socket.socket(fileno=os.dup(descriptor))
        return lambda data: client.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode) and sys.platform == "linux":
        with suppress(OSError):  # no /proc, or nobody reads any more
            # Opened again, Linux's pipe gets flags that nobody else shares.
            again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
            return partial(os.write, again)
    return None
