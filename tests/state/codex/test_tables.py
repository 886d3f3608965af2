"""Which changes of Codex's tables matter to our writes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from state.codex_db.tables import differences
from tests.state.codex.checked import check
from tests.state.codex.databases import STATE, STATE_OF_64, Codex


@pytest.mark.parametrize("state", [STATE, STATE_OF_64], ids=["0.169", "0.171"])
def test_the_databases_of_the_measured_versions_are_known(
    home: Path, index_path: Path, tmp_path: Path, state: bytes
) -> None:
    checked, found = check(home, index_path, Codex.empty(tmp_path, state).path)
    assert found == []
    assert checked.state
    assert checked.state.known
    assert len(checked.state.migrations) in (62, 64)


ALIKE: dict[str, list[str]] = {
    "a table made anew, in another order and layout": [
        'CREATE TABLE "new" (status text NOT  NULL, -- open or closed\n'
        '"child_thread_id" TEXT NOT NULL PRIMARY KEY, /* one */ [parent_thread_id] TEXT NOT NULL)',
        "DROP TABLE thread_spawn_edges",
        "ALTER TABLE new RENAME TO thread_spawn_edges",
    ],
    "a trigger for what we do not write": [
        "CREATE TRIGGER news AFTER UPDATE OF tokens_used, model ON threads"
        " BEGIN DELETE FROM threads; END"
    ],
    "a trigger of another table": [
        "CREATE TRIGGER news AFTER INSERT ON projects BEGIN DELETE FROM threads; END"
    ],
    "an index": ["CREATE INDEX news ON threads(name COLLATE NOCASE)"],
    "a unique index of another table": ["CREATE UNIQUE INDEX news ON projects(name)"],
    "a view": ["CREATE VIEW news AS SELECT id FROM threads"],
}
DIFFERENT: dict[str, tuple[list[str], str]] = {
    "a column more": (
        ["ALTER TABLE backfill_state ADD COLUMN owner TEXT"],
        "backfill_state has OWNER TEXT",
    ),
    "a column less": (
        ["ALTER TABLE threads DROP COLUMN creator_user_id"],
        "threads lacks CREATOR_USER_ID TEXT",
    ),
    "another name": (
        ["ALTER TABLE threads RENAME COLUMN archived_at TO archived_at_s"],
        "threads has ARCHIVED_AT_S INTEGER",
    ),
    "another type": (
        [
            "CREATE TABLE new (parent_thread_id TEXT NOT NULL,"
            " child_thread_id BLOB NOT NULL PRIMARY KEY, status TEXT NOT NULL)",
            "DROP TABLE thread_spawn_edges",
            "ALTER TABLE new RENAME TO thread_spawn_edges",
        ],
        "thread_spawn_edges has CHILD_THREAD_ID BLOB NOT NULL PRIMARY KEY",
    ),
    "a check": (
        [
            "CREATE TABLE new (id INTEGER PRIMARY KEY CHECK (id = 1), status TEXT NOT NULL CHECK"
            " (status IN ('Pending')), last_watermark TEXT, last_success_at INTEGER,"
            " updated_at INTEGER NOT NULL)",
            "DROP TABLE backfill_state",
            "ALTER TABLE new RENAME TO backfill_state",
        ],
        "backfill_state has STATUS TEXT NOT NULL CHECK ( STATUS IN ( 'Pending' ) )",
    ),
    "a strict table": (
        [
            "CREATE TABLE new (parent_thread_id TEXT NOT NULL,"
            " child_thread_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL) STRICT",
            "DROP TABLE thread_spawn_edges",
            "ALTER TABLE new RENAME TO thread_spawn_edges",
        ],
        "thread_spawn_edges has STRICT",
    ),
    "no table": (["DROP TABLE thread_read_receipts"], "there is no table thread_read_receipts"),
    "a view in its place": (
        [
            "DROP TABLE thread_spawn_edges",
            "CREATE VIEW thread_spawn_edges AS SELECT id AS parent_thread_id FROM threads",
        ],
        "there is no table thread_spawn_edges",
    ),
    "a trigger for a column of ours": (
        [
            "CREATE TRIGGER news AFTER UPDATE OF model, archived ON threads"
            " BEGIN DELETE FROM projects; END"
        ],
        "an unknown trigger: CREATE TRIGGER NEWS",
    ),
    "a trigger for every update": (
        ["CREATE TRIGGER news BEFORE UPDATE ON Threads BEGIN SELECT 1; END"],
        "an unknown trigger: CREATE TRIGGER NEWS",
    ),
    "a trigger for deletes": (
        ["CREATE TRIGGER news BEFORE DELETE ON thread_spawn_edges BEGIN SELECT 1; END"],
        "an unknown trigger: CREATE TRIGGER NEWS",
    ),
    "a trigger less": (
        ["DROP TRIGGER threads_recency_at_after_insert"],
        "a trigger is missing: CREATE TRIGGER THREADS_RECENCY_AT_AFTER_INSERT",
    ),
    "a unique index": (
        ["CREATE UNIQUE INDEX news ON threads(rollout_path)"],
        "an unknown unique index: CREATE UNIQUE INDEX NEWS",
    ),
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_changes_nothing_for_us_is_no_difference(tmp_path: Path, case: str) -> None:
    assert differences_after(tmp_path, ALIKE[case]) == []


@pytest.mark.parametrize("case", DIFFERENT)
def test_whatever_changes_what_we_write_is_a_difference(tmp_path: Path, case: str) -> None:
    statements, expected = DIFFERENT[case]
    assert differences_after(tmp_path, statements)[0].startswith(expected)


def differences_after(folder: Path, statements: list[str]) -> list[str]:
    codex = Codex.empty(folder)
    codex.change(*statements)
    with closing(sqlite3.connect(codex.path)) as connection:
        return differences(connection)
