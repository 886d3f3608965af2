"""Plain connections of SQLite, and whether they lead to an index. Standard library only."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from state.db.location import HEAD, REVISIONS
from state.errors import IndexDamaged, IndexMissing, IndexTooNew, NotAnIndex

BUSY_TIMEOUT_S: Final = 10.0
"""How long a writer waits for another one, in seconds."""


def connect(
    path: Path,
    mode: Literal["ro", "rw", "rwc"] = "rwc",
    *,
    wait_s: float = BUSY_TIMEOUT_S,
    any_thread: bool = False,
) -> sqlite3.Connection:
    """A connection in which transactions begin only where they are begun by hand. ``rw`` makes no
    file, ``ro`` writes nothing."""
    return sqlite3.connect(
        f"{index_uri(path)}?mode={mode}",
        uri=True,
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=not any_thread,
    )


def index_uri(path: Path) -> str:
    """The address of a database for SQLite."""
    text = str(path.absolute())
    if not text.isascii():
        return path.absolute().as_uri()  # what this takes to load, most paths do not need
    return "file://" + text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def revision_of(path: Path, execute: Callable[[str], Iterable[Sequence[Any]]]) -> str | None:
    """The schema revision of the index at ``path``; None for an empty database.

    Raises:
        IndexDamaged: it is half of an index.
        IndexTooNew: its schema is from a newer program.
        NotAnIndex: it is a database of another program.
    """
    tables = {row[0] for row in execute("SELECT name FROM sqlite_master")}
    if not tables:  # the process that created it was killed at once
        return None
    if not tables & {"alembic_version", "rollout_files"}:
        raise NotAnIndex(path, "it is a database, but not one of threadkeep's")
    if "alembic_version" not in tables:
        raise IndexDamaged(path, "its table alembic_version is missing")
    revisions = [str(row[0]) for row in execute("SELECT version_num FROM alembic_version")]
    if not revisions:
        raise IndexDamaged(path, "its table alembic_version is empty")
    if revisions[0] in REVISIONS:
        return revisions[0]
    if re.fullmatch(r"v\d{4,}", revisions[0], re.ASCII) and int(revisions[0][1:]) > len(REVISIONS):
        raise IndexTooNew(path, revisions[0], HEAD)
    raise IndexDamaged(path, f"its table alembic_version holds {revisions[0]!r}")


def check_is_index(path: Path, connection: sqlite3.Connection) -> None:
    """Make sure that a database is an index that this version knows. Raises IndexMissing if nothing
    is in it, and what :func:`revision_of` raises if it is none."""
    if revision_of(path, connection.execute) is None:
        raise IndexMissing(path)
