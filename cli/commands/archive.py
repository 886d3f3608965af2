"""``threadkeep archive``."""

import typer

from cli.arguments.filters import Selection, takes_selection
from cli.arguments.options import locations


@takes_selection
def command(context: typer.Context, *, selection: Selection) -> int:
    """Move threads, and the threads they spawned, into the archive."""
    from cli.edit.moves import move
    from state.edit.move_plan import Action

    return move(locations(context), Action.ARCHIVE, selection)
