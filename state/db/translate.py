"""SQLite's errors as those of threadkeep."""

import asyncio
import errno
import os
import resource
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from state.errors import (
    SQLITE_ERRORS,
    IndexBusy,
    IndexDamaged,
    IndexNotWritable,
    IndexUnavailable,
    StateError,
)

BUSY_TIMEOUT_S: Final = 10.0
"""How long a writer waits for another one, in seconds."""


_FEW_DESCRIPTORS: Final = 64


_NOT_WRITABLE: Final = (
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_PERM",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_SHM",
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, which say what can be done about them."""
    try:
        yield
    except DBAPIError as error:
        translation = translate(path, error.orig)
        if translation is None:
            raise
        raise _heeding(translation, error) from error
    except SQLITE_ERRORS as error:
        translation = translate(path, error)
        if translation is None:
            raise
        raise _heeding(translation, error) from error


def _heeding(translation: StateError, error: BaseException) -> BaseException:
    """The error to be raised: a write that is cancelled may end by SQLite's error, as whoever
    waited for a lock does, and is cancelled all the same."""
    _let_go(error)
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None  # not in an event loop: nothing is cancelled there
    return asyncio.CancelledError() if task and task.cancelling() else translation


def _let_go(error: BaseException) -> None:
    """Have the cursors go that a traceback holds. Until then SQLite only seems to close their
    connection and keeps its lock: an error that is kept, as what ails an index is, would hold up
    whoever makes it anew."""
    held: BaseException | None = error
    while held is not None:
        traceback.clear_frames(held.__traceback__)
        held = held.__cause__ or held.__context__


_LACKING: Final = (
    *("no such table", "no such column"),
    # FTS5's words for tables of its own that are missing.
    *("vtable constructor failed", "invalid fts5 file format", "SQL logic error"),
)


def translate(path: Path, error: BaseException | None) -> StateError | None:
    """Our error for one of SQLite's; None if it is no matter of the file's condition."""
    if isinstance(error, UnicodeDecodeError):  # of a message: see SQLITE_ERRORS
        return IndexDamaged(path, error.object.decode("utf-8", "replace"))
    text = str(error)
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or "database is locked" in text:
        return IndexBusy(path, BUSY_TIMEOUT_S)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in text:
        return IndexDamaged(path, text)
    if name == "SQLITE_ERROR" and text.startswith(_LACKING):
        return IndexDamaged(path, text)
    if "Could not decode to UTF-8" in text:  # Python's word for it, without a name
        return IndexDamaged(path, "a text in it is no UTF-8")
    if name.startswith("SQLITE_CANTOPEN") and _few_descriptors():
        return IndexUnavailable(path, f"{text}: {os.strerror(errno.EMFILE)}")
    if name.startswith("SQLITE_IOERR") and _bounded(resource.RLIMIT_FSIZE):
        return IndexNotWritable(path, f"{text}: {os.strerror(errno.EFBIG)}")
    if name.startswith(_NOT_WRITABLE):
        return IndexNotWritable(path, text)
    if name.startswith("SQLITE_IOERR"):
        return IndexUnavailable(path, text)
    return None


def _bounded(what: int) -> bool:
    """Whether the system allows only so much of something."""
    return resource.getrlimit(what)[0] != resource.RLIM_INFINITY


def _few_descriptors() -> bool:
    """Whether so few are allowed that SQLite, which does not say so, may have had none left."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] < _FEW_DESCRIPTORS
