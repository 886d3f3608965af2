"""Rebuild an index beside the old one, and swap it in when it is complete.

Readers keep the old one until the swap, which is one SQLite transaction (its backup API copies the
pages). User data is carried over, and what is remembered of Codex's database.
"""

import glob
import os
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.access import refusing
from rollout.files.scan import INACCESSIBLE, scan_home
from state.db.connect import connect
from state.db.database import journal_mode, open_database
from state.db.lock import locked
from state.db.snapshot import read_only
from state.db.translate import translated
from state.errors import FileUnusable
from state.fulltext.indexer import MESSAGES
from state.jobs.progress import Away, Report, SyncProgress
from state.repair.dump import known_user_data
from state.repair.recovery import remove_database, set_aside
from state.rows.ledger import away_in, compare_with_ledger
from state.sync.backfill import backfill
from state.sync.from_codex import remember_as
from state.sync.sync import BATCH_FILES, apply_inputs
from state.userdata.journal import read_settings
from state.userdata.store import apply_settings, put_settings

_ABANDONED_S: Final = 86_400


async def reindex(
    home: Path, path: Path, *, batch_files: int = BATCH_FILES, report: Report | None = None
) -> tuple[SyncProgress, Path | None]:
    """Rebuild the index of ``home``, and replace the one at ``path``.

    Gives the progress, and the path to which a damaged old index was set aside, if it was.

    Raises:
        FileUnusable: a folder cannot be accessed, and the new index would lack the threads of the
            old one in it; the old index stays.
        HomeNotFound: there is nothing to build from; the old index stays.
        IndexTooNew: the old index belongs to a newer threadkeep; it stays.
        NotAnIndex: the file is another program's database; it stays.
    """
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}")
    _remove_leftovers(path)
    try:
        settings, damaged = await known_user_data(path)
        if not damaged:
            _check_nothing_is_lost(home, path, away_in(compare_with_ledger(scan_home(home), {})))
        async with open_database(fresh) as database:
            await database.transact(partial(put_settings, settings=settings))
            counts = await backfill(
                database, home, batch_files=batch_files, report=report, beside=MESSAGES
            )
        if not damaged:
            _check_nothing_is_lost(home, path, counts.away)
        async with locked(path):
            async with open_database(fresh) as database:
                settings = read_settings(path)  # set during the backfill
                await database.transact(partial(apply_settings, settings=settings))
                await apply_inputs(database, home)
                if path.exists() and not damaged:
                    with translated(path), read_only(path) as replaced:
                        await database.transact(partial(remember_as, replaced))
            aside = set_aside(path) if damaged else None
            with translated(path):
                swap_in(fresh, path)
        return counts, aside
    finally:
        remove_database(fresh)


def _check_nothing_is_lost(home: Path, path: Path, away: Sequence[Away]) -> None:
    """Raise FileUnusable if the index at ``path`` has threads in what cannot be accessed now."""
    if not (away and path.exists()):
        return
    threads = "SELECT count(DISTINCT id) FROM threads WHERE substr(rollout_path || '/', 1, ?) = ?"
    with translated(path), read_only(path) as connection:
        for place, reason in away:
            below = f"{place}/"
            (lost,) = connection.execute(threads, [len(below), below]).fetchone()
            if lost:
                why = reason.removeprefix(f"{INACCESSIBLE}: ")
                count = "1 thread" if lost == 1 else f"{lost:,} threads"
                lacking = refusing(PermissionError(), home / place)
                what = f"{why}. A new index would lack the {count} there; the old one stays"
                raise FileUnusable(lacking, what)


def _remove_leftovers(path: Path) -> None:
    """Delete the files that a killed reindex has left; one under way changes its files."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.new-*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()


def swap_in(fresh: Path, path: Path) -> None:
    """Replace the index at ``path`` by the database ``fresh``, in one transaction. Raises
    sqlite3.Error if it fails; the index is as it was."""
    with closing(connect(fresh)) as source, closing(connect(path)) as target:
        target.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
        for job in ("backfill_state", "fulltext_state", "fleet_state"):
            known = "SELECT 1 FROM sqlite_master WHERE name = ?"
            held = 0
            if target.execute(known, [job]).fetchone():
                held = target.execute(f"SELECT max(fence) FROM {job}").fetchone()[0] or 0
            # A worker of the old index must find its lease lost, whatever its fence.
            source.execute(f"UPDATE {job} SET fence = fence + ?", (held + 1,))
        source.backup(target)
    path.chmod(0o600)
