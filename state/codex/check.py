"""What Codex's own database says, compared with the rollout files.

The truth about the files is our index, in step with them. Columns that follow a live thread
(cwd, tokens, times, …) are not compared: they are Codex's own to keep.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from state.checks.findings import Finding
from state.codex.compare import KINDS, compare_with_index
from state.codex.database import CodexState, NotComparable, read_codex
from state.codex.index_side import IndexSide, read_index_side
from state.codex.processes import processes_using
from state.db.snapshot import snapshot
from state.errors import SQLITE_ERRORS
from state.thread_index import ThreadIndex


@dataclass(slots=True)
class CodexCheck:
    """What a check saw, besides its findings."""

    ours: IndexSide
    state: CodexState | None = None
    """None if the database is not there or cannot be compared."""


async def check_codex(
    index: ThreadIndex, database: Path, found: Callable[[Finding], None]
) -> CodexCheck:
    """Give every difference between the files and Codex's ``database`` to ``found``.

    ``index`` must be in step with the files. Writes nothing.
    """
    checked = CodexCheck(await read_index_side(index))
    if not database.exists() or (database.is_file() and not database.stat().st_size):
        message = "Codex has no database here yet; it makes one at its next start."
        found(Finding(KINDS["codex_no_database"], message, path=str(database)))
        return checked
    try:
        with snapshot(database) as connection:
            checked.state = _read_whole(connection)
    except NotComparable as problem:
        message = f"It cannot be compared: {problem}."
        found(Finding(KINDS["codex_not_comparable"], message, path=str(database)))
    except SQLITE_ERRORS as error:
        found(_damaged(database, str(error)))
    except OSError as error:
        message = (
            f"It cannot be read: {error.strerror or error}. Codex's app-server does not start with"
            " it; codex exec runs without a database."
        )
        found(Finding(KINDS["codex_unreadable"], message, path=str(database)))
    else:
        who = processes_using(database)
        for finding in compare_with_index(checked.ours, checked.state, index.home, database, who):
            found(finding)
    return checked


def _read_whole(connection: sqlite3.Connection) -> CodexState:
    """Raises :class:`sqlite3.DatabaseError` for damage anywhere, as Codex's own start does."""
    told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if told != "ok":
        raise sqlite3.DatabaseError(str(told))
    return read_codex(connection)


def _damaged(database: Path, reason: str) -> Finding:
    return Finding(
        KINDS["codex_damaged"],
        "It is damaged. Codex's app-server puts it aside below db-backups and builds a new one,"
        " without the names of paginated threads; codex exec runs without a database.",
        path=str(database),
        measured=reason,
        expected="a whole SQLite database",
    )
