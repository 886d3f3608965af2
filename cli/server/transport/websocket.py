"""Clients on WebSockets: one message a frame."""

import ipaddress
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import typer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from cli.arguments.listening import TOKEN
from cli.server.core.service import Service
from cli.server.transport.session import Session
from cli.server.transport.streams import MAX_MESSAGE_BYTES, gone
from cli.terminal import output

_PATIENCE_S: Final = 2.0
"""How long to wait for a client's opening and closing handshake, in seconds."""


def check_address(host: str) -> None:
    """Refuse to listen on an address that others can reach, unless a token is set. Raises
    typer.BadParameter if it is not a loopback address."""
    if not os.environ.get(TOKEN) and not _is_loopback(host):
        raise typer.BadParameter(f"others can reach {host}\nset {TOKEN}, or use 127.0.0.1")


async def serve_websockets(service: Service, host: str, port: int) -> None:
    """Serve until cancelled. Raises OSError if the address cannot be used."""
    token = os.environ.get(TOKEN)

    def admitted(connection: ServerConnection, request: Request) -> Response | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        given = given if scheme.lower() == "bearer" else ""
        # Pages in a browser can connect to this machine; they send their origin.
        if request.headers.get("Origin") and not token:
            return connection.respond(HTTPStatus.FORBIDDEN, "a page in a browser needs a token\n")
        if token and not secrets.compare_digest(given.encode(), token.encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong\n")
        return None

    handler = partial(_serve_one, service)
    options: dict[str, Any] = {"process_request": admitted, "max_size": MAX_MESSAGE_BYTES}
    options["close_timeout"] = options["open_timeout"] = _PATIENCE_S
    async with serve(handler, host, port, **options) as server:
        for listening in server.sockets:
            shown = f"[{host}]" if ":" in host else host
            output.say(f"Listening on ws://{shown}:{listening.getsockname()[1]}")
        await server.serve_forever()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve_one(service: Service, connection: ServerConnection) -> None:
    async def write(data: bytes) -> None:
        for line in data.splitlines():
            await connection.send(line.decode())

    async def lines() -> AsyncGenerator[bytes]:
        with suppress(ConnectionClosed):
            async for frame in connection:
                yield frame if isinstance(frame, bytes) else frame.encode()

    left = gone(connection.transport.get_extra_info("socket").fileno(), ends=True)

    def is_gone() -> bool:
        return connection.state is not State.OPEN or left()

    await Session(service, write, is_gone).serve(lines())
