"""Fix Codex's own database, where that is safe.

It is written in one transaction, after a verified copy of it, only while no other process has it
open and only if its tables are the ones we know (:mod:`state.codex_db.tables`).
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rollout.schema.modes import PAGINATED
from state.checks.findings import Finding
from state.codex.backup import copy_database, discard, exclusively_open, note_fix, remove_old_copies
from state.codex.compare import compare_with_index
from state.codex.index_side import IndexSide, file_exists
from state.codex.rows import NewRow, read_rows
from state.codex_db.database import CodexState, quick_check, read_codex
from state.codex_db.notify import CodexUpdates
from state.codex_db.tables import THREAD_COLUMNS
from state.errors import CodexChanged, CodexSchemaUnknown, CodexUnusable
from state.userdata.marks import ON, PINNED
from state.userdata.model import NAME

_INSERT: Final = (
    f"INSERT INTO threads ({', '.join(THREAD_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name in THREAD_COLUMNS)})"
)
_INSERT_EDGE: Final = (
    "INSERT OR IGNORE INTO thread_spawn_edges (parent_thread_id, child_thread_id, status)"
    " VALUES (?, ?, 'open')"
)


@dataclass(slots=True)
class FixPlan:
    """The findings that can be fixed safely."""

    insert: set[str] = field(default_factory=set)
    """The threads that get a row."""
    paths: dict[str, str] = field(default_factory=dict)
    """The right path of each thread's row."""
    archived: dict[str, bool] = field(default_factory=dict)
    """The right flag of each thread's row."""
    names: dict[str, str] = field(default_factory=dict)
    """The right name of each thread's row."""
    pins: dict[str, bool] = field(default_factory=dict)
    """Whether each thread is pinned."""
    release: bool = False
    """Whether the backfill is set back to ``pending``, so that Codex continues it at once."""

    def add(self, finding: Finding) -> None:
        """Plan a fix for a finding, if there is one."""
        code, thread_id = finding.kind.code, finding.thread_id
        if code == "codex_backfill_stuck":
            self.release = True
        elif thread_id is None:
            return
        elif code == "codex_row_missing":
            self.insert.add(thread_id)
        elif code == "codex_path_wrong" and finding.expected:
            self.paths[thread_id] = finding.expected
        elif code == "codex_archived_differs":
            self.archived[thread_id] = finding.expected == "archived"
        elif code == "codex_name_differs" and finding.expected:
            self.names[thread_id] = finding.expected
        elif code == "codex_pin_differs":
            self.pins[thread_id] = finding.expected == "pinned"

    def __bool__(self) -> bool:
        changes = self.insert or self.paths or self.archived or self.names or self.pins
        return bool(changes or self.release)


async def fix(
    home: Path, ours: IndexSide, state: CodexState, database: Path, plan: FixPlan, folder: Path
) -> tuple[Path, int]:
    """Carry out ``plan``, which was made for ``state``. Gives the path of the copy in ``folder``
    and the number of rows inserted: a thread whose file can no longer be read gets none.

    Raises:
        CodexSchemaUnknown: its tables are not the ones we know.
        CodexInUse: another process has it open.
        CodexChanged: it needs other fixes now than were planned.
        CodexUnusable: it is damaged, or it or the copy cannot be written.
    """
    check_schema(state, database)
    rows = await read_rows(home, ours, sorted(plan.insert))  # before anybody has to wait for us
    with exclusively_open(database) as connection:
        now = read_codex(connection)
        check_schema(now, database)
        moved = not all(file_exists(path) for path in plan.paths.values())
        if moved or _needed(ours, now, home, database, plan) != plan:
            raise CodexChanged(database)
        backup = copy_database(connection, folder)
        try:
            connection.execute("BEGIN IMMEDIATE")
            _write(connection, database, ours, rows, plan)
            left = _needed(ours, read_codex(connection), home, database, plan)
            unread = plan.insert - {row.values["id"] for row in rows}
            damage = quick_check(connection)
            if left != FixPlan(insert=unread) or damage != "ok":
                raise CodexUnusable(database, f"the fix would leave it damaged: {damage}")
            note_fix(connection, backup)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            discard(backup)
            if isinstance(error, OSError):
                raise CodexUnusable(database, f"no copy can be made: {error.strerror}") from error
            raise
    remove_old_copies(folder, database)
    return backup, len(rows)


def check_schema(state: CodexState, database: Path) -> None:
    """Raise :class:`CodexSchemaUnknown` unless the tables are the ones we know."""
    if state.differences:
        raise CodexSchemaUnknown(database, state.migrations, state.differences)


def _needed(
    ours: IndexSide, state: CodexState, home: Path, database: Path, planned: FixPlan
) -> FixPlan:
    """The fixes that the database needs while only we have it open."""
    needed = FixPlan()
    for finding in compare_with_index(ours, state, home, database, []):
        needed.add(finding)
    # A backfill whose worker may have been alive then was not planned for.
    needed.release = needed.release and planned.release
    return needed


def _write(
    connection: sqlite3.Connection,
    database: Path,
    ours: IndexSide,
    rows: Sequence[NewRow],
    plan: FixPlan,
) -> None:
    connection.executemany(_INSERT, [row.values for row in rows])
    edges = [(row.parent_id, row.values["id"]) for row in rows if row.parent_id]
    connection.executemany(_INSERT_EDGE, edges)
    connection.executemany(
        "UPDATE threads SET rollout_path = ? WHERE id = ?",
        [(path, thread_id) for thread_id, path in plan.paths.items()],
    )
    connection.executemany(
        "UPDATE threads SET archived = ?, archived_at = ? WHERE id = ?",
        [
            (int(archived), _archived_at(ours, thread_id) if archived else None, thread_id)
            for thread_id, archived in plan.archived.items()
        ],
    )
    names, pins = dict(plan.names), dict(plan.pins)
    for row in rows:
        thread_id = row.values["id"]
        thread = ours.threads[thread_id]
        if thread.name is not None and thread.history_mode == PAGINATED:
            names[thread_id] = thread.name
        if thread.pinned:
            pins[thread_id] = True
    updates = CodexUpdates(database, connection)
    for thread_id, name in names.items():
        updates.change(thread_id, {NAME: name})
    for thread_id, pinned in pins.items():
        updates.change(thread_id, {PINNED: ON if pinned else None})
    if plan.release:
        connection.execute("UPDATE backfill_state SET status = 'pending' WHERE id = 1")


def _archived_at(ours: IndexSide, thread_id: str) -> int:
    """Seconds, as an index of an archived file has it."""
    return ours.files[ours.threads[thread_id].path].mtime_ns // 1_000_000_000
