"""Shows a long text in a pager, as soon as there is more than one screen of it.

The standard library's pager takes the whole text at once: the first screen of a long thread would
wait for the last, and memory would grow with the thread. It also pages what fits on one screen.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from cli.terminal import output
from cli.terminal.delegated import DELEGATED

if TYPE_CHECKING:
    import subprocess

_ROOM: Final = 2  # lines of the screen that the next prompt takes
_BUFFER: Final = 64 * 1024


class PagerClosed(Exception):
    """The reader has quit the pager."""


@contextmanager
def sink(*, paged: bool) -> Iterator[Callable[[str], None]]:
    """Writes a long text: into a pager if stdout is a terminal and the text is longer than its
    screen; else to stdout. The body ends quietly when the reader quits the pager."""
    pages = paged and DELEGATED.get() is None and output.on_terminal()
    command = _command() if pages else None
    if command is None:
        buffer = _Buffer()
        yield buffer.put
        buffer.flush()
        return
    pager = _Pager(command)
    try:
        yield pager.put
    except PagerClosed:
        pass
    finally:
        pager.close()


class _Buffer:
    """Writes to stdout in large pieces."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._size = 0

    def put(self, text: str) -> None:
        self._kept.append(text)
        self._size += len(text)
        if self._size > _BUFFER:
            self.flush()

    def flush(self) -> None:
        if self._kept:
            output.write("".join(self._kept).encode("utf-8", "replace"))
        self._kept, self._size = [], 0


class _Pager:
    """Keeps the first screen, and starts a pager when there is more."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._kept: list[str] = []
        self._lines = 0
        self._room = max(output.height() - _ROOM, 1)
        self._process: subprocess.Popen[bytes] | None = None
        self._missing = False

    def put(self, text: str) -> None:
        if self._process is None and not self._missing:
            self._kept.append(text)
            self._lines += text.count("\n")
            if self._lines <= self._room:
                return
            self._process = self._started()
            text = "".join(self._kept)
            self._kept.clear()
        if self._process is None:
            output.write(text.encode("utf-8", "replace"))
            return
        try:
            self._input.write(text.encode("utf-8", "replace"))
            self._input.flush()
        except BrokenPipeError:
            raise PagerClosed from None

    @property
    def _input(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin

    def _started(self) -> "subprocess.Popen[bytes] | None":
        import subprocess

        environment = {"LESS": "FRX", "LESSCHARSET": "utf-8", **os.environ}
        sys.stdout.flush()
        try:
            return subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment)
        except OSError as error:
            output.say(f"The pager {self._command[0]} cannot be run: {error.strerror}.")
            self._missing = True
            return None

    def close(self) -> None:
        """Print what was kept, or wait until the reader quits the pager."""
        if self._process is None:
            output.write("".join(self._kept).encode("utf-8", "replace"))
            return
        with suppress(BrokenPipeError):  # the reader has quit
            self._input.close()
        while True:
            try:
                self._process.wait()
                return
            except KeyboardInterrupt:
                continue  # Ctrl-C is for the pager, which continues


def _command() -> list[str] | None:
    """The words of the pager's command; None if there is none or the user disabled it."""
    import shlex
    import shutil

    named = os.environ.get("PAGER")
    if named is None:
        found = shutil.which("less") or shutil.which("more")
        return [found] if found else None
    try:
        words = shlex.split(named)
    except ValueError:
        words = [named]
    if not words or os.path.basename(words[0]) == "cat":
        return None
    if os.path.basename(words[0]) == "less":
        words.insert(1, "-R")  # shows colours, and keeps what LESS sets
    return words
