"""Find the lines of a stream that hold some bytes, beside whatever else is read of it.

Most lines of a rollout are passed over by their first bytes; what is looked for here may be
anywhere in a line. To search a whole buffer for a few bytes costs less than to look at its lines.
"""

from collections.abc import Callable
from typing import Final

from rollout.jsonl.parse import Line

_NEWLINE: Final = b"\n"


class MarkedLines:
    """Gives each line that has ended and holds a mark to ``take``, once and in order. A line that
    does not fit into the buffer is given without its bytes."""

    def __init__(self, mark: bytes, take: Callable[[Line], None]) -> None:
        self._mark, self._take = mark, take
        self.begin()

    def begin(self) -> None:
        """Another stream follows, or another part of one."""
        self._marked = False  # whether the line that has not ended holds the mark
        self._tail = b""  # what the last buffer ended with

    def look(self, buffer: bytearray, base: int, line_start: int, have: int, end: int) -> None:
        """Look at ``buffer[have:end]``. The buffer is at the byte ``base``, and the line at its
        front begins at ``line_start``: before it, if that line did not fit."""
        mark, take, longest = self._mark, self._take, len(self._mark) - 1
        at = max(have - longest, 0)
        if line_start < base and not self._marked:
            self._marked = mark in self._tail + buffer[:longest]
        self._tail = bytes(buffer[max(end - longest, 0) : end])
        at = have if self._marked else buffer.find(mark, at, end)
        while at >= 0:
            newline = buffer.find(_NEWLINE, at, end)
            self._marked = newline < 0
            if self._marked:
                return
            begin = buffer.rfind(_NEWLINE, 0, newline) + 1
            if begin or line_start == base:
                take(Line(base + begin, bytes(buffer[begin:newline])))
            else:
                take(Line(line_start, b""))
            at = buffer.find(mark, newline, end)
