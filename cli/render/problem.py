"""An error for people: what is wrong, what it is about, and what to do."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from cli.errors import outcome
from cli.terminal import output
from cli.terminal.text import one_line, plural
from state.errors import AmbiguousThread

if TYPE_CHECKING:
    from rollout.errors import RolloutError
    from state.errors import StateError
    from state.query.rows import Row

MOST_CANDIDATES: Final = 10
"""Of the threads that may be meant, so many are shown."""
_INDENT: Final = "  "


def problem(error: "StateError | RolloutError", command: str | None = None) -> str:
    """The lines that report an error of ``command``."""
    hint = outcome(error, command).hint
    if not isinstance(error, AmbiguousThread) or not error.rows:
        return f"threadkeep: {one_line(str(error))}\n{_INDENT}{hint}"
    lines = candidate_lines(error.rows, error.short_ids, len(_INDENT))
    if (more := len(error.rows) - MOST_CANDIDATES) > 0:
        lines.append(f"and {plural(more, 'other')}")
    if not error.by_id:
        first = error.rows[0]["id"]
        hint = f"give the id of one: threadkeep {command or 'show'} {error.short_ids[first]}"
    return f"\n{_INDENT}".join((f"threadkeep: {one_line(error.summary)}", *lines, hint))


def candidate_lines(rows: "Sequence[Row]", short_ids: Mapping[str, str], taken: int) -> list[str]:
    """A table of the first of ``rows`` for stderr, each line with ``taken`` cells before it."""
    from cli.render.threads import ThreadTable
    from cli.terminal.style import unstyled

    shown = ThreadTable(columns=("id", "age", "thread", "folder"), short_ids=short_ids)
    lines = shown.lines(rows[:MOST_CANDIDATES], output.width() - taken)
    return [line if sys.stderr.isatty() else unstyled(line) for line in lines]
