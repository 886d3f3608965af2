"""Read an index without writing to it, whatever condition it is in."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from state.db.connect import check_is_index, connect
from state.db.snapshot import snapshot
from state.db.translate import translated
from state.errors import IndexMissing, IndexUnavailable


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
