"""The lock of a thread's only live writer, the same that Codex takes
(docs/rollout-format.md#writer-lock).

``thread-writer-locks/<thread id>.lock`` is locked with ``flock`` for as long as the thread is
loaded. The file's mere existence means nothing. ``.coordination.lock`` is held for the moment in
which such a file is made or removed.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from rollout.errors import WriterActive
from rollout.files.layout import parse_uuid

LOCKS: Final = "thread-writer-locks"
_COORDINATION: Final = ".coordination.lock"
_PATIENCE_S: Final = 5.0
_SHORT_PATIENCE_S: Final = 0.05


class WriterLock(AbstractContextManager["WriterLock"]):
    """Held from :meth:`acquire` until :meth:`release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, home: Path, thread_id: str) -> "WriterLock":
        """Become the only writer of a thread.

        Raises:
            OSError: the home cannot be written.
            ValueError: ``thread_id`` is no lower-case thread id, so no file name either.
            WriterActive: there is one already, in this process or another.
        """
        if parse_uuid(thread_id) is None or parse_uuid(thread_id) != thread_id:
            raise ValueError(f"no thread id: {thread_id!r}")
        folder = home / LOCKS
        folder.mkdir(exist_ok=True)
        path = folder / f"{thread_id}.lock"
        with _coordinated(folder, thread_id, _PATIENCE_S):
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
            try:
                if not try_lock(descriptor):
                    raise WriterActive(thread_id, _holder(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
        return cls(path, descriptor)

    def release(self) -> None:
        """Let others write the thread. A second call does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            # A file that stays behind does no harm: only the lock counts.
            with (
                suppress(OSError, WriterActive),
                _coordinated(self._path.parent, self._path.stem, _SHORT_PATIENCE_S),
            ):
                self._path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def __exit__(self, *_: object) -> None:
        self.release()


def try_lock(descriptor: int) -> bool:
    """Take an exclusive lock on an open file, unless somebody else has it. Raises OSError if the
    file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _coordinated(folder: Path, thread_id: str, patience_s: float) -> Iterator[None]:
    descriptor = os.open(folder / _COORDINATION, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        until = time.monotonic() + patience_s
        while not try_lock(descriptor):
            if time.monotonic() > until:
                raise WriterActive(thread_id, _holder(descriptor))
            time.sleep(0.002)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str | None:
    """Who holds a lock on the open file: ``pid 4711 (codex)``; None without ``/proc/locks``."""
    info = os.fstat(descriptor)
    place = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    try:
        locks = Path("/proc/locks").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    for line in locks:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place:
            return f"pid {fields[4]}{_command(fields[4])}"
    return None


def _command(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:
        return ""
    program = words[0].rpartition("/")[2]
    shown = " ".join(filter(None, (program, *words[1:])))[:80]
    return f" ({shown})" if shown else ""
