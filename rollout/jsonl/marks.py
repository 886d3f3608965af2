"""Find the lines of a stream that hold one of some marks, beside whatever else is read of it.

Most lines of a rollout are passed over by their first bytes; what is looked for here may be
anywhere in a line. To search a whole buffer for a few bytes costs less than to look at its lines.
"""

from collections.abc import Callable, Sequence
from typing import Final

from rollout.jsonl.parse import Line

_NEWLINE: Final = b"\n"


class MarkedLines:
    """Gives each line that has ended and holds a mark to ``take``, once and in order. A line that
    does not fit into the buffer is given without its bytes."""

    def __init__(self, marks: Sequence[bytes], take: Callable[[Line], None]) -> None:
        self._marks, self._take = marks, take
        self._longest = max(map(len, marks))
        self.begin()

    def begin(self) -> None:
        """Another stream follows, or another part of one."""
        self._marked = False  # whether the line that has not ended holds a mark
        self._tail = b""  # what the last buffer ended with

    def look(self, buffer: bytearray, base: int, line_start: int, have: int, end: int) -> None:
        """Look at ``buffer[have:end]``. The buffer is at the byte ``base``, and the line at its
        front begins at ``line_start``: before it, if that line did not fit."""
        start, newline = max(have - self._longest + 1, 0), -1
        if line_start < base and not self._marked:
            joint = self._tail + buffer[: self._longest]
            self._marked = any(mark in joint for mark in self._marks)
        if self._marked:
            newline = buffer.find(_NEWLINE, have, end)
            if newline >= 0:
                self._give(buffer, base, line_start, 0, newline)
                start = newline + 1
        if not self._marked:
            self._look_from(start, buffer, base, line_start, end)
        self._tail = bytes(buffer[max(end - self._longest + 1, 0) : end])

    def _look_from(
        self, start: int, buffer: bytearray, base: int, line_start: int, end: int
    ) -> None:
        found = [buffer.find(mark, start, end) for mark in self._marks]
        while (at := min((each for each in found if each >= 0), default=-1)) >= 0:
            newline = buffer.find(_NEWLINE, at, end)
            if newline < 0:
                self._marked = True
                return
            begin = buffer.rfind(_NEWLINE, 0, at) + 1
            self._give(buffer, base, line_start, begin, newline)
            found = [
                buffer.find(mark, newline, end) if 0 <= each < newline else each
                for mark, each in zip(self._marks, found, strict=True)
            ]

    def _give(
        self, buffer: bytearray, base: int, line_start: int, begin: int, newline: int
    ) -> None:
        self._marked = False
        if begin or line_start == base:
            self._take(Line(base + begin, bytes(buffer[begin:newline])))
        else:
            self._take(Line(line_start, b""))
