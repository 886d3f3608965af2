"""``threadkeep mcp``."""

import asyncio
from typing import Annotated, Any

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
    from cli.mcp.light_import import light_import

    here = locations(context)

    def make(stdio: Any) -> Any:
        return stdio.StdioServer(here, redact=redact, sync=sync)

    asyncio.run(light_import("cli.mcp.stdio", make).serve())
    return errors.OK
