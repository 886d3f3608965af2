"""SQLite's errors as those of threadkeep."""

import asyncio
import errno
import os
import resource
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from state import errors
from state.db.connect import BUSY_TIMEOUT_S

_FEW_DESCRIPTORS: Final = 64
_NOT_WRITABLE: Final = (
    *("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_PERM", "SQLITE_IOERR_WRITE"),
    *("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHM"),
)
_NEEDS_SPACE: Final = (
    *("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHM", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_FSYNC"),
    "SQLITE_CANTOPEN",
)
"""What SQLite may say of a full disk, besides ``SQLITE_FULL``."""
_SHM_BYTES: Final = 32_768
"""The least size of the ``-shm`` file."""


@contextmanager
def translated(path: Path, *, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn SQLite's errors into ours, which name the next step. On a full disk the error says
    how many bytes were needed, where that is known."""
    free = shutil.disk_usage(path.parent).free if needed_bytes is not None else 0
    try:
        yield
    except errors.SQLITE_ERRORS as error:
        translation = translate(path, error)
        if translation is None:
            raise
        if needed_bytes is not None and _error_name(error) == "SQLITE_FULL":
            space = f"{needed_bytes:,} bytes are needed, {free:,} were free"
            translation = errors.IndexNotWritable(path, f"{error}: {space}")
        raise _or_cancelled(translation, error) from error


def _or_cancelled(translation: errors.StateError, error: BaseException) -> BaseException:
    """The error to raise: a cancelled write may end with SQLite's error, for example when it was
    waiting for a lock; it still counts as cancelled."""
    release_cursors(error)
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None  # not in an event loop: nothing is cancelled there
    return asyncio.CancelledError() if task and task.cancelling() else translation


def release_cursors(error: BaseException) -> None:
    """Drop the cursors that a traceback holds. Until then SQLite only seems to close their
    connection and keeps its lock: an error that is stored somewhere would block a rebuild."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


_LACKING: Final = (
    *("no such table", "no such column"),
    # What FTS5 says when its own tables are missing.
    *("vtable constructor failed", "invalid fts5 file format", "SQL logic error"),
)


def translate(path: Path, error: BaseException | None) -> errors.StateError | None:
    """Our error for one of SQLite's; None if the condition of the file is not the cause."""
    if isinstance(error, UnicodeDecodeError):  # of a message: see SQLITE_ERRORS
        return errors.IndexDamaged(path, error.object.decode("utf-8", "replace"))
    text = str(error)
    name = _error_name(error)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or "database is locked" in text:
        return errors.IndexBusy(path, BUSY_TIMEOUT_S)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in text:
        return errors.IndexDamaged(path, text)
    if name == "SQLITE_ERROR" and text.startswith(_LACKING):
        return errors.IndexDamaged(path, text)
    if "Could not decode to UTF-8" in text:  # Python's own error, without a name
        return errors.IndexDamaged(path, "a text in it is not UTF-8")
    # SQLite does not say so, but may have run out of descriptors where the limit is that low.
    few = resource.getrlimit(resource.RLIMIT_NOFILE)[0] < _FEW_DESCRIPTORS
    if name.startswith("SQLITE_CANTOPEN") and few:
        return _short_of(errors.IndexUnavailable, path, text, errno.EMFILE)
    bounded = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    if name.startswith("SQLITE_IOERR") and bounded:
        return _short_of(errors.IndexNotWritable, path, text, errno.EFBIG)
    if name.startswith(_NEEDS_SPACE) and _is_full(path.parent):
        return _short_of(errors.IndexNotWritable, path, text, errno.ENOSPC)
    if name.startswith(_NOT_WRITABLE):
        return errors.IndexNotWritable(path, text)
    if name.startswith("SQLITE_IOERR"):
        return errors.IndexUnavailable(path, text)
    return None


def _is_full(folder: Path) -> bool:
    """Whether a folder may be written, and its disk has no room for a new ``-shm`` or file."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _SHM_BYTES or (disk.f_files > 0 and not disk.f_favail)


def _error_name(error: BaseException | None) -> str:
    return getattr(error, "sqlite_errorname", "") or ""


def _short_of(
    kind: type[errors.IndexUnavailable], path: Path, text: str, number: int
) -> errors.IndexUnavailable:
    found = kind(path, f"{text}: {os.strerror(number)}")
    found.errno = number
    return found
