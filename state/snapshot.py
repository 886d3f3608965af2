"""Read a SQLite database that is not ours to touch: nothing is written, no file appears.

Even a read-only connection to a database in WAL mode makes ``-wal`` and ``-shm`` beside it, and
cannot be opened at all in a folder that may not be written. So a database without a ``-wal`` is
opened as immutable, and one with a ``-wal`` is copied first.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

_TRIES: Final = 5


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that reads one state of the database at ``path`` and cannot
    write. It is to the database itself, or to a snapshot where that is not possible.

    Raises:
        OSError: it cannot be read.
        sqlite3.Error: it is no database.
    """
    with ExitStack() as stack:
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            opened = sqlite3.connect(uri, uri=True, isolation_level=None)
            connection = stack.enter_context(closing(opened))
            _begin(connection)
        except sqlite3.OperationalError:
            # WAL in a folder that may not be written, or a file that may not be read.
            connection = stack.enter_context(snapshot(path))
            _begin(connection)
        yield connection


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_master").fetchone()


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to one state of the database at ``path``.

    Raises:
        OSError: it cannot be read, or it changed again and again while it was copied.
        sqlite3.Error: it is no database.
    """
    with tempfile.TemporaryDirectory(prefix="threadkeep-") as folder:
        uri = _still(path, Path(folder))
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection


def _still(path: Path, folder: Path) -> str:
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
    raise OSError(f"{path} changes all the time: try again when its program is idle")


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _identity(path: Path) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for file in (path, _wal(path)):
        if file.exists():
            info = file.stat()
            found.append((info.st_size, info.st_mtime_ns, info.st_ino))
        else:
            found.append(None)
    return found
