"""Codex's own database follows what is archived, unarchived and deleted, and a name taken back."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import zstandard

from state.db.location import moves_under_way
from state.edit.archive import move_thread
from state.edit.metadata import set_name, take_back_name
from state.edit.move_plan import Action
from state.errors import (
    CodexLocked,
    CodexSchemaUnknown,
    CodexUnusable,
    StateError,
)
from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.codex.databases import STATE, STATE_OF_64, Codex
from tests.state.edit.moved import (
    _locked,
    _newer,
    assert_in_step,
    move,
    refused,
    spawned_by,
    with_index,
)
from tests.support.checks import synced
from tests.support.damage import damaged_pages
from tests.support.indexes import meaning


@pytest.mark.parametrize("state", [STATE, STATE_OF_64], ids=["0.169", "0.171"])
def test_codex_s_own_database_follows(
    home: Path, index_path: Path, tmp_path: Path, state: bytes
) -> None:
    codex = Codex.empty(tmp_path, state)
    files = [
        write(home, 1),
        write(home, 1, segment=1),
        write(home, 2, encoded(lines(2, source=spawned_by(1)))),
        write(home, 3),
        write(home, 4),  # Codex has no row of it
    ]
    compressed = files[3].with_name(f"{files[3].name}.zst")
    compressed.write_bytes(zstandard.compress(files[3].read_bytes()))
    files[3].unlink()
    for number, path in ((1, files[1]), (2, files[2]), (3, files[3])):
        codex.insert(thread_id(number), path, updated_at=7, name="n", tokens_used=5)
    codex.change("INSERT INTO thread_spawn_edges VALUES (?, ?, 'open')", thread_id(1), thread_id(2))
    before, began = codex.threads(), int(time.time())

    async def all_archived(index: ThreadIndex) -> None:
        for number in (1, 3, 4):
            await move_thread(index, thread_id(number), Action.ARCHIVE, sqlite_home=tmp_path)

    with_index(home, index_path, all_archived)
    after = codex.threads()
    real = home.resolve()
    for number, name in ((1, files[1].name), (2, files[2].name), (3, compressed.name)):
        row = after[thread_id(number)]
        assert row.pop("archived_at") >= began
        assert row == {
            key: value for key, value in before[thread_id(number)].items() if key in row
        } | {
            "rollout_path": f"{real}/archived_sessions/{name}",
            "archived": 1,
        }

    async def one_unarchived(index: ThreadIndex) -> None:
        await move_thread(index, thread_id(1), Action.UNARCHIVE, sqlite_home=tmp_path)

    with_index(home, index_path, one_unarchived)
    for number, path in ((1, files[1]), (2, files[2])):
        row = codex.threads()[thread_id(number)]
        touched = path.stat().st_mtime_ns // 1_000_000
        times = {"updated_at": touched // 1000, "updated_at_ms": touched}
        assert row == before[thread_id(number)] | {"archived_at": None} | times

    async def all_deleted(index: ThreadIndex) -> None:
        await move_thread(index, thread_id(1), Action.DELETE, sqlite_home=tmp_path)
        await move_thread(index, thread_id(3), Action.PURGE, sqlite_home=tmp_path)

    codex.change("INSERT INTO thread_read_receipts VALUES (?, NULL, 'r', NULL)", thread_id(2))
    with_index(home, index_path, all_deleted)
    assert codex.threads() == {}
    for table in ("thread_spawn_edges", "thread_read_receipts"):
        assert codex.rows(f"SELECT * FROM {table}") == []


@pytest.mark.usefixtures("impatient")
def test_what_codex_has_read_out_of_a_thread_goes_with_it(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    write(home, 1)
    write(home, 2)
    history = Codex(tmp_path / "thread_history_1.sqlite")
    for table, more in (
        ("thread_turns", "turn_id TEXT"),
        ("thread_items", "item_json TEXT"),
        ("thread_history_projection_state", "next_rollout_ordinal INTEGER"),
    ):
        history.change(f"CREATE TABLE {table} (thread_id TEXT, {more})")
        for number in (1, 2):
            history.change(f"INSERT INTO {table} VALUES (?, 1)", thread_id(number))
    Codex.empty(tmp_path)

    def purge(index: ThreadIndex) -> Awaitable[object]:
        return move_thread(index, thread_id(1), Action.PURGE, sqlite_home=tmp_path)

    undo = _locked(history)
    try:
        refused(home, index_path, purge, CodexLocked)
    finally:
        undo()
    with_index(home, index_path, purge)
    for table in ("thread_turns", "thread_items", "thread_history_projection_state"):
        assert history.rows(f"SELECT thread_id FROM {table}") == [{"thread_id": thread_id(2)}]
    history.path.write_bytes(b"no database" * 99)
    refused(
        home,
        index_path,
        move(2, Action.DELETE, sqlite_home=tmp_path),
        CodexUnusable,
    )


def test_a_row_that_names_a_file_elsewhere_names_the_right_one_then(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    codex = Codex.empty(home)
    file, other = write(home, 1), write(tmp_path / "old", 1)
    for named in (str(other), "/gone/x.jsonl", ""):
        codex.change("DELETE FROM threads")
        codex.insert(thread_id(1), Path("x"), rollout_path=named)
        with_index(home, index_path, move(1, Action.ARCHIVE))
        (row,) = codex.threads().values()
        expected = f"{home.resolve()}/archived_sessions/{file.name}"
        assert (row["rollout_path"], row["archived"]) == (expected, 1)
        with_index(home, index_path, move(1, Action.UNARCHIVE))


def _damaged(codex: Codex) -> Callable[[], object]:
    damaged_pages(codex.path)
    return lambda: None


def _folder(codex: Codex) -> Callable[[], object]:
    codex.path.unlink()
    codex.path.mkdir()
    return lambda: None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_locked, CodexLocked),
        (_damaged, CodexUnusable),
        (_newer, CodexSchemaUnknown),
        (_folder, CodexUnusable),
    ],
)
def test_nothing_is_moved_when_codex_cannot_be_notified(
    home: Path,
    index_path: Path,
    tmp_path: Path,
    spoil: Callable[[Codex], Callable[[], object]],
    error: type[StateError],
) -> None:
    active, shelved = write(home, 1), write(home, 2, archived=True)
    codex = Codex.empty(tmp_path)
    codex.insert(thread_id(1), active)
    codex.insert(thread_id(2), shelved, archived=1)
    undo = spoil(codex)
    changes: list[Callable[[ThreadIndex], Awaitable[object]]] = [
        move(1, Action.ARCHIVE, sqlite_home=tmp_path),
        move(2, Action.UNARCHIVE, sqlite_home=tmp_path),
        move(1, Action.DELETE, sqlite_home=tmp_path),
        move(2, Action.PURGE, sqlite_home=tmp_path),
    ]
    try:
        for change in changes:
            refused(home, index_path, change, error)
    finally:
        undo()
    assert not moves_under_way(index_path)
    assert_in_step(home, index_path)


def test_a_database_that_is_empty_or_not_there_needs_nothing(home: Path, index_path: Path) -> None:
    write(home, 1)
    (home / "state_5.sqlite").touch()  # Codex makes a new one of it
    with_index(home, index_path, move(1, Action.ARCHIVE))
    (home / "state_5.sqlite").unlink()
    with_index(home, index_path, move(1, Action.UNARCHIVE))
    assert not (home / "state_5.sqlite").exists()


def test_a_first_name_is_taken_back_here_and_in_codex(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 2)
    codex = Codex.empty(home)
    first = {"title": "First.", "first_user_message": "First."}
    codex.insert(thread_id(1), home / "x", history_mode="legacy", **first)
    codex.insert(thread_id(2), home / "y", history_mode="paginated", **first)
    synced(home, index_path)
    before, held = codex.threads(), meaning(index_path)

    async def work(index: ThreadIndex) -> None:
        for number in (1, 2):
            await set_name(index, thread_id(number), "Name")
            assert (await index.thread("Name"))["id"] == thread_id(number)
            changed = await take_back_name(index, thread_id(number))
            assert (changed.indexed, changed.codex_error) == (True, None)

    with_index(home, index_path, work)
    assert (home / "session_index.jsonl").read_bytes() == b""
    assert (codex.threads(), meaning(index_path)) == (before, held)
