"""``threadkeep mcp``."""

import asyncio
import secrets
from typing import Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.arguments.listening import listening_socket, own_token
from cli.arguments.locations import Locations
from cli.runtime.serving.seen import check_seen

PORT: Final = 7448
_HOST: Final = "127.0.0.1"


@takes_fleet
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
    sync: Annotated[
        bool,
        typer.Option(
            "--sync/--no-sync", help="Keep the index in step; without that, nothing is written."
        ),
    ] = True,
    *,
    fleet: FleetOptions,
) -> int:
    """Serve read-only tools for agents over MCP, until the input ends."""
    here = fleet.locations(context)
    check_seen(here)
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
    token = own_token() or secrets.token_urlsafe(32)
    with listening_socket(_HOST, port) as listening:
        from cli.mcp.transport.over_http import serve_http

        asyncio.run(serve_http(here, listening, token, redact=redact, sync=sync))
