"""What a list or a search leaves out, for people."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.terminal.cells import fitted
from cli.terminal.text import one_line, plural
from rollout.files.access import is_there
from rollout.files.layout import ROOTS, SESSIONS

if TYPE_CHECKING:
    from state.jobs.progress import Away
    from state.query.model import Hidden
    from state.query.nearby import Nearby

_SHOWN_SIMILAR: Final = 5
"""Models, branches and tags that are named."""
_SHOWN_AWAY: Final = 3
"""Files and folders that are named in one line."""


def no_threads(
    home: Path, *, empty: bool, complete: bool, fleet: bool = False, machine: str | None = None
) -> str:
    """Why no thread is shown: ``home``, the ``fleet`` or what a ``machine`` has there is empty, or
    none matches; or nobody can tell yet, as what there is may be not ``complete``."""
    if empty and machine is not None:
        return f"Machine {one_line(machine)} has no threads in the fleet."
    if empty and fleet:
        return "No threads in the fleet yet: threadkeep push sends those of a machine."
    if empty and not complete:
        return "No threads so far."
    return empty_home(home) if empty else "No threads match."


def elsewhere(nearby: "Nearby | None") -> str:
    """Where threads are, as a list has none, and how to see them; empty if nowhere near."""
    if nearby is None:
        return ""
    here = shlex.quote(nearby.folder)
    hints = []
    for what, values in nearby.similar.items():
        more = ", …" if len(values) > _SHOWN_SIMILAR else ""
        hints.append(f"Similar {what}: {', '.join(values[:_SHOWN_SIMILAR])}{more}")
    if nearby.below:
        hints.append(f"Its subfolders have {plural(nearby.below, 'thread')}: --cwd {here}")
    elif nearby.above:
        above, count = nearby.above
        hints.append(
            f"{above} and its subfolders have {plural(count, 'thread')}: --cwd {shlex.quote(above)}"
        )
    for gone in nearby.gone:
        hints.append(
            f"{gone} is gone and has threads. If it is here now: threadkeep relink"
            f" {shlex.quote(gone)} {here}"
        )
    return "".join(f"\n  {one_line(hint)}" for hint in hints)


def empty_home(home: Path) -> str:
    """That there are no threads in ``home``, and what to do if it is no home at all."""
    if any(_may_exist(home / root) for root in ROOTS):
        return f"No threads here yet: {one_line(str(home))}"
    return (
        f"No threads here: {one_line(str(home))} has no folder {SESSIONS}.\n"
        "  If it is not your Codex home, name that with --home or CODEX_HOME."
    )


def _may_exist(path: Path) -> bool:
    try:
        return is_there(path)
    except OSError:
        return True  # nobody can tell


def inaccessible(away: "Sequence[Away]") -> str:
    """Which files and folders cannot be accessed, in one line; empty if there are none."""
    if not away:
        return ""
    shown = "; ".join(one_line(f"{path} {reason}") for path, reason in away[:_SHOWN_AWAY])
    more = f"; and {len(away) - _SHOWN_AWAY:,} more" if len(away) > _SHOWN_AWAY else ""
    return f"{shown}{more}. Threads there stay in the index as they were."


def not_shown(hidden: "Hidden", most: int | None = None) -> str:
    """How many threads were left out, and which option shows them; empty if none were. Beyond
    ``most`` none were counted."""
    parts = [
        f"{up_to(count, most)} {what}"
        for count, what in (
            (hidden.source, "not interactive (--all-sources)"),
            (hidden.attached, f"side thread{'s' * (hidden.attached != 1)} (--all-sources)"),
            (hidden.archived, "archived (--archived)"),
            (hidden.empty, "empty"),
            (hidden.unreadable, "unreadable (threadkeep status)"),
        )
        if count
    ]
    return f"Not shown: {', '.join(parts)}." if parts else ""


def footer(notes: Iterable[str], width: int | None) -> list[str]:
    """What is said around a list, without what is empty, wrapped for a terminal of that width."""
    return [fitted(note, width) for note in notes if note]


def lines_of(footer: Sequence[str]) -> int:
    """How many lines a footer takes."""
    return sum(text.count("\n") + 1 for text in footer)


def showing(shown: int, listed: int, most: int | None = None) -> str:
    """How much of a list that has more is shown, and how to see the rest. Beyond ``most`` threads
    are not counted."""
    return f"Showing {shown:,} of {up_to(listed, most)}. Use --limit N or --all to see more."


def up_to(count: int, most: int | None) -> str:
    """A number that may not have been counted to its end."""
    return f"{count:,}" if most is None or count <= most else f"more than {most:,}"
