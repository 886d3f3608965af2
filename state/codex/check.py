"""Compare Codex's own database with the rollout files.

Our index, brought up to date, stands for the files. Columns that follow a live thread (cwd,
tokens, times, …) are not compared: Codex keeps those itself.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from state.checks.findings import Finding
from state.codex.compare import KINDS, compare_with_index
from state.codex.index_side import IndexSide, read_index_side
from state.codex.processes import processes_using
from state.codex_db.database import CodexState, NotComparable, has_database, quick_check, read_codex
from state.db.snapshot import snapshot
from state.errors import SQLITE_ERRORS, CodexUnusable
from state.thread_index import ThreadIndex


@dataclass(slots=True)
class CodexCheck:
    """The two sides that a check compared."""

    ours: IndexSide
    state: CodexState | None = None
    """None if there is no database, or it cannot be compared."""


async def check_codex(
    index: ThreadIndex, database: Path, found: Callable[[Finding], None]
) -> CodexCheck:
    """Give every difference between the files and Codex's ``database`` to ``found``.

    ``index`` must be up to date. Writes nothing.
    """
    checked = CodexCheck(await read_index_side(index))
    try:
        if not has_database(database):
            found(no_database(database))
            return checked
        with snapshot(database) as connection:
            checked.state = _read_whole(connection)
    except (NotComparable, OSError, CodexUnusable, *SQLITE_ERRORS) as error:
        found(unusable(database, error))
    else:
        who = processes_using(database)
        for finding in compare_with_index(checked.ours, checked.state, index.home, database, who):
            found(finding)
    return checked


def _read_whole(connection: sqlite3.Connection) -> CodexState:
    """Raises :class:`sqlite3.DatabaseError` for damage anywhere, as Codex's own start does."""
    damage = quick_check(connection)
    if damage != "ok":
        raise sqlite3.DatabaseError(damage)
    return read_codex(connection)


def no_database(database: Path) -> Finding:
    """That there is none yet."""
    message = "Codex has no database here yet; it makes one at its next start."
    return Finding(KINDS["codex_no_database"], message, path=str(database))


def unusable(database: Path, error: Exception) -> Finding:
    """Why a database cannot be compared."""
    if isinstance(error, NotComparable):
        message = f"It cannot be compared: {error}."
        return Finding(KINDS["codex_not_comparable"], message, path=str(database))
    if isinstance(error, SQLITE_ERRORS):
        return _damaged(database, str(error))
    reason: object = error
    if isinstance(error, CodexUnusable):
        reason = error.reason
    elif isinstance(error, OSError):
        reason = error.strerror or error
    message = (
        f"It cannot be read: {reason}. Codex's app-server does not start with it; codex exec"
        " runs without a database."
    )
    return Finding(KINDS["codex_unreadable"], message, path=str(database))


def _damaged(database: Path, reason: str) -> Finding:
    return Finding(
        KINDS["codex_damaged"],
        "It is damaged. Codex's app-server moves it into db-backups and builds a new one,"
        " without the names of paginated threads; codex exec runs without a database.",
        path=str(database),
        measured=reason,
        expected="a whole SQLite database",
    )
