"""Files that commands write for people: complete or not at all, readable by their owner only."""

import os
import re
import signal
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from cli.errors import NoRegularFile
from rollout.files.cancellation import Cancelled
from state.errors import FileUnusable
from state.workers import Workers

_MOST_LINKS: Final = 40  # that the system follows
_NAME_KEPT: Final = 50  # characters of its name for a temporary one, which has 255 bytes at most
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_replaceable(path: Path) -> None:
    """Check that ``path`` is free, or a file, or a link to one. Raises NoRegularFile if something
    else is there, or a link such as /dev/stdout."""
    if _is_system_link(path):
        raise NoRegularFile(path, "a link of the system")
    try:
        mode = path.stat().st_mode
    except OSError:  # writing it shows whether that is possible
        return
    if not stat.S_ISREG(mode):
        raise NoRegularFile(path, next((name for fits, name in _KINDS if fits(mode)), "special"))


def _is_system_link(path: Path) -> bool:
    """Whether it is a link such as /dev/stdout, or leads to one."""
    for _ in range(_MOST_LINKS):
        if not os.path.islink(path):
            return False
        folder = os.path.realpath(path.parent)
        if folder == "/dev" or folder.startswith("/proc/"):
            return True
        path = path.parent / path.readlink()
    return False


async def saved(path: Path, content: Iterator[bytes]) -> int:
    """As :func:`save`, in a thread. If cancelled, it stops soon and leaves nothing."""
    with _until_terminated() as stop:
        return await Workers(1).run(partial(_save, path, content, stop), stopped=stop.set)


def save(path: Path, content: Iterator[bytes]) -> int:
    """Replace a file in one step, readable by its owner only: messages may be private. Returns its
    size in bytes.

    Raises:
        FileUnusable: it cannot be written; what was there stays.
        NoRegularFile: something else than a file is there.
    """
    with _until_terminated() as stop:
        return _save(path, content, stop)


@contextmanager
def _until_terminated() -> Iterator[threading.Event]:
    """Set by SIGTERM while a file is written. The signal ends the process afterwards."""
    stop = threading.Event()
    usual = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not usual or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    terminated = False

    def on_terminate(*_: object) -> None:
        nonlocal terminated
        terminated = True
        stop.set()

    signal.signal(signal.SIGTERM, on_terminate)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if terminated:
            signal.raise_signal(signal.SIGTERM)


def _save(path: Path, content: Iterator[bytes], stop: threading.Event) -> int:
    check_replaceable(path)
    temporary = ""
    try:
        _remove_leftovers(path)
        prefix = f".{path.name[:_NAME_KEPT]}.{os.getpid()}-"
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=prefix, delete=False) as file:
            temporary = file.name
            for piece in content:
                if stop.is_set():
                    raise Cancelled
                file.write(piece)
            size = file.tell()
        if stop.is_set():
            raise Cancelled
        os.replace(temporary, path)
    except BaseException as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise FileUnusable.of(error, path) from error
        raise
    return size


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files for ``path`` of processes that were killed."""
    ours = re.compile(rf"\.{re.escape(path.name[:_NAME_KEPT])}\.(\d{{1,9}})-[a-z0-9_]{{8}}")
    for name in os.listdir(path.parent):
        found = ours.fullmatch(name)
        if found and not _runs(int(found[1])):
            with suppress(OSError):  # another user's, in a folder for all
                os.unlink(path.parent / name)


def _runs(process: int) -> bool:
    if process == os.getpid():  # left by a process with our number, as happens in containers
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
