"""How lines come from clients and go to them: standard input and output, and sockets."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from cli.server.messages import PARSE_ERROR, Fault, failure
from cli.server.service import Service
from cli.server.session import Session

LONGEST_MESSAGE: Final = 64 * 2**20
"""Bytes of one message."""
_CHUNK_BYTES: Final = 64 * 1024
_AHEAD: Final = 64
"""Lines that are read before they are come to."""


async def serve_stdio(service: Service) -> None:
    """Serve the one client on standard input and output, until the input ends.

    From now on file descriptor 1 leads to standard error: nothing that is printed can get between
    the messages.
    """
    outgoing = os.dup(1)
    os.dup2(2, 1)
    # A thread of its own: what a client does not read holds up nobody else.
    with ThreadPoolExecutor(1, "stdout") as pool:

        async def write(data: bytes) -> None:
            await asyncio.get_running_loop().run_in_executor(pool, _write_all, outgoing, data)

        session = Session(service, write)
        await session.serve(_stdin_lines())


async def _stdin_lines() -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed: the program ends
            with open(0, "rb", closefd=False) as file:
                while line := file.readline(LONGEST_MESSAGE):
                    asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()

    # A daemon: nothing ends its waiting for input when the program is told to end.
    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


async def serve_socket(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve a client on a socket, until either side ends it."""

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def lines() -> AsyncGenerator[bytes]:
        rest = bytearray()
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                rest += chunk
                if b"\n" in chunk:
                    *whole, last = rest.split(b"\n")
                    rest = bytearray(last)
                    for line in whole:
                        yield bytes(line)
                if len(rest) > LONGEST_MESSAGE:
                    text = f"Parse error: a message is longer than {LONGEST_MESSAGE} bytes"
                    await write(failure(None, Fault(PARSE_ERROR, text, "parse_error")))
                    return
        if rest:
            yield bytes(rest)

    try:
        await Session(service, write).serve(lines())
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
