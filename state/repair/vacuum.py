"""Make the index as small as it can be."""

import sqlite3
from contextlib import closing
from pathlib import Path

from state.db.database import room
from state.db.readonly import check_is_index
from state.db.translate import BUSY_TIMEOUT_S, translated
from state.errors import IndexMissing


def vacuum(path: Path, *, wait_s: float = BUSY_TIMEOUT_S) -> tuple[int, int]:
    """Rewrite the index at ``path`` without unused room: its bytes before and after.

    Meanwhile it takes as much room again beside it, and nobody else can write.

    Raises:
        IndexBusy: another process kept the lock for longer than ``wait_s`` seconds.
        IndexMissing: there is none.
        StateError: it cannot be used; see :func:`state.db.readonly.check_is_index`.
    """
    if not path.exists():
        raise IndexMissing(path)
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with room(path, _bytes(path)), translated(path):
        connecting = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)
        with closing(connecting) as connection:
            check_is_index(path, connection)
            before = _bytes(path)
            for table in ("thread_titles", "fulltext_trigrams"):
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
            connection.execute("VACUUM")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:  # a reader is at the old pages; they go with the next checkpoint
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return before, _bytes(path)


def _bytes(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
