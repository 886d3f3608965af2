"""The lock file beside an index. Its existence shows that the index is ours, and its lock
serialises work on more than the database.

It is held while a damaged index is set aside, while a new index replaces the old one, and while
user data changes in both the journal and the index. SQLite's own lock is taken after it, never
before.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from rollout.files.writer_lock import try_lock
from state.errors import IndexBusy, IndexNotWritable

_PATIENCE_S: Final = 10.0


def lock_path(index: Path) -> Path:
    """The lock file of an index."""
    return index.with_name(f"{index.name}.lock")


def mark_index(index: Path) -> None:
    """Create the lock file if it does not exist. Raises IndexNotWritable if it cannot be
    created."""
    if not lock_path(index).exists():
        os.close(_open(index))


@asynccontextmanager
async def locked(index: Path, patience_s: float = _PATIENCE_S) -> AsyncGenerator[None]:
    """Hold the lock of an index; the end of the process releases it too. Raises IndexBusy if
    another process kept it for ``patience_s`` seconds, and IndexNotWritable if the lock file cannot
    be opened."""
    descriptor = _open(index)
    try:
        until = time.monotonic() + patience_s
        while not try_lock(descriptor):
            if time.monotonic() >= until:
                raise IndexBusy(index, patience_s)
            await asyncio.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _open(index: Path) -> int:
    try:
        return os.open(lock_path(index), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise IndexNotWritable(index, f"{error.strerror}: {error.filename}") from error
