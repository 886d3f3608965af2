"""A program on a terminal of its own, as a person has it: keys are sent, and the test waits for
what is shown."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.support.effort import PATIENCE_S

_CONTROL = re.compile(
    rb"\x1b\[[0-9;:?<>=]*[ -/]*[@-~]|\x1b[\]P].*?(?:\x07|\x1b\\)|\x1b.", re.DOTALL
)


class Terminal:
    """A process that leads a session of its own, with a terminal."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        stdout: int | None = None,
        size: tuple[int, int] = (100, 30),
    ) -> None:
        self._ours, theirs = pty.openpty()
        columns, lines = size
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            words,
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env={"TERM": "xterm-256color", **env},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._written = b""
        self._seen = 0

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def until(self, text: str) -> None:
        """Wait until a text is written that was not waited for before."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.text.find(text, self._seen)) < 0:
            assert time.monotonic() < deadline, self.text[self._seen :][-3000:]
            assert self._read(), self.text[self._seen :][-3000:]
        self._seen = at + len(text)

    @property
    def text(self) -> str:
        """All that was written so far, without what steers the terminal."""
        return _CONTROL.sub(b"", self._written).decode("utf-8", "replace")

    def end(self) -> int:
        """Wait for the end of the process. Gives its exit status."""
        while self._read():
            pass
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        """Read what is there. False at the end."""
        ready, _, _ = select.select([self._ours], [], [], 1)
        with suppress(OSError):  # the other side is closed
            if not ready:
                return self.process.poll() is None
            chunk = os.read(self._ours, 65536)
            self._written += chunk
            return bool(chunk)
        return False
