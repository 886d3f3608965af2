"""Set a damaged index aside, so that a new one is built from the files.

Only a file of ours is moved, one with a lock file ``index.sqlite3.lock``: a wrong ``--db`` must not
cost somebody a file. Nothing is deleted.
"""

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from state.checks.database import mistyped_sql
from state.db.connect import connect
from state.db.job_table import BACKFILL
from state.db.location import INDEX_NAME, journal_path
from state.db.lock import lock_path, locked
from state.db.schema import metadata
from state.db.snapshot import open_read_only, snapshot
from state.errors import IndexBusy, IndexDamaged, IndexNotWritable, StateError
from state.jobs.lease import job_row
from state.prices.current import prices_path
from state.userdata.store import open_with_user_data

SIDECARS: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database."""

_PATIENCE_S: Final = 2.0
"""How long to wait for a writer of a damaged index, in seconds."""


async def recover(index: Path, damage: IndexDamaged) -> Path | None:
    """Set a damaged index of ours aside: its new path; None if another process has recovered it.

    Raises:
        IndexDamaged: ``damage`` again, if nothing shows that the file is an index of ours.
        IndexBusy: another process has been recovering it for too long.
        IndexNotWritable: it cannot be moved.
    """
    if not lock_path(index).exists():
        raise damage
    async with locked(index):
        try:
            await _probe(index)
        except IndexDamaged:
            return set_aside(index)
        except IndexBusy:
            # Either another process fills the new index, or a connection of ours that met the
            # damage holds a lock for ever.
            return None if await asyncio.to_thread(_can_be_read, index) else set_aside(index)
        return None


async def _probe(index: Path) -> None:
    """Read all of an index. Raises :class:`IndexDamaged`."""
    async with open_with_user_data(index, patience_s=_PATIENCE_S) as database:
        await database.transact(partial(_read_all, index))


def _read_all(index: Path, connection: sqlite3.Connection) -> None:
    (first,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if first != "ok":
        raise IndexDamaged(index, str(first))
    job_row(connection, BACKFILL)
    if mistyped := _mistyped(connection):
        raise IndexDamaged(index, f"a value in {mistyped} is of the wrong type")
    for search in ("thread_titles", "fulltext_trigrams"):
        connection.execute(f"INSERT INTO {search} ({search}) VALUES ('integrity-check')")


def _mistyped(connection: sqlite3.Connection) -> str | None:
    """Read every value, as a text may be no UTF-8: a table with one of the wrong type."""
    for table in metadata.sorted_tables:
        for _ in connection.execute(f"SELECT {', '.join(table.c.keys())} FROM {table.name}"):
            pass
        if connection.execute(mistyped_sql(table)).fetchone()[0]:
            return table.name
    return None


def _can_be_read(index: Path) -> bool:
    """Whether all of an index can be read while somebody writes to it. One without a table is being
    made."""
    uri = f"{index.absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as made:
        if made.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            return True
    try:
        with open_read_only(index) as connection:
            if _mistyped(connection):
                return False
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except StateError:
        return False


def set_aside(index: Path) -> Path:
    """Move a damaged database out of the way, with its sidecars. Raises IndexNotWritable if it
    cannot be moved."""
    number = 1
    while (aside := index.with_name(f"{index.name}.damaged-{number}")).exists():
        number += 1
    try:
        for suffix in SIDECARS:
            sidecar = Path(f"{index}{suffix}")
            if sidecar.exists():
                sidecar.rename(f"{aside}{suffix}")
        index.rename(aside)
    except OSError as error:
        reason = f"it is damaged and cannot be put aside: {error.strerror}"
        raise IndexNotWritable(index, reason) from error
    return aside


def remove_database(database: Path) -> None:
    """Delete a database with all files beside it."""
    for suffix in ("", ".lock", *SIDECARS):
        Path(f"{database}{suffix}").unlink(missing_ok=True)


def copy_index(index: Path, folder: Path) -> Path:
    """The path of a copy of an index in ``folder``, with its journal of user data and a link to the
    user's prices, for work whose result is thrown away. If the index cannot be read, there is no
    file at the path."""
    target = folder / INDEX_NAME
    try:
        with snapshot(index) as source, closing(connect(target)) as connection:
            source.backup(connection)
    except (OSError, sqlite3.Error):
        target.unlink(missing_ok=True)  # an index built from the files does as well
    with suppress(OSError):
        shutil.copyfile(journal_path(index), journal_path(target))
    prices_path(target).symlink_to(prices_path(index).absolute())
    return target
