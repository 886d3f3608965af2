"""Serving many clients over HTTP on this machine, each of which has a token."""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from uvicorn.server import Server

from cli.arguments.locations import Locations
from cli.mcp.server import make_server
from cli.mcp.transport.ending import end_soon, signalled, until
from cli.runtime.serving.http_server import http_server
from cli.runtime.serving.kept_index import KeptIndex, use_one_arena
from cli.terminal import output

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_PATH: Final = "/mcp"
_MOST_SESSIONS: Final = 100
_MOST_BODY_BYTES: Final = 256 * 1024


class Guard:
    """Lets requests through to ``app`` that bring the token and mean this server: a page of another
    site can have a browser ask for it, also by a name of its own (DNS rebinding)."""

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app = app
        self._token = f"bearer {token}".encode()
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refused(scope) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, *refused)

    def _refused(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host not in self._hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, "this address leads here by another name"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            return HTTPStatus.FORBIDDEN, "another site asked for this"
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not secrets.compare_digest(scheme.lower() + b" " + token.strip(), self._token):
            text = "the header is missing that was printed at the start: Authorization: Bearer"
            return HTTPStatus.UNAUTHORIZED, text
        return None


async def serve_http(
    here: Locations, listening: socket.socket, token: str, *, redact: bool, sync: bool
) -> None:
    """Serve on a socket until a signal comes, and say first how a client reaches it."""
    use_one_arena()
    async with KeptIndex(here, sync=sync) as kept:
        server = uvicorn_of(kept, token, listening.getsockname()[1], redact=redact)
        event, port = signalled(), listening.getsockname()[1]
        output.say(f"http://127.0.0.1:{port}{_PATH}\nAuthorization: Bearer {token}")
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await until(event, serving)
        end_soon()
        server.should_exit = True
        await asyncio.wait({serving})


def app_of(kept: KeptIndex, token: str, port: int, *, redact: bool) -> App:
    """The ASGI application for a port, with its guard."""
    app: App = make_server(kept, redact=redact).streamable_http_app(
        streamable_http_path=_PATH,
        max_sessions=_MOST_SESSIONS,
        max_request_body_size=_MOST_BODY_BYTES,
    )
    return Guard(app, token, port)


def uvicorn_of(kept: KeptIndex, token: str, port: int, *, redact: bool) -> Server:
    """What serves the application on a socket."""
    app = app_of(kept, token, port, redact=redact)
    return http_server(app, lifespan="on")  # the sessions of clients


async def _refuse(send: Send, status: HTTPStatus, reason: str) -> None:
    body = f"threadkeep: {reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
