"""What a list or a search leaves out, for people."""

from typing import TYPE_CHECKING

from cli.terminal import output

if TYPE_CHECKING:
    from state.query.model import Hidden


def no_threads(*, empty: bool) -> str:
    """Why no thread is shown: the home is ``empty``, or none matches."""
    return "No threads here yet." if empty else "No threads match."


def report_hidden(hidden: "Hidden") -> None:
    """Say how many threads were left out, and which option shows them."""
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (hidden.source, "not interactive (--all-sources)"),
            (hidden.attached, "side threads (--all-sources)"),
            (hidden.archived, "archived (--archived)"),
            (hidden.empty, "without messages"),
            (hidden.unreadable, "unreadable (threadkeep status)"),
        )
        if count
    ]
    if parts:
        output.say(f"Hidden: {', '.join(parts)}.")
