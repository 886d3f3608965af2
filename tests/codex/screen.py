"""A terminal for a program with a screen of its own, as far as Codex's picker needs one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

COLUMNS, ROWS = 160, 100
_WITHIN: Final = 60.0  # seconds
_QUIET: Final = 0.5
"""A screen on which nothing changes for so long is complete."""
_PARTS: Final = re.compile(
    r"\x1b\[(?P<values>[0-9;<=>?]*)(?P<end>[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[()*+].|\x1b[78=>DEHMNOZc]|(?P<text>[^\x1b])",
    re.DOTALL,
)
_ANSWERS: Final = {
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[c": b"\x1b[?62;c",
    b"\x1b]10;?": b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
}
"""What a terminal says of itself, which a program waits for."""


class Screen:
    """A program on a terminal, and what it shows there. Use it in a ``with``, which ends it."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._process, self._terminal = pty.fork()
        if not self._process:
            os.chdir(folder)
            os.execve(command[0], [*command], {**environment, "TERM": "xterm-256color"})
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self._cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self._row = self._column = 0

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self._process, 0)

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join("".join(row).rstrip() for row in self._cells).rstrip()

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def wait(self, complete: Callable[[str], bool]) -> str:
        """What is shown once it is ``complete`` and stays as it is.

        Raises:
            TimeoutError: that does not come about
        """
        ends = time.monotonic() + _WITHIN
        while time.monotonic() < ends:
            if not select.select([self._terminal], [], [], _QUIET)[0]:
                if complete(self.text):
                    return self.text
                continue
            try:
                given = os.read(self._terminal, 1 << 16)
            except OSError:  # the program has ended
                given = b""
            if not given:
                break
            for question, answer in _ANSWERS.items():
                if question in given:
                    self.type(answer)
            self._draw(given.decode(errors="replace"))
        raise TimeoutError(self.text)

    def _draw(self, given: str) -> None:
        for part in _PARTS.finditer(given):
            if part["text"]:
                self._put(part["text"])
            elif part["end"] and not part["values"].startswith(("<", "=", ">", "?")):
                values = [int(value or 0) for value in part["values"].split(";")]
                self._control(part["end"], values)

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._row = min(self._row + 1, ROWS - 1)
        elif character.isprintable() and self._column < COLUMNS:
            self._cells[self._row][self._column] = character
            self._column += 1

    def _control(self, end: str, values: list[int]) -> None:
        if end in "Hf":
            row, column = (*values, 0)[:2]
            self._row = min(max(row, 1), ROWS) - 1
            self._column = min(max(column, 1), COLUMNS) - 1
        elif end == "C":
            self._column = min(self._column + max(values[0], 1), COLUMNS - 1)
        elif end == "K":
            self._cells[self._row][self._column :] = [" "] * (COLUMNS - self._column)
        elif end == "J":
            below = 0 if values[0] else self._row
            for cells in self._cells[below:]:
                cells[:] = [" "] * COLUMNS
