"""Whether work in a thread is still wanted: no thread can be ended from outside, so what reads
much asks here now and then."""

import threading
from contextvars import ContextVar
from typing import Final

STOP: Final[ContextVar[threading.Event | None]] = ContextVar("STOP", default=None)
"""Set when nobody waits for the work of this thread any more."""


class Cancelled(BaseException):
    """Nobody waits for this work any more. Not an Exception, so that nobody handles it as one."""


def is_cancelled() -> bool:
    """Whether nobody waits for the work of this thread any more."""
    stop = STOP.get()
    return stop is not None and stop.is_set()


def check_cancelled() -> None:
    """Continue. Raises Cancelled if nobody waits for this work any more."""
    if is_cancelled():
        raise Cancelled
