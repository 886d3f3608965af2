"""``threadkeep mcp``."""

import asyncio
from typing import Annotated

import typer

from cli import errors
from cli.arguments.options import SyncOption, locations


def command(
    context: typer.Context,
    redact: Annotated[
        bool, typer.Option("--redact/--no-redact", help="Take secrets out of all answers.")
    ] = True,
    sync: SyncOption = True,
) -> int:
    """Serve read-only tools for agents over the Model Context Protocol, until the input ends."""
    from cli.mcp.stdio import serve_stdio

    asyncio.run(serve_stdio(locations(context), redact=redact, sync=sync))
    return errors.OK
