"""Where a server listens, and the token that its clients need."""

import errno
import os
import socket
from typing import Final

import typer

TOKEN: Final = "THREADKEEP_TOKEN"
"""The variable of the environment with the user's own token: options are seen by others."""
_SHORTEST_TOKEN: Final = 16
_WAITING: Final = 1024
"""Clients that may wait for a connection. The system refuses more."""


class PortTaken(typer.BadParameter):
    """Another program listens there."""


def own_token() -> str:
    """The token of the user; empty if there is none. Raises typer.BadParameter if it can be
    guessed."""
    token = os.environ.get(TOKEN, "")
    if token and not (len(token) >= _SHORTEST_TOKEN and token.isascii() and token.isalnum()):
        raise typer.BadParameter(
            f"{TOKEN} can be guessed, or has other characters than letters and digits\ngive it"
            f" {_SHORTEST_TOKEN} letters and digits or more: openssl rand -hex 32"
        )
    return token


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises PortTaken if another program listens there, and
    typer.BadParameter if there can be none."""
    nowhere = f"--host: {host!r} is no address of this machine\nuse 127.0.0.1"
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise typer.BadParameter(nowhere) from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(_WAITING)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            text = f"--port: another program listens on {port}\nchoose another: --port 0"
            raise PortTaken(text) from None
        if error.errno == errno.EACCES:
            text = f"--port: {port} is not for users\nchoose one from 1024 on"
            raise typer.BadParameter(text) from None
        raise typer.BadParameter(nowhere) from None
    return listening
