"""``threadkeep mcp``."""

import asyncio
import errno
import os
import secrets
import socket
from typing import Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import SyncOption, locations

PORT: Final = 7448
_HOST: Final = "127.0.0.1"
_TOKEN: Final = "THREADKEEP_TOKEN"
_SHORTEST_TOKEN: Final = 16


def command(
    context: typer.Context,
    http: Annotated[
        bool, typer.Option("--http", help="Serve on a port of this machine, for many clients.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help=f"The port for --http; 0 for any free one. [default: {PORT}]",
            show_default=False,
        ),
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact/--no-redact", help="Take secrets out of all answers.")
    ] = True,
    sync: SyncOption = True,
) -> int:
    """Serve read-only tools for agents over MCP, until the input ends."""
    here = locations(context)
    if http:
        _serve_http(here, PORT if port is None else port, redact=redact, sync=sync)
        return errors.OK
    if port is not None:
        raise typer.BadParameter("--port is the port for --http\nadd --http, or leave it out")
    from cli.mcp.transport.light_import import light_import

    def make(stdio: Any) -> Any:
        return stdio.StdioServer(here, redact=redact, sync=sync)

    asyncio.run(light_import("cli.mcp.transport.stdio", make).serve())
    return errors.OK


def _serve_http(here: Locations, port: int, *, redact: bool, sync: bool) -> None:
    token = _token()
    with _listening(port) as listening:
        from cli.mcp.transport.over_http import serve_http

        asyncio.run(serve_http(here, listening, token, redact=redact, sync=sync))


def _token() -> str:
    """The token of the user, or a new one. Raises typer.BadParameter if it can be guessed."""
    token = os.environ.get(_TOKEN, "")
    if token and not (len(token) >= _SHORTEST_TOKEN and token.isascii() and token.isalnum()):
        raise typer.BadParameter(
            f"{_TOKEN} can be guessed, or has other characters than letters and digits\ngive it"
            f" {_SHORTEST_TOKEN} letters and digits or more: openssl rand -hex 32"
        )
    return token or secrets.token_urlsafe(32)


def _listening(port: int) -> socket.socket:
    """A socket that listens on this machine alone. Raises typer.BadParameter if it cannot."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            text = f"--port: another program listens on {port}\nchoose another: --port 0"
            raise typer.BadParameter(text) from None
        if error.errno == errno.EACCES:
            text = f"--port: {port} is not for users\nchoose one from 1024 on"
            raise typer.BadParameter(text) from None
        raise
    return listening
