"""One fault in the index at a time: found, and mended so that it equals a fresh one."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from state.db.location import HEAD, journal_path
from state.errors import NoBackup, PlanOutdated
from state.repair.backup import backups, restore_backup
from state.repair.repair import repair
from state.userdata.journal import append_settings
from state.userdata.model import UserValue
from tests import FIXTURES
from tests.samples.homes import BASE_MS, encoded, lines, thread_id, write
from tests.support.checks import codes, listed, planned, repaired, synced, the, verified
from tests.support.damage import damaged_pages, garbage, sql, truncated
from tests.support.indexes import meaning, rows

PARENT, CHILD = 1, 2
IDS = {thread_id(number) for number in (1, 2, 3, 4)}


def fill(home: Path) -> Path:
    """Something of everything that an index holds."""
    write(home, PARENT, encoded(lines(PARENT, dynamic_tools=[{"name": "t", "description": "d"}])))
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(PARENT), "depth": 1}}}
    write(home, CHILD, encoded(lines(CHILD, source=spawn)))
    write(home, 3, archived=True)
    write(home, 3)
    write(home, 4)
    write(home, 4, segment=1)
    return home


@pytest.fixture
def home(home: Path) -> Path:
    """A home with something of everything."""
    return fill(home)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Such a home and a complete index of it; tests change neither."""
    folder = tmp_path_factory.mktemp("sound")
    synced(fill(folder / "home"), folder / "index.sqlite3")
    return folder / "home", folder / "index.sqlite3"


ONE = f"'{thread_id(PARENT)}'"
ROW_FAULTS = {
    "row lost": ([f"DELETE FROM threads WHERE id = {ONE}"], "row_missing"),
    "ghost row": (
        [
            "CREATE TEMP TABLE g AS SELECT * FROM threads WHERE archived = 0 LIMIT 1",
            "DELETE FROM rollout_files WHERE thread_id = (SELECT id FROM g)",
        ],
        "row_without_file",
    ),
    "path of nothing": ["UPDATE threads SET rollout_path = 'sessions/x.jsonl'", "row_without_file"],
    "old segment shown": (
        [
            "UPDATE threads SET rollout_path = (SELECT min(path) FROM rollout_files f"
            " WHERE f.thread_id = threads.id)"
        ],
        "wrong_file",
    ),
    "wrong bucket": (["UPDATE rollout_files SET bucket = 'segment'"], "wrong_bucket"),
    "ledger's thread": (
        [f"UPDATE rollout_files SET thread_id = '{thread_id(9)}' WHERE thread_id = {ONE}"],
        "row_without_file",
    ),
    "ledger's bad lines": (["UPDATE rollout_files SET bad_lines = 3"], "outcome_differs"),
    "taken for unreadable": (
        [
            "UPDATE rollout_files SET bucket = 'unreadable', thread_id = NULL"
            f" WHERE thread_id = {ONE}"
        ],
        "row_without_file",
    ),
    "archived flag": (
        ["UPDATE threads SET archived = 1 - archived, facet = (1 - archived) || substr(facet, 2)"],
        "column_differs",
    ),
    "place to go on": ["UPDATE resume_points SET end_offset = 1", "column_differs"],
    "guard": ["UPDATE resume_points SET guard = 'x'", "column_differs"],
    "resume points lost": ["DELETE FROM resume_points", "column_differs"],
    "size": ["UPDATE threads SET size_bytes = 1", "column_differs"],
    "edge lost": ["DELETE FROM thread_spawn_edges", "edge_differs"],
    "edge of nobody": ["INSERT INTO thread_spawn_edges VALUES ('a', 'b', 'open')", "edge_differs"],
    "usage lost": ["DELETE FROM thread_usage", "usage_differs"],
    "usage of nobody": ["UPDATE thread_usage SET row_id = row_id + 100", "foreign_key_broken"],
    "usage of another hour": ["UPDATE thread_usage SET hour = 1", "usage_differs"],
    "files' usage lost": ["DELETE FROM file_usage", "usage_differs"],
    "files' usage wrong": (
        ["UPDATE file_usage SET sums = '[]'", "DELETE FROM thread_usage"],
        "usage_differs",
    ),
    "usage cut off": ["UPDATE file_usage SET sums = '[[1]]'", "usage_differs"],
    "place in usage lost": ["UPDATE file_usage SET state = ''", "usage_differs"],
    "limits lost": ["DELETE FROM thread_limits", "usage_differs"],
    "usage is no JSON": ["UPDATE file_usage SET sums = '{'", "index_damaged"],
    "tools lost": ["DELETE FROM thread_dynamic_tools", "tools_differ"],
    "titles lost": (
        ["INSERT INTO thread_titles (thread_titles) VALUES ('delete-all')"],
        "title_index_differs",
    ),
    "search lost": ["DELETE FROM fulltext_pending", "search_index_differs"],
    "search damaged": (
        [
            "INSERT INTO fulltext_trigrams (rowid, letters) VALUES (1, 'some letters')",
            # Writes it out:
            "INSERT INTO fulltext_trigrams (fulltext_trigrams) VALUES ('optimize')",
            "UPDATE fulltext_trigrams_data SET block = x'00' WHERE id > 10",
        ],
        # Which the check of a later SQLite finds itself.
        "search_index_differs" if sqlite3.sqlite_version_info < (3, 44) else "index_damaged",
    ),
    "index lost": ["DROP INDEX ix_threads_name", "schema_differs"],
    "trigger lost": ["DROP TRIGGER history_mode_is_immutable", "schema_differs"],
    "table lost": ["DROP TABLE rollout_files", "schema_differs"],
    "titles table lost": ["DROP TABLE thread_titles", "schema_differs"],
    "column lost": (
        # SQLite drops no column that an index or trigger names.
        [
            "DROP INDEX ix_threads_name",
            "DROP TRIGGER fleet_threads_update",
            "ALTER TABLE threads DROP COLUMN agent_path",
        ],
        "schema_differs",
    ),
    "tools of nobody": (
        ["INSERT INTO thread_dynamic_tools VALUES ('x', 0, NULL, 'n', 'd', 'null', 0)"],
        "foreign_key_broken",
    ),
    "job interrupted": (["UPDATE backfill_state SET status = 'running'"], "index_incomplete"),
    "job lost": (["DELETE FROM backfill_state"], "index_damaged"),
}
COLUMNS = {
    "title": "'x'",
    "preview": "'x'",
    "first_user_message": "'x'",
    "cwd": "'/x'",
    "cwd_key": "'/x'",
    "model": "'x'",
    "model_provider": "'x'",
    "source": "'exec'",
    "source_kind": "'exec'",
    "search_text": "'x'",
    "tokens_used": "1",
    "created_at_ms": "1",
    "updated_at_ms": "1",
    "recency_at_ms": "1",
    "sandbox_policy": "'x'",
    "approval_mode": "'x'",
    "cli_version": "'x'",
    "git_branch": "'x'",
    "memory_mode": "'x'",
    "name": "'x'",
    "extractor_version": "0",
    "facet": "'000|x|y'",
    "parent_thread_id": "'x'",
    "session_id": "'x'",
}


def healed(home: Path, index: Path, before: dict[str, list[dict[str, object]]]) -> None:
    """After a repair the index is clean, whole, and as if it had been made anew."""
    assert codes(verified(home, index)) == {}
    assert listed(home, index) == IDS
    assert meaning(index) == before


@pytest.mark.parametrize("what", ROW_FAULTS)
def test_a_fault_in_the_index_is_found_and_mended(
    what: str, sound: tuple[Path, Path], tmp_path: Path
) -> None:
    home, whole = sound
    before = meaning(whole)
    index_path = Path(shutil.copy(whole, tmp_path))
    statements, code = ROW_FAULTS[what]
    sql(*([statements] if isinstance(statements, str) else statements))(index_path)
    found = verified(home, index_path)
    assert code in codes(found), found.by_code
    assert all(finding.kind.mend for finding in found.kept if finding.kind.severity == "error")
    kept = repaired(home, index_path)
    assert kept is not None
    assert kept.exists()
    healed(home, index_path, before)


GUARDED = ("model_provider", "source_kind", "facet")
"""A facet and what it is made of: a CHECK guards them, which SQLite's own check finds broken."""


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param([column for column in COLUMNS if column not in GUARDED], id="many"),
        *(pytest.param([column], id=column) for column in GUARDED),
        *(
            pytest.param([column], id=column, marks=pytest.mark.full)
            for column in COLUMNS
            if column not in GUARDED
        ),
    ],
)
def test_a_wrong_column_is_found_by_name_and_mended(
    columns: list[str], sound: tuple[Path, Path], tmp_path: Path
) -> None:
    home, whole = sound
    before = meaning(whole)
    index_path = Path(shutil.copy(whole, tmp_path))
    values = ", ".join(f"{column} = {COLUMNS[column]}" for column in columns)
    sql(f"UPDATE threads SET {values} WHERE id = {ONE}")(index_path)
    found = verified(home, index_path)
    texts = [f"{finding.message} {finding.measured}" for finding in found.kept]
    for column in columns:
        told = "CHECK constraint failed" if column in GUARDED else f"Column {column} "
        assert [text for text in texts if told in text], texts
    repaired(home, index_path)
    healed(home, index_path, before)


def test_a_finding_has_its_place_and_values(home: Path, index_path: Path) -> None:
    synced(home, index_path)
    sql(f"UPDATE threads SET model = 'other' WHERE id = {ONE}")(index_path)
    assert verified(home, index_path, deep=False).clean
    finding = the(verified(home, index_path), "column_differs")
    assert finding.thread_id == thread_id(PARENT)
    assert finding.path == f"sessions/2026/05/28/rollout-2026-05-28T20-00-01-{thread_id(1)}.jsonl"
    assert (finding.measured, finding.expected) == ("other", "gpt-5")
    assert finding.kind.mend == "threadkeep repair"


def test_verifying_and_planning_write_nothing(home: Path, index_path: Path) -> None:
    synced(home, index_path)
    sql("UPDATE threads SET model = 'other'")(index_path)
    before = index_path.read_bytes()
    files = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    assert planned(home, index_path)
    assert index_path.read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == files


def test_a_repair_can_be_taken_back_step_by_step(home: Path, index_path: Path) -> None:
    synced(home, index_path)
    harmed = []
    for model in ("first", "second"):
        sql(f"UPDATE threads SET model = '{model}' WHERE id = {ONE}")(index_path)
        harmed.append(meaning(index_path))
        repaired(home, index_path)
    assert len(backups(index_path)) == 2
    for expected in reversed(harmed):
        asyncio.run(restore_backup(index_path))
        assert meaning(index_path) == expected
    assert backups(index_path) == []
    with pytest.raises(NoBackup):
        asyncio.run(restore_backup(index_path))


@pytest.mark.parametrize("revision", ["v0003", "v0009"])
def test_a_backup_of_an_earlier_version_is_restored(
    revision: str, home: Path, index_path: Path
) -> None:
    synced(home, index_path)
    backup = index_path.with_name(f"{index_path.name}.backup-20260101T000000.000000Z")
    shutil.copy(FIXTURES / "indexes" / f"{revision}.sqlite3", backup)
    asyncio.run(restore_backup(index_path))
    with closing(sqlite3.connect(index_path)) as restored:
        assert restored.execute("SELECT count(*) FROM threads").fetchone() > (100,)
        assert restored.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    assert not [*index_path.parent.glob(f"{backup.name}*")]


def test_few_backups_are_kept_and_none_is_overwritten(home: Path, index_path: Path) -> None:
    synced(home, index_path)
    kept = []
    for number in range(5):
        sql(f"UPDATE threads SET model = 'm{number}' WHERE id = {ONE}")(index_path)
        kept.append(repaired(home, index_path))
    assert len(set(kept)) == 5
    assert set(backups(index_path)) == set(kept[-3:])
    for number, path in zip((2, 3, 4), kept[-3:], strict=True):
        assert path is not None
        (row,) = rows(path, "SELECT model FROM threads WHERE id = ?", thread_id(PARENT))
        assert row["model"] == f"m{number}"


def test_a_plan_that_is_out_of_date_is_refused(home: Path, index_path: Path) -> None:
    synced(home, index_path)
    sql(f"UPDATE threads SET model = 'x' WHERE id = {ONE}")(index_path)
    plan = planned(home, index_path)
    sql(f"UPDATE threads SET model = 'x' WHERE id = '{thread_id(CHILD)}'")(index_path)
    before = index_path.read_bytes()
    with pytest.raises(PlanOutdated, match=plan.id):
        asyncio.run(repair(home, index_path, deep=True, plan_id=plan.id))
    assert index_path.read_bytes() == before
    assert backups(index_path) == []
    now = planned(home, index_path)
    asyncio.run(repair(home, index_path, deep=True, plan_id=now.id))
    assert codes(verified(home, index_path)) == {}


WRECKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "garbage": (garbage, "index_damaged"),
    "truncated": (truncated, "index_damaged"),
    "zero bytes": (lambda index: os.truncate(index, 0), "no_index"),
    "gone": (lambda index: index.unlink(), "no_index"),
    "damaged pages": (damaged_pages, "index_damaged"),
    "no revision": (sql("DROP TABLE alembic_version"), "index_damaged"),
}


@pytest.mark.parametrize("what", WRECKS)
def test_a_wrecked_index_is_found_and_built_anew(what: str, home: Path, index_path: Path) -> None:
    name = UserValue(thread_id(4), "name", "mine", BASE_MS)
    synced(home, index_path)
    append_settings(index_path, [name])
    assert codes(verified(home, index_path)) == {"user_data_not_indexed": 1}
    repaired(home, index_path)
    before = meaning(index_path)
    wreck, code = WRECKS[what]
    wreck(index_path)
    assert set(codes(verified(home, index_path))) == {code}
    repaired(home, index_path)
    healed(home, index_path, before)
    (row,) = rows(index_path, "SELECT name FROM threads WHERE id = ?", thread_id(4))
    assert row["name"] == "mine"


def test_a_fact_that_is_only_in_the_index_gets_into_the_journal(
    home: Path, index_path: Path
) -> None:
    synced(home, index_path)
    sql(f"INSERT INTO user_data VALUES ({ONE}, 'name', 'mine', 5)")(index_path)
    assert set(codes(verified(home, index_path))) == {"user_data_not_in_journal", "column_differs"}
    repaired(home, index_path)
    assert codes(verified(home, index_path)) == {}
    assert "mine" in journal_path(index_path).read_text()


def test_a_damaged_line_of_the_journal_is_found_with_its_place(
    home: Path, index_path: Path
) -> None:
    synced(home, index_path)
    append_settings(index_path, [UserValue(thread_id(4), "name", "mine", BASE_MS)])
    with journal_path(index_path).open("ab") as file:
        size = file.tell()
        file.write(b"{torn")
    append_settings(index_path, [UserValue(thread_id(3), "name", "other", BASE_MS)])
    repaired(home, index_path)
    found = verified(home, index_path)
    assert codes(found) == {"journal_line": 1}
    assert the(found, "journal_line").offset == size
