"""What Codex's own database says of threads, for explanations."""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from state.checks.findings import Finding
from state.codex.check import no_database, unusable
from state.codex.compare import TAKEOVER_S, findings_of_state
from state.codex.processes import processes_using
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
    "cli_version": "'?'",
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
    has_metadata: bool
    """Whether Codex could read the metadata in its file when the row was made: it has a version."""


@dataclass(frozen=True, slots=True)
class CodexLookup:
    """What Codex's database holds, or why it cannot be read."""

    database: Path
    state: CodexState | None = None
    """Its schema and backfill, without threads; None if it is missing or cannot be read."""
    rows: dict[str, CodexRow] = field(default_factory=dict)
    problem: str | None = None
    unusable: Finding | None = None
    """The same as a finding."""

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
    except (sqlite3.Error, OSError, CodexUnusable, NotComparable) as error:
        return CodexLookup(database, problem=str(error), unusable=unusable(database, error))


def stops_codex(codex: CodexLookup) -> bool:
    """Whether Codex does not start with the database now."""
    if codex.state is None:
        return codex.unusable is not None and codex.unusable.kind.code == "codex_unreadable"
    status, _, updated_at = codex.state.backfill
    if status == "running":
        return time.time() - updated_at < TAKEOVER_S
    return bool(codex.state.unfinished) or status not in ("pending", "complete")


_WRITES: Final = ("codex_schema_unknown", "codex_migrations_unknown")
"""What matters to us, who write the database, and not to what Codex shows."""


def findings_of_lookup(codex: CodexLookup, waiting: int) -> Iterator[Finding]:
    """What keeps Codex from showing threads; ``waiting`` ones have no row yet, but will."""
    if codex.unusable is not None:
        yield codex.unusable
    elif codex.state is None:
        yield no_database(codex.database)
    else:
        running = codex.state.backfill.status == "running"
        who = processes_using(codex.database) if running else None
        for finding in findings_of_state(codex.state, codex.database, who, waiting):
            if finding.kind.code not in _WRITES:
                yield finding


def _rows(connection: sqlite3.Connection) -> dict[str, CodexRow]:
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    present = {row[1] for row in connection.execute("PRAGMA table_info(threads)")}
    names = [name if name in present else default for name, default in _COLUMNS.items()]
    source, provider, cwd, preview, attached, version = names
    # Other programs may have written values that are no text, or none.
    id_, path, source = (f"coalesce(CAST({n} AS TEXT), '')" for n in ("id", "rollout_path", source))
    provider, cwd, attached = (f"CAST({name} AS TEXT)" for name in (provider, cwd, attached))
    found = connection.execute(
        f"SELECT {id_}, {path}, archived, {source}, {provider}, {cwd}, {preview} = '',"
        f" {attached}, {version} <> '' FROM threads"
    )
    rows = (
        CodexRow(id_, path, bool(archived), source, provider, cwd, bool(empty), attached, bool(has))
        for id_, path, archived, source, provider, cwd, empty, attached, has in found
    )
    return {row.id: row for row in rows}
