"""``threadkeep browse``."""

import typer

from cli import errors
from cli.arguments.options import locations


def command(context: typer.Context) -> int:
    """Find a thread in a list with a preview, read it, and go on with it in Codex."""
    from cli.browse.run import browse

    browse(locations(context))
    return errors.OK
