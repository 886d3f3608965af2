"""What codex-check finds of a whole database: its backfill, its schema, whether it is one."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.state.codex.checked import GENUINE, PLAIN, added, check, codes
from tests.state.codex.databases import STATE, Codex
from tests.support.damage import damaged_pages

BACKFILLS: dict[str, tuple[list[Any], Counter[str]]] = {
    "running, and nobody there": (
        ["UPDATE backfill_state SET status = 'running', updated_at = ?", int(time.time())],
        Counter(codex_backfill_stuck=1),
    ),
    "running since yesterday": (
        ["UPDATE backfill_state SET status = 'running', updated_at = 5"],
        Counter(codex_backfill_stuck=1),
    ),
    "a status that Codex does not know": (
        ["UPDATE backfill_state SET status = 'zzz'"],
        Counter(codex_backfill_stuck=1),
    ),
    "never begun": (["DELETE FROM backfill_state"], Counter(codex_backfill_pending=1)),
    "before this file": (
        [
            "UPDATE backfill_state SET status = 'pending', last_watermark = 'sessions/2026/11/12'",
            "DELETE FROM threads WHERE id = ?",
            PLAIN,
        ],
        Counter(codex_backfill_pending=1),
    ),
    "past this file": (
        [
            "UPDATE backfill_state SET status = 'pending', last_watermark = 'sessions/2026/11/13'",
            "DELETE FROM threads WHERE id = ?",
            PLAIN,
        ],
        Counter(codex_backfill_pending=1, codex_row_missing=1),
    ),
}


@pytest.mark.parametrize("case", BACKFILLS)
def test_a_backfill_that_is_not_complete(
    corpus_home: Path, corpus_index: Path, codex: Codex, case: str
) -> None:
    statements, expected = BACKFILLS[case]
    codex.change(*statements)
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(added(found)) == expected


def test_a_backfill_is_running_while_somebody_has_the_database_open(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    codex.change("UPDATE backfill_state SET status = 'running', updated_at = 5")
    with codex.open_elsewhere():
        _, found = check(corpus_home, corpus_index, codex.path)
    assert [finding.kind.code for finding in added(found)] == ["codex_backfill_running"]


SCHEMAS: dict[str, tuple[list[Any], list[str]]] = {
    "with another column": (
        ["ALTER TABLE threads ADD COLUMN news TEXT"],
        ["codex_schema_unknown"],
    ),
    "of an older Codex": (
        [
            "DELETE FROM _sqlx_migrations WHERE version > 40",
            "UPDATE threads SET name = NULL",
            "ALTER TABLE threads DROP COLUMN creator_user_id",
        ],
        ["codex_schema_unknown"],
    ),
    "half migrated": (
        ["UPDATE _sqlx_migrations SET success = 0 WHERE version = 62"],
        ["codex_migration_unfinished"],
    ),
    "without a list of migrations": (
        ["DROP TABLE _sqlx_migrations"],
        ["codex_schema_unknown"],
    ),
    "without paths": (
        ["ALTER TABLE threads RENAME COLUMN rollout_path TO elsewhere"],
        ["codex_not_comparable"],
    ),
    "without threads": (["DROP TABLE threads"], ["codex_not_comparable"]),
}


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_schema_that_is_not_known_is_reported(
    corpus_home: Path, corpus_index: Path, codex: Codex, case: str
) -> None:
    statements, expected = SCHEMAS[case]
    codex.change(*statements)
    checked, found = check(corpus_home, corpus_index, codex.path)
    assert [finding.kind.code for finding in added(found)] == expected
    assert checked.state is None or not checked.state.known
    assert ("codex_name_differs" in codes(found)) == (checked.state is not None)


@pytest.mark.parametrize("versions", [[63], [63, 64, 65], [99]])
def test_migrations_beyond_our_tables_are_reported_and_are_no_matter(
    home: Path, index_path: Path, tmp_path: Path, versions: list[int]
) -> None:
    codex = Codex.empty(tmp_path, STATE)
    for version in versions:
        codex.change(
            "INSERT INTO _sqlx_migrations VALUES (?, 'x', '', 1, x'00', 1)",
            version,
            f"CREATE TABLE news_{version} (id TEXT REFERENCES threads(id) ON DELETE CASCADE)",
            f"CREATE INDEX news_of_{version} ON threads(archived, id) WHERE name IS NOT NULL",
        )
    checked, (finding,) = check(home, index_path, codex.path)
    assert (finding.kind.code, finding.kind.severity) == ("codex_migrations_unknown", "note")
    assert finding.measured == f"{62 + len(versions)} migrations up to {versions[-1]}"
    assert checked.state
    assert checked.state.known


def test_values_that_codex_never_writes_are_put_up_with(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    codex.change(
        "UPDATE threads SET title = x'ff00', first_user_message = CAST(x'ff41' AS TEXT)",
        "UPDATE backfill_state SET updated_at = 'soon', last_watermark = x'ff'",
    )
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found).keys() >= GENUINE.keys()


def test_no_database_is_nothing_wrong(home: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "none.sqlite", tmp_path / "empty.sqlite"):
        if path.stem == "empty":
            path.touch()
        _, found = check(home, tmp_path / "index.sqlite3", path)
        assert codes(found) == {"codex_no_database": 1}


def test_a_database_that_is_none(home: Path, tmp_path: Path) -> None:
    codex = Codex.of(home, tmp_path)
    damaged_pages(codex.path)
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"not a database" * 999)
    for path in (codex.path, garbage):
        before = path.read_bytes()
        checked, found = check(home, tmp_path / "index.sqlite3", path)
        assert codes(found) == {"codex_damaged": 1}
        assert found[0].kind.mend == "codex app-server"
        assert checked.state is None
        assert path.read_bytes() == before


def test_a_folder_in_its_place(home: Path, tmp_path: Path) -> None:
    (tmp_path / "state_5.sqlite").mkdir()
    _, found = check(home, tmp_path / "index.sqlite3", tmp_path / "state_5.sqlite")
    assert codes(found) == {"codex_unreadable": 1}
