"""The terminal as Textual drives it, where the first frame is on the screen already."""

import os
import signal
from collections.abc import Callable
from typing import Any, Final, TextIO

from textual.drivers.linux_driver import LinuxDriver

from cli.browse.first_frame import TAKEN, terminal_size

_TAKE: Final = "\x1b[?1049h"


class PickerDriver(LinuxDriver):
    """Leaves the first frame where it is, and asks the terminal that it draws on for its size:
    stdout may be a pipe."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file: Any = _Terminal(self._file)

    def write(self, data: str) -> None:
        if data == _TAKE:
            drawn, TAKEN.drawn, TAKEN.handed_over = TAKEN.drawn, False, True
            if drawn:
                return  # it would clear the screen
        super().write(data)

    def _get_terminal_size(self) -> tuple[int, int]:
        return terminal_size()


class _Terminal:
    """The stream of a terminal that may go away, as when its window is closed. Then the picker is
    told, and what is still written goes nowhere: Textual would wait for ever for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._gone = stream, False

    def write(self, text: str) -> None:
        """Write, unless there is no terminal any more."""
        self._do(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Flush, unless there is no terminal any more."""
        self._do(self._stream.flush)

    def fileno(self) -> int:
        """The number of its file."""
        return self._stream.fileno()

    def _do(self, work: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            work()
        except OSError:
            self._gone = True
            os.kill(os.getpid(), signal.SIGHUP)
