"""Read a database without writing to it: an index in whatever condition it is in, or another
program's, beside which no file is created either.

Even a read-only connection to a database in WAL mode creates ``-wal`` and ``-shm`` files, and
fails in a folder that is not writable. So a database without a ``-wal`` is opened as immutable,
and one with a ``-wal`` is copied first.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from rollout.files.stamp import FileStamp
from state.db.connect import check_is_index, connect
from state.db.translate import translated
from state.errors import IndexMissing, IndexUnavailable

_TRIES: Final = 5


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to one state of the database at ``path``. Raises OSError if it cannot
    be read, or kept changing while it was copied, and sqlite3.Error if it is not a database."""
    with tempfile.TemporaryDirectory(prefix="threadkeep-") as folder:
        uri = _stable_uri(path, Path(folder))
        with closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection


def _stable_uri(path: Path, folder: Path) -> str:
    """The URI of a database that nobody writes to: ``path`` itself or a copy in ``folder``."""
    if not _size(_wal(path)):
        path.open("rb").close()  # SQLite does not say why it cannot open a file
        return f"{path.absolute().as_uri()}?immutable=1"
    target = folder / "copy.sqlite3"
    for _ in range(_TRIES):
        before = _identity(path)
        shutil.copyfile(path, target)
        if _size(_wal(path)):
            shutil.copyfile(_wal(path), _wal(target))
        if _identity(path) == before:
            return target.as_uri()
    raise OSError(f"{path} keeps changing: try again when its program is idle")


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _identity(path: Path) -> list[FileStamp | None]:
    return [FileStamp.of(file.stat()) if file.exists() else None for file in (path, _wal(path))]


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to one state of the index at ``path``, which other processes may be using. It
    is not created and not migrated. Raises IndexMissing if there is none, and another StateError if
    it cannot be read, or is not an index; see :func:`state.db.connect.revision_of`."""
    if not path.exists():
        raise IndexMissing(path)
    with ExitStack() as stack:
        stack.enter_context(translated(path))
        try:
            connection = stack.enter_context(read_only(path))
        except OSError as error:
            raise IndexUnavailable(path, error.strerror or str(error)) from error
        check_is_index(path, connection)
        yield connection


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to one state of a database of ours, for one thread at a time. Where it cannot be
    read in place, because WAL needs a writable folder, a snapshot is read. Raises OSError if it
    cannot be read, and sqlite3.Error if it is not a database, or another process kept the lock for
    too long."""
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(connect(path, "ro", any_thread=True)))
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            connection = stack.enter_context(snapshot(path))
        yield connection
