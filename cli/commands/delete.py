"""``threadkeep delete``."""

from typing import Annotated

import typer

from cli.arguments.filters import Selection, takes_selection
from cli.arguments.options import ArchivedOption, locations


@takes_selection
def command(
    context: typer.Context,
    archived: ArchivedOption = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove them permanently instead.")
    ] = False,
    *,
    selection: Selection,
) -> int:
    """Move threads, and the threads they spawned, into the trash of the home."""
    from cli.edit.moves import move
    from state.edit.move_plan import Action

    action = Action.PURGE if purge else Action.DELETE
    return move(locations(context), action, selection, archived=archived)
