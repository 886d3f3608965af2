"""``threadkeep unpin``."""

import typer

from cli.arguments.filters import Selection, takes_selection
from cli.arguments.options import ArchivedOption, locations


@takes_selection
def command(
    context: typer.Context, archived: ArchivedOption = False, *, selection: Selection
) -> int:
    """Take the pin from threads, here and in Codex."""
    from cli.edit.marks import mark
    from state.userdata.marks import PINNED

    here, changes = locations(context), {PINNED: None}
    return mark(here, "unpin", selection, changes, lambda _: "not pinned", archived=archived)
