"""codex-check --fix on databases that the real Codex made, and --undo."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.checks.findings import Finding
from state.codex import backup as codex_backup
from state.codex.backup import restore_latest_copy
from state.codex.check import check_codex
from state.codex.fix import FixPlan, fix
from state.errors import (
    CodexChanged,
    CodexChangedSince,
    CodexInUse,
    CodexSchemaUnknown,
    CodexUnusable,
    NoCodexBackup,
)
from state.thread_index import open_index
from tests.samples.homes import thread_id, write
from tests.state.codex.checked import (
    ARCHIVED,
    COMPRESSED,
    GENUINE,
    PLAIN,
    check,
    codes,
    path_of,
)
from tests.state.codex.databases import Codex
from tests.state.query.test_gold import MODE_ERA, is_mode_era

LONG = "019a34fd-3239-7940-a544-ce9f95231f32"  # begins with 200,000 characters


@pytest.fixture
def codex(corpus_home: Path, tmp_path: Path) -> Codex:
    """The genuine database of the corpus home."""
    return Codex.of(corpus_home, tmp_path)


def mend(
    home: Path,
    index: Path,
    codex: Codex,
    folder: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[Path, int]:
    """Plan and carry out; ``meanwhile`` happens between the two."""

    async def work() -> tuple[Path, int]:
        mends = FixPlan()
        async with open_index(home, index) as opened:
            await opened.catch_up()
            checked = await check_codex(opened, codex.path, mends.add)
            assert checked.state
            assert mends
            meanwhile()
            return await fix(home, checked.ours, checked.state, codex.path, mends, folder)

    return asyncio.run(work())


def left(home: Path, index: Path, codex: Codex) -> list[Finding]:
    """What a check finds."""
    found: list[Finding] = []

    async def work() -> None:
        async with open_index(home, index) as opened:
            await check_codex(opened, codex.path, found.append)

    asyncio.run(work())
    return found


def test_inserted_rows_equal_those_of_codex_in_every_column(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    genuine = codex.threads()
    _, found = check(corpus_home, corpus_index, codex.path)
    names_lost = [one for one in found if one.kind.code == "codex_name_differs"]
    edges = codex.rows("SELECT * FROM thread_spawn_edges ORDER BY child_thread_id")
    codex.change("DELETE FROM threads", "DELETE FROM thread_spawn_edges")
    _, inserted = mend(corpus_home, corpus_index, codex, tmp_path)
    assert inserted == len(genuine) == 182
    ours = codex.threads()
    different = [
        (thread, column, row[column], ours[thread][column])
        for thread, row in genuine.items()
        for column in row
        if row[column] != ours[thread][column]
        # Codex cannot read the turns of these versions and has its defaults there.
        and not (column in MODE_ERA and is_mode_era(row))
    ]
    lost = {finding.thread_id: finding.expected for finding in names_lost}
    assert len(lost) == GENUINE["codex_name_differs"]
    assert different == [(row, "name", None, lost[row]) for row in genuine if row in lost]
    assert len(ours[LONG]["title"]) == 199_999
    assert codex.rows("SELECT * FROM thread_spawn_edges ORDER BY child_thread_id") == edges


def test_a_folder_is_stored_without_links(home: Path, index_path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for number, cwd in enumerate(["link", "gone", "real/../link/"]):
        write(home, number).write_text(
            write(home, number).read_text().replace(f"/work/p{number}", str(tmp_path / cwd))
        )
    codex = Codex.of(home, tmp_path)
    codex.change("DELETE FROM threads")
    mend(home, index_path, codex, tmp_path)
    stored = [row["cwd"] for row in codex.rows("SELECT cwd FROM threads ORDER BY id")]
    assert stored == [str(tmp_path / name) for name in ("real", "gone", "real")]


def test_paths_flags_and_the_backfill_are_set_and_nothing_else(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    mend(corpus_home, corpus_index, codex, tmp_path)  # the names that a backfill loses
    before = codex.content()
    codex.change(
        "UPDATE threads SET rollout_path = '/gone/' || id WHERE id IN (?, ?)",
        PLAIN,
        COMPRESSED,
        "UPDATE threads SET archived = 1, archived_at = 7 WHERE id = ?",
        PLAIN,
        "UPDATE threads SET archived = 0, archived_at = NULL WHERE id = ?",
        ARCHIVED,
        "UPDATE backfill_state SET status = 'running', updated_at = ?",
        int(time.time()),
    )
    mend(corpus_home, corpus_index, codex, tmp_path)
    assert codex.threads()[COMPRESSED]["rollout_path"] == path_of(corpus_home, COMPRESSED)
    state = codex.rows("SELECT status, last_watermark FROM backfill_state")[0]
    assert state["status"] == "pending"
    assert state["last_watermark"].startswith("sessions/2026/11/20/")
    after = [line for line in codex.content() if 'INTO "backfill_state"' not in line]
    assert after == [line for line in before if 'INTO "backfill_state"' not in line]
    assert codex.rows("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    assert {"codex_path_wrong", "codex_archived_differs"}.isdisjoint(
        codes(left(corpus_home, corpus_index, codex))
    )


def test_a_later_migration_that_leaves_the_tables_alone_is_no_matter(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    codex.change(
        "DELETE FROM threads WHERE id = ?",
        PLAIN,
        "INSERT INTO _sqlx_migrations VALUES (99, 'x', '', 1, x'00', 1)",
        "CREATE TABLE news (id TEXT PRIMARY KEY)",
        "CREATE INDEX news_of ON threads(archived, id)",
    )
    assert mend(corpus_home, corpus_index, codex, tmp_path)[1] == 1
    assert PLAIN in codex.threads()


def test_undo_gives_back_what_was_there(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    codex.change("DELETE FROM threads WHERE archived = 1")
    before = codex.content()
    backup, inserted = mend(corpus_home, corpus_index, codex, tmp_path)
    assert inserted == 7
    assert Codex(backup).content() == before
    assert backup.stat().st_mode & 0o777 == 0o600
    assert restore_latest_copy(tmp_path, codex.path) == backup
    assert codex.content() == before
    assert codex.rows("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state_5.sqlite"]
    with pytest.raises(NoCodexBackup):
        restore_latest_copy(tmp_path, codex.path)


def test_undo_refuses_to_lose_what_codex_wrote_since(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    codex.change("DELETE FROM threads WHERE id = ?", PLAIN)
    backup, _ = mend(corpus_home, corpus_index, codex, tmp_path)
    codex.change("UPDATE threads SET tokens_used = 7 WHERE id = ?", ARCHIVED)
    before = codex.content()
    with pytest.raises(CodexChangedSince, match=backup.name):
        restore_latest_copy(tmp_path, codex.path)
    assert codex.content() == before
    assert backup.exists()


def test_undo_is_for_the_database_that_was_mended(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    codex.change("DELETE FROM threads WHERE id = ?", PLAIN)
    mend(corpus_home, corpus_index, codex, tmp_path)
    other = tmp_path / "other.sqlite"
    shutil.copy(codex.path, other)
    with pytest.raises(NoCodexBackup):
        restore_latest_copy(tmp_path, other)


def test_few_backups_are_kept(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    made = []
    for _ in range(5):
        codex.change("DELETE FROM threads WHERE id = ?", PLAIN)
        made.append(mend(corpus_home, corpus_index, codex, tmp_path)[0])
    kept = sorted(tmp_path.glob("codex-state-*"))
    assert [file for file in kept if file.suffix == ".sqlite3"] == made[-3:]
    assert len(kept) == 6


REFUSED: dict[str, tuple[list[Any], type[Exception]]] = {
    "a half migrated one": (["UPDATE _sqlx_migrations SET success = 0"], CodexSchemaUnknown),
    "no list of migrations": (["DELETE FROM _sqlx_migrations"], CodexSchemaUnknown),
    "another column": (["ALTER TABLE threads ADD COLUMN news TEXT"], CodexSchemaUnknown),
    "a trigger that takes it back": (
        [
            "CREATE TRIGGER no AFTER INSERT ON threads"
            " BEGIN DELETE FROM threads WHERE id = NEW.id; END",
        ],
        CodexSchemaUnknown,
    ),
    "an index that the row breaks": (
        [f"CREATE INDEX no ON threads(id) WHERE id = '{PLAIN}' AND json(title) IS NOT NULL"],
        CodexUnusable,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path, case: str
) -> None:
    statements, error = REFUSED[case]
    codex.change("DELETE FROM threads WHERE id = ?", PLAIN, *statements)
    before = codex.content()
    with pytest.raises(error):
        mend(corpus_home, corpus_index, codex, tmp_path)
    assert codex.content() == before
    assert list(tmp_path.glob("codex-state-*")) == []


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_database_that_somebody_has_open_is_left_alone(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path, journal: str
) -> None:
    codex.change("DELETE FROM threads WHERE id = ?", PLAIN)
    mend(corpus_home, corpus_index, codex, tmp_path)
    codex.change(f"PRAGMA journal_mode = {journal}", "DELETE FROM threads WHERE id = ?", PLAIN)
    with codex.open_elsewhere() as process:
        for attempt in (
            lambda: mend(corpus_home, corpus_index, codex, tmp_path),
            lambda: restore_latest_copy(tmp_path, codex.path),
        ):
            with pytest.raises(CodexInUse, match=rf"in use by pid {process.pid} \(python"):
                attempt()
    assert PLAIN not in codex.threads()
    assert len(list(tmp_path.glob("codex-state-*"))) == 2


def test_a_holder_that_cannot_be_seen_is_noticed_by_its_lock(codex: Codex) -> None:
    with closing(sqlite3.connect(codex.path)) as ourselves:  # whom no list of others names
        ourselves.execute("SELECT 1 FROM threads").fetchone()
        with (
            pytest.raises(CodexInUse, match="an unknown process"),
            codex_backup.exclusively_open(codex.path),
        ):
            pytest.fail("it was held")


def test_a_database_that_has_changed_since_the_plan_is_left_alone(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    codex.change("DELETE FROM threads WHERE id = ?", PLAIN)

    def meanwhile() -> None:
        codex.change("DELETE FROM threads WHERE id = ?", ARCHIVED)

    with pytest.raises(CodexChanged):
        mend(corpus_home, corpus_index, codex, tmp_path, meanwhile)
    assert PLAIN not in codex.threads()


def test_a_thread_whose_file_is_gone_meanwhile_gets_no_row(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    gone = [write(home, number) for number in range(3)][1]
    codex = Codex.of(home, tmp_path)
    codex.change("DELETE FROM threads")
    _, inserted = mend(home, index_path, codex, tmp_path, gone.unlink)
    assert inserted == 2
    assert set(codex.threads()) == {thread_id(0), thread_id(2)}


def test_a_place_without_room_for_a_copy_is_reported_and_nothing_is_changed(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    codex.change("DELETE FROM threads WHERE id = ?", PLAIN)
    with pytest.raises(CodexUnusable, match="no copy can be made"):
        mend(corpus_home, corpus_index, codex, tmp_path / "nowhere")
    assert PLAIN not in codex.threads()


def test_a_reader_sees_nothing_until_all_is_done(codex: Codex) -> None:
    with codex_backup.exclusively_open(codex.path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM threads")
        with (
            closing(sqlite3.connect(codex.path, timeout=0)) as reader,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            reader.execute("SELECT * FROM threads")
        connection.execute("ROLLBACK")
    assert len(codex.threads()) == 182
