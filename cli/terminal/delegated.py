"""The context of a command that a server runs for another process."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from rollout.files.cancellation import check_cancelled

_MOST_KEPT = 4 * 2**20


class TooMuchOutput(Exception):
    """The command prints more than a server keeps."""


@dataclass(slots=True, eq=False, repr=False)
class Delegated:
    """Takes what the command prints, and gives it the server's index."""

    on_index: Callable[[Callable[[Any], Awaitable[Any]]], Any]
    """Does work on the open index, in the server's event loop, and returns its result."""
    terminal: bool
    """Whether the client prints to a terminal."""
    columns: int
    lines: int
    """How high the client's terminal is."""
    environment: Mapping[str, str]
    """The variables that describe the client's terminal, such as ``NO_COLOR``."""
    out: bytearray = field(default_factory=bytearray)
    messages: list[str] = field(default_factory=list)

    def write(self, content: bytes) -> None:
        """Take some of the output. Raises Cancelled if the client is gone, and TooMuchOutput if it
        is too much to keep."""
        check_cancelled()
        if len(self.out) + len(content) > _MOST_KEPT:
            raise TooMuchOutput
        self.out += content


DELEGATED: ContextVar[Delegated | None] = ContextVar("DELEGATED", default=None)
"""Set while a server runs a command; None where a command runs in its own process."""
