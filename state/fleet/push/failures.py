"""What to do when PostgreSQL does not take a batch."""

import random
from enum import Enum, auto
from typing import Final

_AGAIN: Final = frozenset({"40001", "40P01", "23505"})
"""Two machines have the same thread, and one of them had to give way."""
_OF_ROWS: Final = ("22", "23", "54")
"""A row that does not fit: by what the code of its error begins with."""
_HELD: Final = "55P03"
"""Another machine holds a copy of a thread, and does not let go in time."""
PATIENCE_MS: Final = 500
"""So long other threads are waited for once one was held."""
_TOO_SLOW: Final = "57014"
_TRIES: Final = 5


class Remedy(Enum):
    """What may help."""

    AGAIN = auto()
    """The same batch again."""
    PARTS = auto()
    """Smaller batches, of which only one has the row that does not fit."""
    LEAVE = auto()
    """The thread is left out, so that it does not hold up the others."""
    NONE = auto()


def remedy(error: Exception, tries: int, size: int) -> Remedy:
    """What to do after a batch of so many threads has failed so often."""
    state = getattr(error, "sqlstate", None) or ""
    if state in _AGAIN and tries < _TRIES:
        return Remedy.AGAIN
    of_one = state.startswith(_OF_ROWS) or state == _HELD
    if size > 1 and (of_one or state == _TOO_SLOW):
        return Remedy.PARTS
    return Remedy.LEAVE if of_one else Remedy.NONE


def is_held(error: Exception) -> bool:
    """Whether somebody else holds what is to be written."""
    return getattr(error, "sqlstate", None) == _HELD


def pause_s(tries: int) -> float:
    """How long to wait before a batch is sent again: longer each time, and no two alike."""
    return random.uniform(0.005, 0.01) * 4.0**tries


def reason(error: Exception) -> str:
    """What PostgreSQL says, in one line."""
    text = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())
    return f"another machine holds a copy of it ({text})" if is_held(error) else text
