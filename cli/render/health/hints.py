"""What to do about something, as a sentence and the commands in it."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_COMMAND: Final = re.compile(
    r"threadkeep(?: [a-z][a-z-]*)(?: --[a-z][a-z-]*)*"
    r"(?: [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?"
    r"|(?:sudo|ulimit|pip|pipx|uv) [^;,]+"
)
_OURS: Final = "threadkeep "


class Piece(NamedTuple):
    """A part of a hint."""

    text: str
    runs: bool
    """Whether it is a command to run."""


def pieces(hint: str, options: str = "") -> Iterator[Piece]:
    """The parts of a hint; commands of ours have ``options``."""
    end = 0
    for found in _COMMAND.finditer(hint):
        if found.start() > end:
            yield Piece(hint[end : found.start()], False)
        text, end = found[0], found.end()
        if options and text.startswith(_OURS):
            text = f"{_OURS}{options} {text.removeprefix(_OURS)}"
        yield Piece(text, True)
    if end < len(hint):
        yield Piece(hint[end:], False)
