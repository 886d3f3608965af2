"""``threadkeep mark``."""

from typing import Annotated, Final

import typer

from cli.arguments.filters import Selection, takes_selection
from cli.arguments.options import ArchivedOption, locations

NONE: Final = "none"
"""What takes a status back."""


@takes_selection
def command(
    context: typer.Context,
    word: Annotated[
        str,
        typer.Argument(
            metavar="STATUS", help="todo, doing, waiting, done, or none.", show_default=False
        ),
    ],
    archived: ArchivedOption = False,
    *,
    selection: Selection,
) -> int:
    """Give threads a status, or take it back."""
    from cli.edit.marks import mark
    from state.userdata.marks import STATUS, STATUSES

    known = (*STATUSES, NONE)
    if word not in known:
        what = ", ".join(known)
        raise typer.BadParameter(f"{word!r} is not a status\ngive one of {what}, then the threads")
    here, changes = locations(context), {STATUS: None if word == NONE else word}
    return mark(
        here, "mark", selection, changes, lambda marks: marks.status or NONE, archived=archived
    )
