"""``threadkeep pin``."""

import typer

from cli.arguments.filters import Selection, takes_selection
from cli.arguments.options import ArchivedOption, locations


@takes_selection
def command(
    context: typer.Context, archived: ArchivedOption = False, *, selection: Selection
) -> int:
    """Pin threads, here and in Codex."""
    from cli.edit.marks import mark
    from state.userdata.marks import ON, PINNED

    here, changes = locations(context), {PINNED: ON}
    return mark(here, "pin", selection, changes, lambda _: "pinned", archived=archived)
