"""Back up an index beside itself, and restore the newest backup."""

import glob
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from state.db.connect import connect
from state.db.database import open_database
from state.db.lock import locked
from state.db.translate import translated
from state.errors import IndexDamaged, NoBackup
from state.repair.recovery import remove_database
from state.repair.reindex import swap_in
from state.userdata.journal import read_settings
from state.userdata.store import apply_settings

_KEPT_BACKUPS: Final = 3


def back_up_index(index: Path, *, check: bool = True) -> Path | None:
    """Copy an index beside itself, with SQLite's backup: the path of the copy, None if there is no
    index. The newest few backups are kept. ``check`` has the copy checked. Raises IndexDamaged if
    it is damaged, and IndexNotWritable if there is no room for it."""
    if not index.exists():
        return None
    # In UTC, to the microsecond: a backup holds the write lock, so no two are equal.
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = index.with_name(f"{index.name}.backup-{stamp}")
    unfinished = index.with_name(f"{index.name}.backup-unfinished")  # until it is complete
    try:
        remove_database(unfinished)
        with (
            translated(index, needed_bytes=index.stat().st_size),
            closing(connect(index)) as source,
            closing(connect(unfinished)) as copy,
        ):
            source.backup(copy)
            # The copy must not need a -wal of its own.
            copy.execute("PRAGMA journal_mode = DELETE")
            if check:
                _check(index, copy)
        unfinished.chmod(0o600)
        unfinished.rename(target)
    except BaseException:
        remove_database(unfinished)
        raise
    for old in backups(index)[_KEPT_BACKUPS:]:
        old.unlink()
    return target


def _check(path: Path, connection: sqlite3.Connection) -> None:
    result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if result != "ok":
        raise IndexDamaged(path, str(result))


def backups(index: Path) -> list[Path]:
    """The backups of an index, the newest first."""
    return sorted(index.parent.glob(f"{glob.escape(index.name)}.backup-*Z"), reverse=True)


async def restore_backup(index: Path) -> Path:
    """Replace the index by its newest backup, in one SQLite transaction, and delete the backup: the
    path that it had. User data that was set since then is kept.

    Raises:
        IndexDamaged: the backup is.
        IndexTooNew: a newer threadkeep made the backup.
        NoBackup: there is none.
    """
    found = backups(index)
    if not found:
        raise NoBackup(index)
    async with locked(index):
        with translated(found[0]):
            with closing(connect(found[0])) as backup:
                _check(found[0], backup)
            async with open_database(found[0]):
                pass  # an earlier version may have made it: its tables have other names
            swap_in(found[0], index)
        async with open_database(index) as database:
            await database.transact(partial(apply_settings, settings=read_settings(index)))
        remove_database(found[0])
    return found[0]
