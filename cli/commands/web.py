"""``threadkeep web``."""

import gc
import os
import socket
import sys
import threading
from typing import Annotated, Final

import typer

from cli import errors
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.arguments.listening import TOKEN, PortTaken, listening_socket, own_token
from cli.later import later
from cli.runtime.serving.seen import check_seen
from cli.terminal import output
from rollout.files.scan import check_codex_home

PORT: Final = 7447
_NEXT_PORTS: Final = 20
_NOT_CALLED: Final = ("uvicorn.main",)
"""Its command line, which it imports with a second copy of click."""


@takes_fleet
def command(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help=f"The port to listen on; 0 for any free one. [default: {PORT}, or the next free"
            " one]",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help=f"The address to listen on. One that other machines reach needs {TOKEN}.",
        ),
    ] = "127.0.0.1",
    opens: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the address in a browser.")
    ] = True,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes/--read-only", help="Let pages rename, tag, pin and archive threads."
        ),
    ] = False,
    *,
    fleet: FleetOptions,
) -> int:
    """Read threads in a browser, until Ctrl-C."""
    here = fleet.locations(context)
    check_seen(here)
    if here.fleet is None:
        check_codex_home(here.home)
    elif allow_changes:
        raise typer.BadParameter(
            "--allow-changes: a fleet is only read\nleave it out: machines change their threads"
        )
    else:  # a fleet that is away may come back, and a driver does not
        from state.fleet.server.failures import check_driver

        check_driver()
    token = _token(host)
    with _listening(host, port) as listening:
        gc.disable()  # modules are no garbage, and looking for some takes a tenth of the time
        # Loaded now, so that the address is there before the server is.
        from cli.web.security import Access

        access = Access(listening.getsockname()[1], host=host, allow_changes=allow_changes)
        if token:
            access = Access(access.port, token, host, allow_changes)
        address = f"http://{_shown(host)}:{access.port}/?token={access.token}"
        output.line(address)
        output.flush()
        output.say("Only you can open this address. Ctrl-C ends it.")
        if opens and _has_display():
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        with later(_NOT_CALLED):
            from cli.web.serve import serve

        serve(here, access, listening)
    return errors.OK


def _token(host: str) -> str:
    """The token of the user, if there is one. Raises typer.BadParameter if there has to be, or if
    it can be guessed."""
    from cli.web.security import is_loopback

    token = own_token()
    if not token and not is_loopback(host):
        raise typer.BadParameter(
            f"--host: other machines can reach {host}\nset {TOKEN} to a long secret, or use"
            " 127.0.0.1"
        )
    return token


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens. Raises typer.BadParameter if there can be none."""
    if port is not None:
        return listening_socket(host, port)
    for number in range(PORT, PORT + _NEXT_PORTS):
        try:
            return listening_socket(host, number)
        except PortTaken:
            continue
    return listening_socket(host, 0)


def _shown(host: str) -> str:
    """What a browser on this machine takes for the host."""
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{named}]" if ":" in named and not named.startswith("[") else named


def _has_display() -> bool:
    """Whether a browser of this machine can show something to the user."""
    if os.environ.get("BROWSER"):
        return True
    if "SSH_CONNECTION" in os.environ or "SSH_TTY" in os.environ:
        return False
    shows = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
    return sys.platform == "darwin" or any(map(os.environ.get, shows))


def _open(address: str) -> None:
    import webbrowser

    try:
        opened = webbrowser.open(address)
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        output.say("No browser could be started: open the address above in yours.")
