"""Ways to damage an index."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def sql(*statements: str) -> Callable[[Path], None]:
    """What runs statements on an index, without its constraints."""

    def harm(index: Path) -> None:
        with closing(sqlite3.connect(index)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return harm


def garbage(index: Path) -> None:
    """Have the index hold anything."""
    index.write_bytes(os.urandom(20_000))


def truncated(index: Path) -> None:
    """Cut off half of the index."""
    os.truncate(index, index.stat().st_size // 2)


def damaged_pages(index: Path) -> None:
    """Spoil every third page of the index."""
    data = bytearray(index.read_bytes())
    for page in range(3, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 2048] = os.urandom(2048)
    index.write_bytes(data)
