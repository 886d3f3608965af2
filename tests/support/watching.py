"""A ``threadkeep watch`` under way, as a test sees it."""

import json
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from tests.support.command import COMMAND, Cli
from tests.support.effort import PATIENCE_S


class Watching:
    """A watch in a process of its own, and what it has printed."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.said: list[str] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._words = threading.Event()
        assert process.stdout
        assert process.stderr
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._listen, args=(process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stdout: IO[bytes]) -> None:
        for line in stdout:
            self._lines.put(line)

    def _listen(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            self.said.append(line.decode())
            self._words.set()
        self._words.set()

    def until_said(self, text: str) -> None:
        """Wait until it has said ``text`` on stderr."""
        end = time.monotonic() + PATIENCE_S
        while not any(text in line for line in self.said):
            assert time.monotonic() < end, (text, self.said)
            assert self.process.poll() is None or self._readers[1].is_alive(), (text, self.said)
            self._words.wait(0.1)
            self._words.clear()

    def next(self) -> dict[str, Any]:
        """The next change, of a watch with ``--json``."""
        try:
            found: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE_S))
        except queue.Empty:
            raise AssertionError(f"nothing came; it said {self.said}") from None
        assert found["version"] == 1
        return found

    def told(self) -> tuple[str, str]:
        """Kind and id of the next change."""
        change = self.next()
        return change["kind"], change["id"]

    def has_more(self, within_s: float) -> bool:
        """Whether another line comes so soon."""
        try:
            self._lines.get(timeout=within_s)
        except queue.Empty:
            return False
        return True

    def end(self, number: int = signal.SIGINT) -> int:
        """End it by a signal: its status."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status


@contextmanager
def watching(
    cli: Cli,
    *,
    ready: bool = True,
    prefix: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Watching]:
    """A watch of the command's home, ready for changes unless told not to wait; killed on the
    way out if it still runs. There is no traceback, whatever happened to it."""
    process = cli.start(
        *("watch", "--json"),
        env=env,
        prefix=(*prefix, *COMMAND),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        watch = Watching(process)
        try:
            if ready:
                watch.until_said("Watching ")
            yield watch
        finally:
            process.kill()
            process.wait()
            for reader in watch._readers:
                reader.join(PATIENCE_S)
    assert not any("Traceback" in line for line in watch.said), watch.said
