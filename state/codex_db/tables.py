"""The tables of Codex's database that threadkeep writes, as Codex 0.169 and 0.171 make them.

A database may be written if these tables are the known ones, whatever else it holds: what a later
Codex adds beside them does not matter, what it changes in them does.
"""

import re
import sqlite3
from collections.abc import Iterator
from typing import Final

MEASURED: Final = (frozenset(range(1, 63)), frozenset(range(1, 65)))
"""The migrations of Codex 0.169 and of 0.171, whose databases were measured."""
UPDATED: Final = frozenset(
    {
        *("rollout_path", "archived", "archived_at", "updated_at", "updated_at_ms", "title"),
        *("name", "git_sha", "git_branch", "git_origin_url", "memory_mode", "status"),
        *("thread_section_id", "section_position", "section_entered_at_ms"),
    }
)
"""The columns that we update in any of the tables; we also insert and delete rows."""

_TABLES: Final = """
CREATE TABLE threads (
    id TEXT PRIMARY KEY, rollout_path TEXT NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, source TEXT NOT NULL, model_provider TEXT NOT NULL,
    cwd TEXT NOT NULL, title TEXT NOT NULL, sandbox_policy TEXT NOT NULL,
    approval_mode TEXT NOT NULL, tokens_used INTEGER NOT NULL DEFAULT 0,
    has_user_event INTEGER NOT NULL DEFAULT 0, archived INTEGER NOT NULL DEFAULT 0,
    archived_at INTEGER, git_sha TEXT, git_branch TEXT, git_origin_url TEXT,
    cli_version TEXT NOT NULL DEFAULT '', first_user_message TEXT NOT NULL DEFAULT '',
    agent_nickname TEXT, agent_role TEXT, memory_mode TEXT NOT NULL DEFAULT 'enabled', model TEXT,
    reasoning_effort TEXT, agent_path TEXT, created_at_ms INTEGER, updated_at_ms INTEGER,
    thread_source TEXT, preview TEXT NOT NULL DEFAULT '', recency_at INTEGER NOT NULL DEFAULT 0,
    recency_at_ms INTEGER NOT NULL DEFAULT 0, history_mode TEXT NOT NULL DEFAULT 'legacy',
    name TEXT, is_pinned INTEGER NOT NULL DEFAULT 0,
    thread_section_id TEXT REFERENCES thread_sections(id) ON DELETE SET NULL,
    section_position INTEGER, section_entered_at_ms INTEGER,
    project_id TEXT REFERENCES projects(id) ON DELETE SET NULL, originator TEXT,
    daybreak_enabled BOOLEAN, creator_user_id TEXT, creator_account_id TEXT,
    attached_thread_parent_id TEXT
);
CREATE TABLE thread_spawn_edges (
    parent_thread_id TEXT NOT NULL, child_thread_id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL
);
CREATE TABLE thread_read_receipts (
    thread_id TEXT PRIMARY KEY NOT NULL, first_unread_turn TEXT, revision TEXT NOT NULL,
    last_published_turn TEXT
);
CREATE TABLE backfill_state (
    id INTEGER PRIMARY KEY CHECK (id = 1), status TEXT NOT NULL, last_watermark TEXT,
    last_success_at INTEGER, updated_at INTEGER NOT NULL
);
"""
THREAD_COLUMNS: Final = tuple(
    re.findall(r"(\w+) (?:TEXT|INTEGER|BOOLEAN)", _TABLES.partition(";")[0])
)
"""The columns of ``threads``, which a new row gets."""
_TRIGGERS: Final = """
CREATE TRIGGER threads_created_at_ms_after_insert AFTER INSERT ON threads
WHEN NEW.created_at_ms IS NULL
BEGIN UPDATE threads SET created_at_ms = NEW.created_at * 1000 WHERE id = NEW.id; END
--
CREATE TRIGGER threads_updated_at_ms_after_insert AFTER INSERT ON threads
WHEN NEW.updated_at_ms IS NULL
BEGIN UPDATE threads SET updated_at_ms = NEW.updated_at * 1000 WHERE id = NEW.id; END
--
CREATE TRIGGER threads_updated_at_ms_after_update AFTER UPDATE OF updated_at ON threads
WHEN NEW.updated_at != OLD.updated_at AND NEW.updated_at_ms IS OLD.updated_at_ms
BEGIN UPDATE threads SET updated_at_ms = NEW.updated_at * 1000 WHERE id = NEW.id; END
--
CREATE TRIGGER threads_recency_at_after_insert AFTER INSERT ON threads
WHEN NEW.recency_at_ms = 0
BEGIN UPDATE threads SET recency_at = NEW.updated_at,
recency_at_ms = COALESCE(NEW.updated_at_ms, NEW.updated_at * 1000) WHERE id = NEW.id; END
"""
"""The triggers that our writes can fire."""

_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')"""
    r"""|(?P<name>"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\])|(?P<word>[\w.$]+)|(?P<sign>.)""",
    re.DOTALL,
)
_EVENTS: Final = frozenset({"DELETE", "INSERT", "UPDATE"})


def differences(connection: sqlite3.Connection) -> list[str]:
    """How the tables that we write differ from the known ones: in columns, constraints, unique
    indexes, or triggers that would fire. Empty if a write does what it is meant to do."""
    found = []
    tables = dict(_texts(connection, "table", "name"))
    for name, known in _KNOWN_TABLES.items():
        if name not in tables:
            found.append(f"there is no table {name}")
            continue
        there = _definitions(tables[name])
        found += [f"{name} has {what}" for what in sorted(there - known)]
        found += [f"{name} lacks {what}" for what in sorted(known - there)]
    triggers = {
        " ".join(tokens)
        for table, sql in _texts(connection, "trigger", "tbl_name")
        if table.lower() in _KNOWN_TABLES and _fires(tokens := _tokens(sql))
    }
    found += [f"an unknown trigger: {what}" for what in sorted(triggers - _KNOWN_TRIGGERS)]
    found += [f"a trigger is missing: {what}" for what in sorted(_KNOWN_TRIGGERS - triggers)]
    for table, sql in _texts(connection, "index", "tbl_name"):
        if table.lower() in _KNOWN_TABLES and _tokens(sql)[1] == "UNIQUE":
            found.append(f"an unknown unique index: {' '.join(_tokens(sql))}")
    return found


def _texts(connection: sqlite3.Connection, kind: str, column: str) -> Iterator[tuple[str, str]]:
    """The name or table of each object of a kind, with the SQL that makes it."""
    sql = f"SELECT {column}, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL"
    yield from connection.execute(f"{sql} ORDER BY name", [kind])


def _tokens(sql: str) -> list[str]:
    """The words and signs of a statement, whatever its layout; strings stay as they are."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind, text = match.lastgroup, match.group()
        if kind == "name":
            found.append(text[1:-1].replace('""', '"').upper())
        elif kind != "blank":
            found.append(text if kind == "text" else text.upper())
    return found


def _definitions(sql: str) -> frozenset[str]:
    """The columns and constraints of a table, in no order, and its options."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in _tokens(sql):
        depth -= token == ")"
        if (depth == 0 and token in "()") or (depth == 1 and token == ","):
            parts.append([])
        else:
            parts[-1].append(token)
        depth += token == "("
    return frozenset(" ".join(part) for part in parts[1:] if part)  # without CREATE TABLE x


def _fires(trigger: list[str]) -> bool:
    """Whether one of our writes fires a trigger."""
    event = next(i for i, token in enumerate(trigger) if i > 2 and token in _EVENTS)
    if trigger[event : event + 2] != ["UPDATE", "OF"]:
        return True
    columns = trigger[event + 2 : trigger.index("ON", event)]
    return not UPDATED.isdisjoint(column.lower() for column in columns)


def _statements(script: str, end: str) -> Iterator[str]:
    return (statement for statement in script.split(end) if statement.strip())


_KNOWN_TABLES: Final = {
    _tokens(statement)[2].lower(): _definitions(statement)
    for statement in _statements(_TABLES, ";")
}
_KNOWN_TRIGGERS: Final = frozenset(
    " ".join(_tokens(statement)) for statement in _statements(_TRIGGERS, "\n--\n")
)
