"""The lock of a thread's only live writer, the same that Codex takes
(docs/rollout-format.md#writer-lock).

``thread-writer-locks/<thread id>.lock`` is locked with ``flock`` for as long as the thread is
loaded. The file's mere existence means nothing. ``.coordination.lock`` is held for the moment in
which such a file is made or removed, or in which files of many threads are moved.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from rollout.errors import WriterActive
from rollout.files.layout import parse_uuid

LOCKS: Final = "thread-writer-locks"
_COORDINATION: Final = ".coordination.lock"
_PATIENCE_S: Final = 15.0
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


class WriterBarrier(AbstractContextManager["WriterBarrier"]):
    """While it is held, nobody becomes the writer of any thread of a home: they wait, as Codex does
    (seen in 0.169 and 0.171). It is for work on many threads that is done in a moment, and costs as
    much for a thousand as for one."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = folder
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, home: Path) -> "WriterBarrier":
        """Hold off new writers. Raises OSError if the home cannot be written, and WriterActive if
        somebody else has held them off for too long."""
        folder = home / LOCKS
        folder.mkdir(exist_ok=True)
        return cls(folder, _coordination(folder, "", _PATIENCE_S))

    def writers(self, thread_ids: Iterable[str]) -> dict[str, WriterActive]:
        """Those of the threads that somebody is writing, in this process or another, each with its
        error. Raises OSError if that cannot be seen."""
        locks = set(os.listdir(self._folder))
        found = {}
        for thread_id in thread_ids:
            if f"{thread_id}.lock" not in locks:
                continue
            path = self._folder / f"{thread_id}.lock"
            descriptor = os.open(path, os.O_RDWR)
            try:
                if try_lock(descriptor):
                    path.unlink(missing_ok=True)  # a killed process has left it
                else:
                    found[thread_id] = WriterActive(thread_id, _holder(descriptor))
            finally:
                os.close(descriptor)
        return found

    def release(self) -> None:
        """Let others write again. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
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
    descriptor = _coordination(folder, thread_id, patience_s)
    try:
        yield
    finally:
        os.close(descriptor)


def _coordination(folder: Path, thread_id: str, patience_s: float) -> int:
    descriptor = os.open(folder / _COORDINATION, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        until = time.monotonic() + patience_s
        while not try_lock(descriptor):
            if time.monotonic() > until:
                raise WriterActive(thread_id, _holder(descriptor))
            time.sleep(0.002)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


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
