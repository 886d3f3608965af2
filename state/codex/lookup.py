"""What Codex's own database says of threads, for explanations."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from state.codex_db.database import (
    CodexState,
    NotComparable,
    has_database,
    quick_check,
    read_without_threads,
)
from state.db.snapshot import snapshot
from state.errors import CodexUnusable

_COLUMNS: Final = {
    "source": "'cli'",
    "model_provider": "NULL",
    "cwd": "NULL",
    "preview": "NULL",
    "attached_thread_parent_id": "NULL",
}
"""What the picker filters by, each with its value where an older schema has no such column."""


class CodexRow(NamedTuple):
    """A thread in Codex's own database."""

    id: str
    rollout_path: str
    archived: bool
    source: str
    provider: str | None
    cwd: str | None
    empty: bool
    """Whether it has no first message and no goal."""
    attached_to: str | None


@dataclass(frozen=True, slots=True)
class CodexLookup:
    """What Codex's database holds, or why it cannot be read."""

    database: Path
    state: CodexState | None = None
    """Its schema and backfill, without threads; None if it is missing or cannot be read."""
    rows: dict[str, CodexRow] = field(default_factory=dict)
    problem: str | None = None
    damaged: bool = False
    """Whether Codex moves it aside and builds a new one."""

    def will_come_to(self, path: str) -> bool:
        """Whether Codex's backfill will still read a file: it goes by path. It reads all for a new
        database."""
        if self.state is None:
            return True
        status, watermark, _ = self.state.backfill
        return status != "complete" and (watermark is None or path > watermark)


def look_up_in_codex(database: Path, *, whole: bool = False) -> CodexLookup:
    """What Codex's database has of threads. ``whole`` also looks for damage anywhere, as Codex does
    when it starts."""
    try:
        if not has_database(database):
            return CodexLookup(database)
        with snapshot(database) as connection:
            if whole and (damage := quick_check(connection)) != "ok":
                raise sqlite3.DatabaseError(damage)
            state = read_without_threads(connection)
            return CodexLookup(database, state, _rows(connection))
    except sqlite3.Error as error:
        return CodexLookup(database, problem=str(error), damaged=True)
    except (OSError, CodexUnusable, NotComparable) as error:
        return CodexLookup(database, problem=str(error))


def _rows(connection: sqlite3.Connection) -> dict[str, CodexRow]:
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    present = {row[1] for row in connection.execute("PRAGMA table_info(threads)")}
    source, provider, cwd, preview, attached = (
        name if name in present else default for name, default in _COLUMNS.items()
    )
    found = connection.execute(
        f"SELECT id, rollout_path, archived, {source}, {provider}, {cwd}, {preview} = '',"
        f" {attached} FROM threads"
    )
    return {
        id_: CodexRow(id_, path, bool(archived), source, provider, cwd, bool(empty), attached)
        for id_, path, archived, source, provider, cwd, empty, attached in found
    }
