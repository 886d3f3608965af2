"""Check an index against itself and against the names, sizes and times of the files.

Writes nothing, neither to the index nor to the home. :mod:`state.repair.verify` goes deeper.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.scan import check_home
from state.checks.database import check_copy, copy_of, damaged
from state.checks.findings import WARNING, Finding, kinds
from state.checks.structure import check_structure
from state.db.connect import revision_of
from state.db.location import HEAD
from state.db.snapshot import read_only
from state.db.translate import release_cursors, translate
from state.errors import SQLITE_ERRORS, IndexDamaged, IndexUnavailable
from state.workers import Workers

KINDS: Final = kinds(
    (WARNING, "threadkeep backfill", "no_index"), (WARNING, "threadkeep sync", "old_schema")
)


async def check_index(
    home: Path,
    index: Path,
    found: Callable[[Finding], None],
    deeper: Callable[[sqlite3.Connection], Awaitable[None]] | None = None,
) -> None:
    """Give every finding about ``index`` to ``found``. If the index is sound, ``deeper`` looks at
    the same state of it more closely.

    Raises:
        HomeNotFound: there is nothing to compare with.
        IndexTooNew: the index belongs to a newer threadkeep.
        NotAnIndex: the file is another program's database.
        IndexUnavailable: it cannot be read.
    """
    check_home(home)
    if not index.exists() or not index.stat().st_size:
        found(_no_index(index))
        return
    try:
        with read_only(index) as connection:
            if await _is_sound(connection, home, index, found) and deeper:
                await deeper(connection)
    except SQLITE_ERRORS as error:
        known = translate(index, error)
        if not isinstance(known, IndexDamaged):
            raise known or error from error
        found(damaged(known.reason))
    except OSError as error:
        raise IndexUnavailable(index, error.strerror or str(error)) from error


async def _is_sound(
    connection: sqlite3.Connection, home: Path, index: Path, found: Callable[[Finding], None]
) -> bool:
    """Whether the database is one that can be looked at more closely, after all checks."""
    try:
        revision = revision_of(index, connection.execute)
    except IndexDamaged:
        revision = HEAD  # the checks below say what is missing
    if revision is None:
        found(_no_index(index))
        return False
    if revision != HEAD:
        message = "The index has an older schema; the next command brings it up to date."
        found(Finding(KINDS["old_schema"], message, measured=revision, expected=HEAD))
        return False
    in_database, in_rows = await _check_both(connection, home, index)
    for finding in in_database:
        found(finding)
    if any(finding.kind.code in ("index_damaged", "schema_differs") for finding in in_database):
        return False
    if isinstance(in_rows, BaseException):
        raise in_rows
    for finding in in_rows:
        found(finding)
    return True


async def _check_both(
    connection: sqlite3.Connection, home: Path, index: Path
) -> tuple[list[Finding], list[Finding] | BaseException]:
    """What is wrong with the database, and with its rows, each found in a thread of its own. The
    second check fails where the database is damaged."""
    workers = Workers(2)
    with closing(await workers.run(partial(copy_of, connection))) as copy:
        in_database, in_rows = await asyncio.gather(
            workers.run(lambda: list(check_copy(copy)), stopped=copy.interrupt),
            workers.run(
                lambda: list(check_structure(connection, home, index)), stopped=connection.interrupt
            ),
            return_exceptions=True,  # waits for both: they use connections that are closed here
        )
    for outcome in (in_database, in_rows):
        if isinstance(outcome, BaseException):
            release_cursors(outcome)  # nobody may raise it, and it would keep the index open
    if isinstance(in_database, BaseException):
        raise in_database
    return in_database, in_rows


def _no_index(index: Path) -> Finding:
    return Finding(KINDS["no_index"], "There is no index yet.", path=str(index))
