"""Questions in SQL: they can do nothing but read, whatever they say."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.ask import LARGEST_VALUE, ask
from state.errors import (
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IndexTooNew,
    IndexUnavailable,
    InvalidSql,
    NotAnIndex,
)
from state.vacuum import vacuum

from .conftest import FIXTURES


@pytest.fixture
def index(corpus_index: Path, tmp_path: Path) -> Path:
    """An index that a test may damage."""
    return Path(shutil.copy(corpus_index, tmp_path / "index.sqlite3"))


def answer(index: Path, sql: str) -> list[tuple[Any, ...]]:
    with ask(index, sql) as found:
        return list(found.rows)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM threads",
        "UPDATE threads SET name = 'x'",
        "INSERT INTO index_meta VALUES ('a', 'b')",
        "INSERT INTO thread_titles (thread_titles) VALUES ('rebuild')",
        "WITH gone AS (SELECT 1) DELETE FROM threads",
        "UPDATE threads SET name = 'x' RETURNING id",
        "DROP VIEW v_threads",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "CREATE TEMP VIEW t AS SELECT 1",
        "ALTER TABLE threads ADD COLUMN x",
        "ATTACH 'other.sqlite3' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'other.sqlite3'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 5",
        "PRAGMA writable_schema = ON",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA temp_store_directory = '/'",
        "PRAGMA optimize",
        "SELECT load_extension('x.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT * FROM pragma_wal_checkpoint",
        "SELECT * FROM pragma_user_version",
    ],
)
def test_whatever_would_do_more_than_read_is_refused(sql: str, index: Path) -> None:
    before = index.read_bytes()
    with pytest.raises(InvalidSql):
        answer(index, sql)
    assert index.read_bytes() == before
    assert {path.name for path in index.parent.iterdir()} <= {
        index.name,
        f"{index.name}-shm",
        f"{index.name}-wal",
    }


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "no statement"),
        ("-- words", "no statement"),
        (";", "no statement"),
        ("SELEKT", "syntax error"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT 1; DELETE FROM threads", "one statement"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT nowhere FROM v_threads", "no such column: nowhere"),
        ("SELECT ?", "binding"),
        ("SELECT '\udcff'", "utf-8"),
        ("SELECT '\0'", "null"),
        ("SELECT zeroblob(99999999999)", "too big"),
        (f"SELECT zeroblob({LARGEST_VALUE + 1})", "too big"),
        ("SELECT abs(-9223372036854775808)", "integer overflow"),
        (f"SELECT {'(' * 3000}1{')' * 3000}", "overflow|depth"),
    ],
)
def test_what_sqlite_refuses_is_told_in_its_words(sql: str, says: str, index: Path) -> None:
    with pytest.raises(InvalidSql, match=says):
        answer(index, sql)


def test_the_views_give_what_the_index_holds(index: Path) -> None:
    [(threads, first, last)] = answer(
        index, "SELECT count(*), min(created), max(created) FROM v_threads"
    )
    assert (threads, last) == (194, "2026-11-20T12:34:45Z")
    assert first < last
    hidden = dict(answer(index, "SELECT hidden, count(*) FROM v_threads GROUP BY hidden"))
    assert sum(hidden.values()) == 194
    assert hidden["archived"] == 7
    assert answer(index, "SELECT count(*) FROM v_files WHERE bucket = 'indexed'") == [(194,)]
    for view in ("v_tools", "v_edges", "v_facts", "v_aliases"):
        [(count,)] = answer(index, f"SELECT count(*) FROM {view}")
        assert count >= 0
    [(matching,)] = answer(
        index, "SELECT count(*) FROM thread_titles WHERE thread_titles MATCH 'cha'"
    )
    assert matching > 0


def test_schemas_may_be_looked_at(index: Path) -> None:
    assert ("id",) in answer(index, "SELECT name FROM pragma_table_info('v_threads')")
    assert len(answer(index, "PRAGMA table_info(v_threads)")) > 20
    assert answer(index, "EXPLAIN QUERY PLAN SELECT id FROM threads")
    assert answer(index, "SELECT value FROM json_each('[1, 2]')") == [(1,), (2,)]


def test_values_come_as_they_are(index: Path) -> None:
    sql = "SELECT NULL, 9223372036854775807, x'00ff', CAST(x'61ff' AS TEXT), 1e999, 'a' AS \"b\tc\""
    with ask(index, sql) as found:
        assert found.columns[-1] == "b\tc"
        rows = list(found.rows)
    assert rows == [(None, 2**63 - 1, b"\0\xff", "a\ufffd", float("inf"), "a")]


def test_rows_come_before_the_last_one_is_known(index: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    with ask(index, endless) as found:
        assert [next(found.rows)[0] for _ in range(3)] == [1, 2, 3]


def test_an_error_after_the_first_row_is_told_then(index: Path) -> None:
    late = "SELECT abs(value) FROM json_each('[1, 2, 3, -9223372036854775808, 5]')"
    with ask(index, late) as found:
        assert next(found.rows) == (1,)
        with pytest.raises(InvalidSql, match="integer overflow"):
            list(found.rows)


def test_a_question_sees_one_state_of_the_index(index: Path) -> None:
    with (
        closing(sqlite3.connect(index)) as writer,
        ask(index, "SELECT title FROM v_threads") as found,
    ):
        next(found.rows)
        writer.execute("UPDATE threads SET title = 'changed'")
        writer.commit()
        assert all(title != "changed" for (title,) in found.rows)
    assert set(answer(index, "SELECT title FROM v_threads")) == {("changed",)}


@pytest.mark.parametrize("use", [lambda path: answer(path, "SELECT 1"), vacuum])
def test_places_without_a_usable_index_are_told_apart(use: Any, tmp_path: Path) -> None:
    def refused(path: Path, error: type[Exception]) -> None:
        with pytest.raises(error):
            use(path)

    path = tmp_path / "index.sqlite3"
    refused(path, IndexMissing)
    assert not path.exists()
    path.touch()
    refused(path, IndexMissing)
    refused(tmp_path, IndexUnavailable)
    path.write_bytes(b"no database " * 1000)
    refused(path, IndexDamaged)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    refused(path, NotAnIndex)
    shutil.copy(FIXTURES / "indexes" / "v0001.sqlite3", path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        connection.commit()
    refused(path, IndexTooNew)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE alembic_version")
    refused(path, IndexDamaged)


def test_vacuum_gives_unused_room_back_and_keeps_the_rest(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE much AS SELECT zeroblob(3000000) AS x")
        connection.execute("DROP TABLE much")
        connection.commit()
        ids = connection.execute("SELECT row_id, id FROM threads ORDER BY id").fetchall()
    before, after = vacuum(index)
    assert before > after + 2_900_000
    assert index.stat().st_size == after
    assert answer(index, "SELECT row_id, id FROM threads ORDER BY id") == ids
    with closing(sqlite3.connect(index)) as connection:
        connection.execute(
            "INSERT INTO thread_titles (thread_titles, rank) VALUES ('integrity-check', 1)"
        )


def test_vacuum_waits_for_a_writer_only_so_long(index: Path) -> None:
    with closing(sqlite3.connect(index, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(IndexBusy):
            vacuum(index, wait_s=0.05)
