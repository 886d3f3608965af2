"""Whether work in a thread is still wanted: whoever waits for it may have gone.

What reads much looks here now and then: no thread can be ended from outside.
"""

import threading
from contextvars import ContextVar
from typing import Final

STOP: Final[ContextVar[threading.Event | None]] = ContextVar("STOP", default=None)
"""Set when the work of this thread is not wanted any more."""


class NotWanted(BaseException):
    """Nobody waits for this work any more. No fault, so that nobody handles it as one."""


def is_wanted() -> bool:
    """Whether somebody still waits for the work of this thread."""
    stop = STOP.get()
    return stop is None or not stop.is_set()


def check_wanted() -> None:
    """Go on.

    Raises:
        NotWanted: nobody waits for this work any more.
    """
    if not is_wanted():
        raise NotWanted
