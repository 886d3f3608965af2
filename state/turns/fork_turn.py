"""The turn that a fork began after, from its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollout.errors import RolloutError
from rollout.history.thread import bare_if_empty, outline
from state.db.steps import Steps
from state.rollout_locator import locator
from state.turns.checkpoint import reduce_if_short


def fork_turn(path: Path, end: int, home: Path, read: Callable[[Steps[Any]], Any]) -> int | None:
    """The number of turns that the thread at ``path`` has from the one that it is a fork of, which
    are those before the ordinal ``end``. None if its history is long, or cannot be read. ``read``
    gives what steps give."""
    try:
        known = outline(path, locator(home, read))
        state = None if known.missing else reduce_if_short(known)
        if state is None:
            return None
        turns = bare_if_empty(state.with_torn_line().history).turns
    except (OSError, RolloutError):
        return None
    return sum(turn.start.ordinal < end for turn in turns)
