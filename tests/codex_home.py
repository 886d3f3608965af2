"""A home with the database that a real Codex 0.169 made of it, and what to do to both."""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from .conftest import FIXTURES, copy_corpus
from .gold import GOLD_HOME

STATE = gzip.decompress((FIXTURES / "codex" / "state_5.sqlite.gz").read_bytes())


def codex_home(target: Path) -> Path:
    """A copy of the corpus home with Codex's database in it, closed, in WAL mode."""
    home = copy_corpus(target)
    (home / "state_5.sqlite").write_bytes(STATE)
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    change(
        home,
        "UPDATE threads SET rollout_path = replace(rollout_path, ?, ?)",
        f"{GOLD_HOME}/",
        f"{home.resolve()}/",
    )
    return home


def change(home: Path, sql: str, *parameters: Any) -> None:
    """Change Codex's database."""
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection, connection:
        connection.execute(sql, parameters)


def rows(home: Path, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """What a query of Codex's database gives."""
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]


def by_id(home: Path) -> dict[str, dict[str, Any]]:
    """Every row of ``threads``."""
    return {row["id"]: row for row in rows(home, "SELECT * FROM threads")}
