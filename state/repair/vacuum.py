"""Make an index as small as possible."""

from contextlib import closing
from pathlib import Path

from state.db.connect import BUSY_TIMEOUT_S, check_is_index, connect
from state.db.translate import translated
from state.errors import IndexMissing


def vacuum(path: Path, *, wait_s: float = BUSY_TIMEOUT_S) -> tuple[int, int]:
    """Rewrite the index at ``path`` without unused space: its bytes before and after.

    That takes as much space again beside it, and nobody else can write meanwhile.

    Raises:
        IndexBusy: another process kept the lock for longer than ``wait_s`` seconds.
        IndexMissing: there is none.
        StateError: it cannot be used; see :func:`state.db.connect.check_is_index`.
    """
    if not path.exists():
        raise IndexMissing(path)
    with translated(path, needed_bytes=_bytes(path)):
        with closing(connect(path, "rw", wait_s=wait_s)) as connection:
            check_is_index(path, connection)
            before = _bytes(path)
            for table in ("thread_titles", "fulltext_trigrams"):
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
            connection.execute("VACUUM")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:  # a reader uses the old pages; the next checkpoint removes them
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return before, _bytes(path)


def _bytes(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
