"""The database of the index is checked without a write, and what is wrong with it is named."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from state.checks.database import check_database
from state.checks.findings import Finding
from tests import FIXTURES


@pytest.fixture
def index(own_corpus_index: Path) -> Path:
    """An index that a test may damage, and no search has filled before."""
    return own_corpus_index


def check(index: Path) -> list[Finding]:
    """What a check of an index that cannot be written finds."""
    before = index.read_bytes()
    with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as connection:
        found = list(check_database(connection))
    assert index.read_bytes() == before
    return found


def change(index: Path, *statements: str) -> None:
    """Change an index behind the program's back."""
    with closing(sqlite3.connect(index)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_sound_index_gives_no_finding(index: Path) -> None:
    assert check(index) == []


@pytest.mark.parametrize(
    ("statement", "code", "measured"),
    [
        ("DROP TRIGGER history_mode_is_immutable", "schema_differs", None),
        ("DROP INDEX ix_threads_name", "schema_differs", None),
        ("DROP TABLE thread_titles", "schema_differs", None),
        ("DROP TABLE backfill_state", "schema_differs", None),
        ("CREATE TABLE theirs (x)", "schema_differs", "create table theirs (x)"),
        ("ALTER TABLE index_meta ADD COLUMN more TEXT", "schema_differs", "more text"),
        (
            "INSERT INTO thread_dynamic_tools (thread_id, position, name, description,"
            " input_schema) VALUES ('nobody', 0, '', '', '')",
            "foreign_key_broken",
            "of thread_dynamic_tools",
        ),
        (
            "UPDATE threads SET search_text = 'something else' WHERE row_id = 7",
            "title_index_differs",
            "malformed",
        ),
        (
            "INSERT INTO thread_titles (rowid, search_text) VALUES (999999, 'nobody')",
            "title_index_differs",
            "malformed",
        ),
        (
            "DELETE FROM fulltext_pending WHERE row_id = 7",
            "search_index_differs",
            "1 threads",
        ),
        ("DELETE FROM fulltext_trigrams_data", "index_damaged", "fulltext_trigrams"),
        ("DELETE FROM thread_titles_data", "index_damaged", "thread_titles"),
        (
            "UPDATE threads SET created_at_ms = 'x' WHERE row_id = 7",
            "index_damaged",
            "1 rows of th",
        ),
        ("UPDATE threads SET model = x'00' WHERE row_id = 7", "index_damaged", "1 rows of"),
        ("UPDATE rollout_files SET size_bytes = 'x'", "index_damaged", "rollout_files"),
    ],
)
def test_each_difference_is_one_finding(
    statement: str, code: str, measured: str | None, index: Path
) -> None:
    change(index, statement)
    found = check(index)
    assert [finding.kind.code for finding in found] == [code]
    assert (measured or "") in (found[0].measured or "")
    assert found[0].kind.mend == "threadkeep repair"


def test_damaged_pages_are_findings_and_no_error(index: Path) -> None:
    content = bytearray(index.read_bytes())
    for page in range(3, len(content) // 4096, 3):
        content[page * 4096 + 16 : page * 4096 + 2000] = b"\xa5" * 1984
    index.write_bytes(content)
    found = check(index)
    assert found
    assert {finding.kind.code for finding in found} == {"index_damaged"}


def test_a_column_that_breaks_a_check_is_damage(index: Path) -> None:
    change(index, "PRAGMA ignore_check_constraints = 1", "UPDATE threads SET facet = 'x'")
    assert {finding.kind.code for finding in check(index)} == {"index_damaged"}


def test_indexes_that_a_first_backfill_drops_are_missed_only_after_it(index: Path) -> None:
    change(index, "DROP INDEX ix_threads_cwd_created_at")
    assert [finding.kind.code for finding in check(index)] == ["schema_differs"]
    change(index, "UPDATE backfill_state SET status = 'running'")
    assert check(index) == []


def test_an_index_of_an_older_revision_is_reported_as_one(tmp_path: Path) -> None:
    old = Path(shutil.copy(FIXTURES / "indexes" / "v0001.sqlite3", tmp_path / "old.sqlite3"))
    change(old, "UPDATE alembic_version SET version_num = 'v0000'")
    (finding,) = check(old)
    assert (finding.measured, finding.mend) == ("v0000", "threadkeep sync")
