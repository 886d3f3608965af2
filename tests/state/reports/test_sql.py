"""Questions in SQL can read everything in the index and change nothing; the index can be made
small."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.errors import (
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IndexTooNew,
    InvalidSql,
    NotAnIndex,
)
from state.repair.vacuum import vacuum
from state.reports.sql import LARGEST_VALUE, run_sql

VIEWS = ("v_threads", "v_files", "v_tools", "v_edges", "v_user_data", "v_tags", "v_aliases")


@pytest.fixture
def index(corpus_index: Path, tmp_path: Path) -> Path:
    """An index that a test may change."""
    return Path(shutil.copy(corpus_index, tmp_path / "copy.sqlite3"))


def change(index: Path, *statements: str) -> None:
    """Change an index behind the program's back."""
    with closing(sqlite3.connect(index)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def answer(index: Path, sql: str) -> Sequence[tuple[Any, ...]]:
    """All rows of an answer."""
    with run_sql(index, sql) as found:
        return list(found.rows)


WRITES = [
    "DELETE FROM threads",
    "UPDATE threads SET name = 'x'",
    "INSERT INTO index_meta VALUES ('a', 'b')",
    "REPLACE INTO index_meta VALUES ('a', 'b')",
    "WITH x AS (SELECT 1) DELETE FROM user_data",
    "DELETE FROM user_data RETURNING *",
    "INSERT INTO thread_titles (thread_titles) VALUES ('rebuild')",
    "CREATE TABLE mine (x)",
    "CREATE TEMP TABLE mine (x)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE TEMP VIEW mine AS SELECT 1",
    "CREATE INDEX mine ON threads (name)",
    "CREATE TEMP TRIGGER mine AFTER INSERT ON threads BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE temp.mine USING fts5(x)",
    "DROP VIEW v_threads",
    "DROP TABLE threads",
    "ALTER TABLE threads ADD COLUMN mine",
    "ATTACH ':memory:' AS other",
    "ATTACH 'file:new.sqlite3?mode=rwc' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO 'new.sqlite3'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT mine",
    "PRAGMA query_only = OFF",
    "PRAGMA query_only",
    "PRAGMA user_version = 7",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA writable_schema = ON",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA temp_store_directory = '.'",
    "PRAGMA incremental_vacuum",
    "PRAGMA optimize",
    "SELECT load_extension('mine')",
    "SELECT * FROM pragma_query_only",
    "SELECT * FROM fts5vocab",
    "EXPLAIN DELETE FROM threads",
]


@pytest.mark.parametrize("sql", WRITES)
def test_what_would_do_more_than_read_is_refused(
    sql: str, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = index.read_bytes()
    with pytest.raises(InvalidSql):
        answer(index, sql)
    assert index.read_bytes() == before
    assert not (tmp_path / "new.sqlite3").exists()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "it contains no statement"),
        (" ; ", "it contains no statement"),
        ("-- nothing", "it contains no statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT 'open", "unrecognized token"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT nope FROM v_threads", "no such column: nope"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT frob(1)", "no such function: frob"),
        ("SELECT ?", "binding"),
        ("SELECT 1\0", "null character"),
        ("SELECT '\ud800'", "surrogates not allowed"),
        ("SELECT * FROM thread_titles WHERE thread_titles MATCH '\"'", "unterminated string"),
        ("SELECT json_extract('{', '$.a')", "malformed JSON"),
        ("SELECT abs(-9223372036854775807 - 1)", "integer overflow"),
        (f"SELECT zeroblob({LARGEST_VALUE + 1})", "too big"),
    ],
)
def test_a_statement_that_fails_says_why(sql: str, reason: str, corpus_index: Path) -> None:
    with pytest.raises(InvalidSql, match=reason):
        answer(corpus_index, sql)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT 1 AS one;", [(1,)]),
        ("VALUES (NULL, x'00ff', 1.5, -9223372036854775808)", [(None, b"\0\xff", 1.5, -(2**63))]),
        ("SELECT CAST(x'61ff62' AS TEXT)", [("a\ufffdb",)]),
        ("WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n LIMIT 3) SELECT x FROM n",
         [(1,), (2,), (3,)]),
        ("SELECT value FROM json_each('[1, 2]')", [(1,), (2,)]),
        ("SELECT name FROM pragma_table_info('index_meta')", [("key",), ("value",)]),
        ("SELECT 1 FROM v_threads WHERE 0", []),
        ("SELECT upper('a') || length('b')", [("A1",)]),
    ],
)  # fmt: skip
def test_an_answer(sql: str, found: list[tuple[Any, ...]], corpus_index: Path) -> None:
    assert answer(corpus_index, sql) == found


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA table_info(threads)",
        "PRAGMA index_list('threads')",
        "EXPLAIN QUERY PLAN SELECT * FROM v_threads",
        "SELECT rowid FROM thread_titles WHERE thread_titles MATCH 'prompt' OR 1 LIMIT 1",
        "SELECT name FROM sqlite_master",
        "SELECT * FROM alembic_version",
        *(
            f"SELECT * FROM {view}"
            for view in VIEWS
            if view not in ("v_user_data", "v_tags", "v_aliases")
        ),
    ],
)
def test_everything_in_the_index_can_be_read(sql: str, corpus_index: Path) -> None:
    assert answer(corpus_index, sql)


def test_the_views_say_what_the_tables_say(index: Path) -> None:
    change(
        index,
        "INSERT INTO user_data VALUES ('t', 'name', 'mine', 1780000000000), ('u', 'name', NULL, 1)",
        "INSERT INTO path_aliases VALUES ('/a', '/a', '/b', '/b', 1780000000000),"
        " ('/c', '/c', NULL, NULL, 1)",
    )
    time = ("2026-05-28T20:26:40Z", 1_780_000_000_000)
    assert answer(index, "SELECT * FROM v_user_data") == [("t", "name", "mine", *time)]
    assert answer(index, "SELECT * FROM v_aliases") == [("/a", "/b", *time)]
    for view, table in (
        ("v_threads", "threads"),
        ("v_files", "rollout_files"),
        ("v_tools", "thread_dynamic_tools"),
        ("v_edges", "thread_spawn_edges"),
    ):
        counts = f"SELECT (SELECT count(*) FROM {view}), (SELECT count(*) FROM {table})"
        [(of_view, of_table)] = answer(index, counts)
        assert of_view == of_table > 0
    [(wrong,)] = answer(
        index,
        "SELECT count(*) FROM v_threads v JOIN threads t USING (id) WHERE"
        " v.cwd <> t.cwd OR v.tokens <> t.tokens_used OR v.path <> t.rollout_path"
        " OR strftime('%s', v.created) * 1000 <> t.created_at_ms / 1000 * 1000"
        " OR (v.hidden = 'archived') <> t.archived",
    )
    assert wrong == 0


def test_rows_come_as_they_are_taken_and_of_one_state(index: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    with run_sql(index, endless) as found:
        assert found.columns == ["x"]
        assert [next(found.rows) for _ in range(3)] == [(1,), (2,), (3,)]
    with run_sql(index, "SELECT id FROM threads") as found:
        next(found.rows)
        change(index, "DELETE FROM threads")
        assert len(list(found.rows)) == 193
    assert answer(index, "SELECT id FROM threads") == []


def test_what_fails_after_the_first_row_is_reported_then(corpus_index: Path) -> None:
    sql = "SELECT abs(CASE value WHEN 2 THEN -9223372036854775807 - 1 ELSE 1 END)"
    with run_sql(corpus_index, f"{sql} FROM json_each('[1, 1, 1, 2]')") as found:
        assert next(found.rows) == (1,)
        with pytest.raises(InvalidSql, match="integer overflow"):
            list(found.rows)


def test_an_index_that_cannot_be_asked_has_its_own_error(index: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexMissing):
        answer(tmp_path / "nothing.sqlite3", "SELECT 1")
    assert not (tmp_path / "nothing.sqlite3").exists()
    change(index, "UPDATE alembic_version SET version_num = 'v9999'")
    with pytest.raises(IndexTooNew):
        answer(index, "SELECT 1")
    index.write_bytes(b"garbage " * 1000)
    with pytest.raises(IndexDamaged):
        answer(index, "SELECT 1")
    theirs = tmp_path / "theirs.sqlite3"
    change(theirs, "CREATE TABLE theirs (x)")
    for use in (lambda: answer(theirs, "SELECT 1"), lambda: vacuum(theirs)):
        with pytest.raises(NotAnIndex):
            use()


def test_damage_that_a_statement_meets_is_damage(index: Path) -> None:
    content = bytearray(index.read_bytes())
    for page in range(12, len(content) // 4096):
        content[page * 4096 : page * 4096 + 4000] = b"\xa5" * 4000
    index.write_bytes(content)
    with pytest.raises(IndexDamaged):
        answer(index, "SELECT * FROM threads")


def test_vacuum_gives_unused_room_back_and_keeps_everything(index: Path) -> None:
    change(
        index,
        "CREATE TABLE big AS SELECT randomblob(1000000) AS data",
        "DROP TABLE big",
    )
    ids = answer(index, "SELECT rowid, search_text FROM thread_titles ORDER BY 1")
    size = index.stat().st_size
    before, after = vacuum(index)
    assert before >= size
    assert after <= size - 1_000_000
    assert index.stat().st_size == after
    assert answer(index, "SELECT rowid, search_text FROM thread_titles ORDER BY 1") == ids
    again = vacuum(index)
    assert again == (after, after)


def test_vacuum_needs_the_lock(index: Path) -> None:
    with closing(sqlite3.connect(index, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(IndexBusy):
            vacuum(index, wait_s=0.05)
        writer.execute("ROLLBACK")
    assert vacuum(index)[1] > 0


def test_vacuum_beside_a_reader_leaves_him_what_he_reads(index: Path) -> None:
    with run_sql(index, "SELECT id FROM threads") as found:
        next(found.rows)
        vacuum(index, wait_s=0.05)
        assert len(list(found.rows)) == 193
    assert vacuum(index)[1] > 0


def test_vacuum_makes_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing):
        vacuum(tmp_path / "nothing.sqlite3")
    assert list(tmp_path.iterdir()) == []
