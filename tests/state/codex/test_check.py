"""What codex-check finds in a database that the real Codex made, and what it leaves alone."""

import asyncio
import shlex
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.files.layout import parse_uuid
from state.checks.findings import Finding
from state.codex.check import CodexCheck, check_codex
from state.codex_db.tables import differences
from state.thread_index import open_index
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.checks.test_faults_index import damaged_pages
from tests.state.codex.databases import STATE, STATE_OF_64, Codex

NAMED = "01a1d607-9997-7032-98e4-f60da81873bf"  # paginated, and named in session_index.jsonl
LEGACY = "019c5903-6b45-7472-9cf9-cd56e01d16a4"  # legacy, and named there
ARCHIVED = "01a1d639-8b8a-7212-aaa1-899e2340b2f2"
COMPRESSED = "01a0f755-f3b1-74e1-8403-837e20a2c2a8"
PLAIN = "01a1cfc0-26a7-78c0-8044-08e9dd6e19a1"
GENUINE = Counter({"codex_name_differs": 6, "codex_cannot_have": 1})
"""A backfill loses the names of paginated threads, and has no threads of the first versions."""


def check(home: Path, index: Path, database: Path) -> tuple[CodexCheck, list[Finding]]:
    """Compare; the index is brought in step first."""
    found: list[Finding] = []

    async def work() -> CodexCheck:
        async with open_index(home, index) as opened:
            await opened.catch_up()
            return await check_codex(opened, database, found.append)

    return asyncio.run(work()), found


@pytest.fixture
def codex(corpus_home: Path, tmp_path: Path) -> Codex:
    """The genuine database of the corpus home."""
    return Codex.of(corpus_home, tmp_path)


def codes(found: list[Finding]) -> Counter[str]:
    return Counter(finding.kind.code for finding in found)


def added(found: list[Finding]) -> list[Finding]:
    """The findings that the genuine database does not have."""
    return [finding for finding in found if finding.kind.code not in GENUINE]


def test_a_genuine_database_has_only_lost_names_and_nothing_is_written(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    before = codex.path.read_bytes()
    checked, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) == GENUINE
    assert checked.state
    assert checked.state.known
    assert len(checked.state.threads) == 182
    assert [file.name for file in codex.path.parent.iterdir()] == ["state_5.sqlite"]
    assert codex.path.read_bytes() == before


def test_what_codex_has_not_moved_out_of_its_wal_counts(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    with closing(sqlite3.connect(codex.path)) as connection:
        with connection:
            connection.execute("DELETE FROM threads WHERE id = ?", [PLAIN])
        beside = sorted(codex.path.parent.iterdir())
        _, found = check(corpus_home, corpus_index, codex.path)
        assert sorted(codex.path.parent.iterdir()) == beside
    assert [finding.thread_id for finding in added(found)] == [PLAIN]


def path_of(home: Path, thread: str) -> str:
    """The newest file of a thread of the corpus, absolute."""
    return str(max(home.resolve().rglob(f"rollout-*{thread}*"), key=lambda path: path.name))


CHANGES: dict[str, tuple[list[Any], str, str, str | None, str | None]] = {
    # name: (statements, code, thread, measured, expected); {path} is the thread's file
    "no row": (
        ["DELETE FROM threads WHERE id = ?", PLAIN],
        "codex_row_missing",
        PLAIN,
        None,
        "{path}",
    ),
    "the file gone": (
        ["UPDATE threads SET id = 'x' || id, rollout_path = '/gone/x.jsonl' WHERE id = ?", PLAIN],
        "codex_row_stale",
        f"x{PLAIN}",
        "/gone/x.jsonl",
        None,
    ),
    "a path that leads nowhere": (
        ["UPDATE threads SET rollout_path = '/old/home/x.jsonl' WHERE id = ?", PLAIN],
        "codex_path_wrong",
        PLAIN,
        "/old/home/x.jsonl",
        "{path}",
    ),
    "a path with a NUL": (
        ["UPDATE threads SET rollout_path = '/a' || char(0) || 'b' WHERE id = ?", PLAIN],
        "codex_path_wrong",
        PLAIN,
        "/a\0b",
        "{path}",
    ),
    "a relative path": (
        ["UPDATE threads SET rollout_path = 'README.md' WHERE id = ?", PLAIN],
        "codex_path_wrong",
        PLAIN,
        "README.md",
        "{path}",
    ),
    "archived, it says": (
        ["UPDATE threads SET archived = 1 WHERE id = ?", PLAIN],
        "codex_archived_differs",
        PLAIN,
        "archived",
        "active",
    ),
    "active, it says": (
        ["UPDATE threads SET archived = 0 WHERE id = ?", ARCHIVED],
        "codex_archived_differs",
        ARCHIVED,
        "active",
        "archived",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_row_that_does_not_fit_its_file(
    corpus_home: Path, corpus_index: Path, codex: Codex, case: str
) -> None:
    statements, code, thread, measured, expected = CHANGES[case]
    codex.change(*statements)
    _, found = check(corpus_home, corpus_index, codex.path)
    finding = next(finding for finding in found if finding.kind.code == code)
    others = [other.kind.code for other in added(found) if other is not finding]
    assert others == (["codex_row_missing"] if case == "the file gone" else [])
    assert finding.thread_id == thread
    assert finding.measured == measured
    assert finding.expected == (expected and expected.format(path=path_of(corpus_home, thread)))
    if code != "codex_row_stale":
        assert finding.kind.mend == "threadkeep codex-check --fix"


def test_a_row_with_the_file_of_another_thread(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    wrong = path_of(corpus_home, NAMED)
    codex.change("UPDATE threads SET rollout_path = ? WHERE id = ?", wrong, PLAIN)
    _, found = check(corpus_home, corpus_index, codex.path)
    assert [(one.kind.code, one.measured) for one in added(found)] == [("codex_path_wrong", wrong)]


def test_a_stale_row_can_be_deleted_with_codex(home: Path, tmp_path: Path) -> None:
    codex = Codex.of(home, tmp_path)
    _, found = check(home, tmp_path / "index.sqlite3", codex.path)
    assert codes(found) == {"codex_row_stale": 182}
    for finding in found:
        assert parse_uuid(finding.thread_id)
        assert finding.mend == f"codex delete {finding.thread_id}"


@pytest.mark.parametrize(
    ("sql", "thread", "shown", "wanted"),
    [
        ("UPDATE threads SET name = 'old' WHERE id = ?", NAMED, "old", "Second näme 🎉"),
        ("UPDATE threads SET title = 'old' WHERE id = ?", LEGACY, "old", "Second näme 🎉"),
    ],
)
def test_a_name_that_is_not_the_last_one(
    corpus_home: Path,
    corpus_index: Path,
    codex: Codex,
    sql: str,
    thread: str,
    shown: str,
    wanted: str,
) -> None:
    codex.change(sql, thread)
    _, found = check(corpus_home, corpus_index, codex.path)
    finding = next(finding for finding in found if finding.thread_id == thread)
    assert (finding.kind.code, finding.measured) == ("codex_name_differs", shown)
    assert finding.expected == wanted
    assert finding.mend == f"threadkeep rename {thread} {shlex.quote(str(finding.expected))}"


def test_names_that_codex_shows_rightly_are_no_findings(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    codex.change(
        "UPDATE threads SET name = 'Second näme 🎉' WHERE id = ?",
        NAMED,
        "UPDATE threads SET title = 'Second näme 🎉' WHERE id = ?",
        LEGACY,
        "UPDATE threads SET name = 'only there' WHERE id = ?",
        PLAIN,
    )
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) == GENUINE - Counter({"codex_name_differs": 1})


def test_other_spellings_of_a_path_are_no_findings(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(corpus_home)
    codex.change(
        "UPDATE threads SET rollout_path = replace(rollout_path, ?, ?) WHERE archived = 0",
        str(corpus_home.resolve()),
        str(link),
        "UPDATE threads SET rollout_path = replace(rollout_path, '.jsonl.zst', '.jsonl')",
    )
    assert not codex.rows("SELECT 1 FROM threads WHERE rollout_path LIKE '%.zst'")
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) == GENUINE


def test_rows_of_another_home_are_counted_and_left_alone(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    other = write(tmp_path / "other", 1)
    codex.change(
        "UPDATE threads SET id = ?, rollout_path = ? WHERE id = ?", thread_id(1), str(other), PLAIN
    )
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) - GENUINE == {"codex_other_home": 1, "codex_row_missing": 1}


def test_rows_of_a_home_that_this_is_a_copy_of_are_wrong(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    """The original is still there: Codex would go on with its files."""
    codex = Codex.empty(tmp_path)
    for number in range(3):
        write(home, number)
    link = tmp_path / "link"
    link.symlink_to(home)
    old = shutil.copytree(home, tmp_path / "old")
    inside = shutil.copytree(home, home / "backup")  # in this home, but not where it has rollouts
    paths = [write(old, 0), write(inside, 1), link / write(home, 2).relative_to(home)]
    for number, path in enumerate([*paths, write(old, 3)]):
        codex.insert(thread_id(number), path)
    _, found = check(home, index_path, codex.path)
    wrong = [one for one in found if one.kind.code == "codex_path_wrong"]
    assert [(one.thread_id, one.measured, one.expected) for one in wrong] == [
        (thread_id(n), str(paths[n]), str(write(home, n).resolve())) for n in (0, 1)
    ]
    (other,) = [one for one in found if one.kind.code == "codex_other_home"]
    assert other.message.startswith("Rows that name a file outside the index: 1.")


def test_a_file_that_codex_has_moved_just_now_is_no_finding(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    """The index had it in the archive when it was read."""
    codex = Codex.empty(tmp_path)
    archived = write(home, 1, archived=True)
    check(home, index_path, codex.path)
    codex.insert(thread_id(1), archived.rename(home / "sessions" / archived.name))

    async def work() -> list[Finding]:
        found: list[Finding] = []
        async with open_index(home, index_path) as index:
            await check_codex(index, codex.path, found.append)
        return found

    assert codes(asyncio.run(work())) == {"codex_other_home": 1}


def test_two_files_of_one_thread(home: Path, tmp_path: Path) -> None:
    write(home, 1)
    copy = write(home, 1, archived=True)
    write(home, 2)
    write(home, 2, segment=1)
    codex = Codex.of(home, tmp_path)
    codex.change("DELETE FROM threads")
    _, found = check(home, tmp_path / "index.sqlite3", codex.path)
    assert codes(found) == {"codex_row_missing": 2, "codex_duplicate": 1}
    finding = next(finding for finding in found if finding.kind.code == "codex_duplicate")
    assert finding.path == finding.measured == str(copy.relative_to(home))
    assert finding.expected == str(write(home, 1).relative_to(home))


def test_a_thread_that_codex_cannot_read_is_missing_with_the_reason(
    home: Path, tmp_path: Path
) -> None:
    content = encoded(lines(1, "caf\xe9")).replace(b"\\u00e9", b"\xe9")
    write(home, 1, content)
    write(home, 2, encoded(lines(2, history_mode="other")))
    codex = Codex.of(home, tmp_path)
    codex.change("DELETE FROM threads")
    _, found = check(home, tmp_path / "index.sqlite3", codex.path)
    assert codes(found) == {"codex_row_missing": 1, "codex_cannot_have": 1}
    assert found[0].thread_id == thread_id(1)


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
def test_a_schema_that_is_not_known_is_told(
    corpus_home: Path, corpus_index: Path, codex: Codex, case: str
) -> None:
    statements, expected = SCHEMAS[case]
    codex.change(*statements)
    checked, found = check(corpus_home, corpus_index, codex.path)
    assert [finding.kind.code for finding in added(found)] == expected
    assert checked.state is None or not checked.state.known
    assert ("codex_name_differs" in codes(found)) == (checked.state is not None)


@pytest.mark.parametrize("versions", [[63], [63, 64, 65], [99]])
def test_migrations_beyond_our_tables_are_told_and_are_no_matter(
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
