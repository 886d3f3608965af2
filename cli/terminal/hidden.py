"""What a list or a search leaves out, for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cli.terminal import output
from cli.terminal.text import one_line

if TYPE_CHECKING:
    from state.jobs.progress import Away
    from state.query.model import Hidden

_SHOWN_AWAY: Final = 3
"""Files and folders that are named in one line."""


def no_threads(*, empty: bool) -> str:
    """Why no thread is shown: the home is ``empty``, or none matches."""
    return "No threads here yet." if empty else "No threads match."


def inaccessible(away: "Sequence[Away]") -> str:
    """Which files and folders cannot be accessed, in one line; empty if there are none."""
    if not away:
        return ""
    shown = "; ".join(one_line(f"{path} {reason}") for path, reason in away[:_SHOWN_AWAY])
    more = f"; and {len(away) - _SHOWN_AWAY:,} more" if len(away) > _SHOWN_AWAY else ""
    return f"{shown}{more}. Threads there stay in the index as they were."


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
