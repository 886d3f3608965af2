"""Start again from nothing: a fresh index beside the old one, swapped in when it is whole.

Readers keep the old one until the very moment of the swap, which is one SQLite transaction
(its backup API copies the pages). What users set is carried over.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from state.backfill import backfill
from state.dump import known_facts
from state.engine import BUSY_TIMEOUT_S, open_database, translated
from state.errors import StateError
from state.facts import put_facts, read_facts
from state.lease import DEFAULT_LEASE_S
from state.sync import BATCH_FILES, Counts, Report


async def reindex(
    home: Path,
    path: Path,
    *,
    batch_files: int = BATCH_FILES,
    report: Report | None = None,
) -> tuple[Counts, Path | None]:
    """Build the index of ``home`` anew and put it in the place of the one at ``path``.

    Gives the counts, and where a damaged old index was put aside, if it was.

    Raises:
        HomeNotFound: there is nothing to build from; the old index stays.
        IndexTooNew: the old index belongs to a newer threadkeep; it stays.
    """
    fresh = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        facts, damaged = await known_facts(path)
        async with open_database(fresh) as database:
            async with database.write() as connection:
                await put_facts(connection, facts)
            counts = await backfill(
                database, home, lease_s=DEFAULT_LEASE_S, batch_files=batch_files, report=report
            )
        aside = _put_aside(path) if damaged else None
        with translated(path):
            _swap(fresh, path)
        async with open_database(path) as database, database.write() as connection:
            await put_facts(connection, read_facts(path))  # set while we were building
        return counts, aside
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{fresh}{suffix}").unlink(missing_ok=True)


def _swap(fresh: Path, path: Path) -> None:
    with (
        closing(sqlite3.connect(fresh)) as source,
        closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as target,
    ):
        target.execute("PRAGMA journal_mode = WAL")
        fence = target.execute("SELECT 1 FROM sqlite_master WHERE name = 'backfill_state'")
        held = 0
        if fence.fetchone():
            held = target.execute("SELECT fence FROM backfill_state").fetchone()[0]
        # A worker at the old index must find its lease lost, whatever number it holds.
        source.execute("UPDATE backfill_state SET fence = fence + ?", (held + 1,))
        source.commit()
        source.backup(target)
    path.chmod(0o600)


def _put_aside(path: Path) -> Path:
    """Move a database that is none out of the way, with its sidecars; nothing is deleted."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        for suffix in ("-wal", "-shm", "-journal"):
            sidecar = Path(f"{path}{suffix}")
            if sidecar.exists():
                sidecar.rename(f"{aside}{suffix}")
        path.rename(aside)
    except OSError as error:
        raise StateError(f"cannot put the damaged index {path} aside: {error}") from error
    return aside
