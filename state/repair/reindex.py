"""Start again from nothing: a fresh index beside the old one, swapped in when it is whole.

Readers keep the old one until the very moment of the swap, which is one SQLite transaction
(its backup API copies the pages). What users set is carried over.
"""

import glob
import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from state.db.connect import connect
from state.db.database import journal_mode, open_database
from state.db.lock import locked
from state.db.sql import forget_inputs
from state.db.translate import translated
from state.jobs.lease import DEFAULT_LEASE_S
from state.jobs.progress import Report, SyncProgress
from state.repair.dump import known_user_data
from state.repair.recovery import SIDECARS, set_aside
from state.sync.backfill import backfill
from state.sync.sync import BATCH_FILES, apply_inputs
from state.userdata.journal import read_settings
from state.userdata.store import put_settings

_ABANDONED_S: Final = 86_400


async def reindex(
    home: Path,
    path: Path,
    *,
    batch_files: int = BATCH_FILES,
    report: Report | None = None,
) -> tuple[SyncProgress, Path | None]:
    """Build the index of ``home`` anew and put it in the place of the one at ``path``.

    Gives the counts, and where a damaged old index was put aside, if it was.

    Raises:
        HomeNotFound: there is nothing to build from; the old index stays.
        IndexTooNew: the old index belongs to a newer threadkeep; it stays.
        NotAnIndex: another program's database lies there; it stays.
    """
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}")
    _remove_leftovers(path)
    try:
        facts, damaged = await known_user_data(path)
        async with open_database(fresh) as database:
            async with database.write() as connection:
                await put_settings(connection, facts)
            counts = await backfill(
                database, home, lease_s=DEFAULT_LEASE_S, batch_files=batch_files, report=report
            )
        async with locked(path):
            async with open_database(fresh) as database:
                async with database.write() as connection:
                    await put_settings(
                        connection, read_settings(path)
                    )  # set while we were building
                    await forget_inputs(connection)
                await apply_inputs(database, home)
            aside = set_aside(path) if damaged else None
            with translated(path):
                swap_in(fresh, path)
        return counts, aside
    finally:
        _remove(fresh)


def _remove(database: Path) -> None:
    for suffix in ("", ".lock", *SIDECARS):
        Path(f"{database}{suffix}").unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove what a reindex that was killed has left behind; one under way changes its files."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.new-*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()


def swap_in(fresh: Path, path: Path) -> None:
    """Put the database ``fresh`` in the place of the index at ``path``, in one transaction.

    Raises:
        sqlite3.Error: it cannot be done; the index is as it was.
    """
    with (
        closing(connect(fresh)) as source,
        closing(connect(path)) as target,
    ):
        target.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
        for job in ("backfill_state", "fulltext_state"):
            known = "SELECT 1 FROM sqlite_master WHERE name = ?"
            held = 0
            if target.execute(known, [job]).fetchone():
                held = target.execute(f"SELECT max(fence) FROM {job}").fetchone()[0] or 0
            # A worker at the old index must find its lease lost, whatever number it holds.
            source.execute(f"UPDATE {job} SET fence = fence + ?", (held + 1,))
        source.backup(target)
    path.chmod(0o600)
