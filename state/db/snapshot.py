"""Read another program's SQLite database without writing to it or creating files beside it.

Even a read-only connection to a database in WAL mode creates ``-wal`` and ``-shm`` files, and
fails in a folder that is not writable. So a database without a ``-wal`` is opened as immutable,
and one with a ``-wal`` is copied first.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from rollout.files.stamp import FileStamp

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
