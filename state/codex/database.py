"""Codex's own index, ``state_5.sqlite``: where it lies and what it says
(docs/schema.md#codexs-own-database)."""

import os
import sqlite3
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from state.codex.tables import MEASURED, differences
from state.errors import CodexSchemaUnknown

STATE_FILE: Final = "state_5.sqlite"
THREAD_COLUMNS: Final = (
    "id",
    "rollout_path",
    "created_at",
    "updated_at",
    "source",
    "model_provider",
    "cwd",
    "title",
    "sandbox_policy",
    "approval_mode",
    "tokens_used",
    "has_user_event",
    "archived",
    "archived_at",
    "git_sha",
    "git_branch",
    "git_origin_url",
    "cli_version",
    "first_user_message",
    "agent_nickname",
    "agent_role",
    "memory_mode",
    "model",
    "reasoning_effort",
    "agent_path",
    "created_at_ms",
    "updated_at_ms",
    "thread_source",
    "preview",
    "recency_at",
    "recency_at_ms",
    "history_mode",
    "name",
    "is_pinned",
    "thread_section_id",
    "section_position",
    "section_entered_at_ms",
    "project_id",
    "originator",
    "daybreak_enabled",
    "creator_user_id",
    "creator_account_id",
    "attached_thread_parent_id",
)
"""The columns of ``threads`` that a new row gets."""

_NEEDED: Final = ("id", "rollout_path", "archived")
_DEFAULTS: Final = {
    "title": "''",
    "first_user_message": "''",
    "name": "NULL",
    "history_mode": "'legacy'",
}
"""What stands for a column that older schemas do not have."""


class CodexThread(NamedTuple):
    """What is compared of a row of Codex's ``threads``."""

    id: str
    rollout_path: str
    archived: bool
    title: str
    first_user_message: str
    name: str | None
    history_mode: str


class CodexBackfill(NamedTuple):
    """The one row of Codex's ``backfill_state``."""

    status: str
    watermark: str | None
    updated_at: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class CodexState:
    """One state of Codex's database."""

    threads: dict[str, CodexThread]
    backfill: CodexBackfill
    migrations: frozenset[int]
    unfinished: frozenset[int]
    """Of those, the ones that were begun and never ended: Codex refuses such a database."""
    differences: tuple[str, ...]
    """What is not as it is known of the tables that are written; empty if it may be written."""

    @property
    def known(self) -> bool:
        """Whether it may be written."""
        return not self.differences

    @property
    def measured(self) -> bool:
        """Whether its migrations are those of a Codex that was measured."""
        return self.migrations in MEASURED


class NotComparable(Exception):
    """The database has no table of threads with the columns that a comparison needs."""


def codex_database(home: Path, sqlite_home: Path | None = None) -> Path:
    """Where the database of the Codex that uses ``home`` lies, whether it is there or not.

    ``sqlite_home`` is what ``CODEX_SQLITE_HOME`` names; ``config.toml``'s goes before it.
    """
    try:
        with (home / "config.toml").open("rb") as file:
            configured = tomllib.load(file).get("sqlite_home")
    except (OSError, ValueError):
        configured = None
    if isinstance(configured, str) and configured:
        return home / os.path.expanduser(configured) / STATE_FILE
    return (sqlite_home or home) / STATE_FILE


def read_codex(connection: sqlite3.Connection) -> CodexState:
    """What the database that ``connection`` has open says.

    Raises:
        NotComparable: it has no ``threads`` that could be compared.
        sqlite3.Error: it is damaged.
    """
    connection.text_factory = _lenient
    columns = _columns(connection, "threads")
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise NotComparable(f"its table threads has no {', '.join(missing)}")
    migrations = _migrations(connection)
    return CodexState(
        threads=_threads(connection, columns),
        backfill=_backfill(connection),
        migrations=frozenset(migrations),
        unfinished=frozenset(version for version, ended in migrations.items() if not ended),
        differences=tuple(_differences(connection, migrations)),
    )


def check_writable(connection: sqlite3.Connection, database: Path) -> None:
    """Return if the database that ``connection`` has open may be written.

    Raises:
        CodexSchemaUnknown: its tables are not as they are known.
        sqlite3.Error: it is damaged.
    """
    migrations = _migrations(connection)
    if different := _differences(connection, migrations):
        raise CodexSchemaUnknown(database, migrations, different)


def _differences(connection: sqlite3.Connection, migrations: Mapping[int, bool]) -> list[str]:
    if not migrations:
        return ["it has no list of migrations"]
    unfinished = [version for version, ended in migrations.items() if not ended]
    if unfinished:
        return [f"migration {min(unfinished)} was begun and never ended"]
    return differences(connection)


def _migrations(connection: sqlite3.Connection) -> dict[int, bool]:
    """The migrations that were begun, each with whether it ended."""
    if not {"version", "success"} <= set(_columns(connection, "_sqlx_migrations")):
        return {}
    found = connection.execute("SELECT version, success FROM _sqlx_migrations")
    return {int(version): bool(success) for version, success in found}


def _threads(connection: sqlite3.Connection, columns: list[str]) -> dict[str, CodexThread]:
    wanted = [
        name if name in columns else f"{_DEFAULTS[name]} AS {name}" for name in CodexThread._fields
    ]
    found = connection.execute(f"SELECT {', '.join(wanted)} FROM threads ORDER BY id")
    return {
        str(row[0]): CodexThread(
            id=str(row[0]),
            rollout_path=str(row[1]),
            archived=bool(row[2]),
            title=str(row[3]),
            first_user_message=str(row[4]),
            name=None if row[5] is None else str(row[5]),
            history_mode=str(row[6]),
        )
        for row in found
    }


def _backfill(connection: sqlite3.Connection) -> CodexBackfill:
    if {"status", "last_watermark", "updated_at"} <= set(_columns(connection, "backfill_state")):
        row = connection.execute(
            "SELECT status, last_watermark, updated_at FROM backfill_state WHERE id = 1"
        ).fetchone()
        if row is not None:
            watermark = None if row[1] is None else str(row[1])
            return CodexBackfill(str(row[0]), watermark, row[2] if isinstance(row[2], int) else 0)
    return CodexBackfill("pending", None, 0)  # Codex makes the row at its next start


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "replace")
