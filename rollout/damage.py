"""What ends a rollout before its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, NamedTuple

READ_ALL: Final[ContextVar[bool]] = ContextVar("READ_ALL", default=False)
"""Whether somebody asked for all of a compressed rollout, however far it expands."""


@contextmanager
def however_far(wanted: bool) -> Iterator[None]:
    """Read all of each compressed rollout meanwhile, if that is ``wanted``."""
    before = READ_ALL.set(wanted)
    try:
        yield
    finally:
        READ_ALL.reset(before)


class Damage(NamedTuple):
    """Where the content of a compressed rollout breaks off: nothing behind it can be read."""

    path: Path
    offset: int
    """How much content came before it, in bytes."""
    reason: str
    endless: bool = False
    """Whether that is only because it expands too far: :func:`however_far` reads on."""
