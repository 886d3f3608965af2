"""Plain connections that can only read."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from state.db.location import HEAD, REVISIONS
from state.db.snapshot import read_only
from state.db.translate import translated
from state.errors import IndexDamaged, IndexMissing, IndexTooNew, IndexUnavailable, NotAnIndex


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads one state of the index at ``path`` and cannot write. The index is
    not made and not migrated.

    Raises:
        IndexBusy: another process kept the lock for too long.
        IndexDamaged: the file is no usable database.
        IndexMissing: there is none.
        IndexTooNew: its schema is from a newer program.
        IndexUnavailable: it cannot be read.
        NotAnIndex: it is a database of another program.
    """
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


def check_is_index(path: Path, connection: sqlite3.Connection) -> None:
    """Make sure that a database is an index that this version knows.

    Raises:
        IndexDamaged: it is half of one.
        IndexMissing: nothing is in it.
        IndexTooNew: its schema is from a newer program.
        NotAnIndex: it is a database of another program.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:  # whoever began it was killed at once
        raise IndexMissing(path)
    if not tables & {"alembic_version", "rollout_files"}:
        raise NotAnIndex(path, "it is a database, but not one of threadkeep's")
    if "alembic_version" not in tables:
        raise IndexDamaged(path, "its table alembic_version is missing")
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if revision and revision[0] not in REVISIONS:
        raise IndexTooNew(path, str(revision[0]), HEAD)
