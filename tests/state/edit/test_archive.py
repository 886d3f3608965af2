"""Archive, unarchive, delete: what moves where, what is refused, and what the index has then."""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zstandard

from rollout.errors import RolloutError, WriterActive
from rollout.files.move import Move, MoveGroup, move_file, move_group, undo_group
from rollout.files.writer_lock import WriterLock
from state.db.location import moves_folder, moves_under_way
from state.edit.archive import archive, delete, move_threads, unarchive
from state.edit.move_plan import Action
from state.errors import (
    AlreadyArchived,
    CodexLocked,
    CodexSchemaUnknown,
    CodexUnusable,
    FileUnusable,
    HasDependents,
    NotArchived,
    StateError,
    TargetExists,
    ThreadNotFound,
)
from state.sync.move_journal import exclusive_moves, move_all
from state.thread_index import ThreadIndex, open_index
from tests.samples.homes import encoded, file_name, lines, thread_id, write
from tests.state.checks.test_faults_index import damaged_pages
from tests.state.codex.databases import STATE, STATE_OF_64, Codex
from tests.support.checks import codes, synced, verified
from tests.support.indexes import meaning

Result = TypeVar("Result")


def spawned_by(parent: int, depth: int = 1) -> dict[str, Any]:
    """The source of a thread that another one has spawned."""
    spawn = {"parent_thread_id": thread_id(parent), "depth": depth}
    return {"subagent": {"thread_spawn": spawn}}


def with_index(home: Path, path: Path, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``work`` gives for the index, opened for it alone."""

    async def opened() -> Result:
        async with open_index(home, path) as index:
            return await work(index)

    return asyncio.run(opened())


def tree(home: Path) -> dict[str, bytes]:
    """Every rollout below a home with its content."""
    return {
        path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("rollout-*")
    }


def refused(
    home: Path,
    path: Path,
    work: Callable[[ThreadIndex], Awaitable[Result]],
    error: type[StateError | RolloutError],
) -> Exception:
    """The error that ``work`` ends with; it must not have changed anything."""
    synced(home, path)
    before, held = tree(home), meaning(path)
    with pytest.raises(error) as told:
        with_index(home, path, work)
    assert tree(home) == before
    assert meaning(path) == held
    assert not moves_under_way(path)
    return told.value


def assert_in_step(home: Path, path: Path, **findings: int) -> None:
    """The index is as one that is made of the files now, which have these findings."""
    fresh = path.with_name("fresh") / "index.sqlite3"
    synced(home, fresh)
    assert meaning(path) == meaning(fresh)
    assert codes(verified(home, path)) == findings
    for file in fresh.parent.iterdir():
        file.unlink()


def names(paths: Iterable[str]) -> list[str]:
    return sorted(path.rsplit("/", 1)[-1] for path in paths)


def test_all_files_of_a_thread_go_to_the_archive_and_back(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 1, segment=1)
    plain = write(home, 2)
    packed = plain.with_name(f"{plain.name}.zst")
    packed.write_bytes(zstandard.ZstdCompressor().compress(plain.read_bytes()))
    torn = home / "sessions/2026/05/28" / f"rollout-2026-05-28T21-00-00-{thread_id(2)}.jsonl"
    torn.write_bytes(b"")
    before = tree(home)
    synced(home, index_path)

    async def work(index: ThreadIndex) -> None:
        assert await archive(index, thread_id(1)) == [thread_id(1)]
        assert await archive(index, thread_id(2)) == [thread_id(2)]

    with_index(home, index_path, work)
    after = tree(home)
    assert set(after) == {f"archived_sessions/{name}" for name in names(before)}
    assert sorted(after.values()) == sorted(before.values())
    assert_in_step(home, index_path, unreadable=1)

    began = os.stat(home).st_mtime_ns
    inodes = {path.name: path.stat().st_ino for path in home.rglob("rollout-*")}

    async def back(index: ThreadIndex) -> None:
        await unarchive(index, thread_id(1))
        await unarchive(index, thread_id(2))

    with_index(home, index_path, back)
    assert tree(home) == before
    assert_in_step(home, index_path, unreadable=1)
    for path in home.rglob("rollout-*"):
        assert path.stat().st_mtime_ns > began, "as Codex sets it"
        assert path.stat().st_ino == inodes[path.name]


def test_what_a_thread_has_spawned_goes_along_and_a_review_does_not(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    write(home, 2, encoded(lines(2, source=spawned_by(1))))
    write(home, 3, encoded(lines(3, source=spawned_by(2, 2))))
    write(home, 4, encoded(lines(4, source={"subagent": "review"}, parent_thread_id=thread_id(1))))
    write(home, 5, encoded(lines(5, source=spawned_by(1))), archived=True)
    synced(home, index_path)
    moved = with_index(home, index_path, lambda index: archive(index, thread_id(1)))
    assert moved == [thread_id(3), thread_id(2), thread_id(1)]
    assert names(path for path in tree(home) if path.startswith("sessions/")) == [file_name(4)]
    moved = with_index(home, index_path, lambda index: unarchive(index, thread_id(1)))
    assert set(moved) == {thread_id(number) for number in (1, 2, 3, 5)}
    moved = with_index(home, index_path, lambda index: delete(index, thread_id(2)))
    assert moved == [thread_id(3), thread_id(2)]
    assert_in_step(home, index_path)


def test_lineage_that_goes_in_a_circle_comes_to_an_end(home: Path, index_path: Path) -> None:
    write(home, 1, encoded(lines(1, source=spawned_by(2))))
    write(home, 2, encoded(lines(2, source=spawned_by(1))))
    synced(home, index_path)
    moved = with_index(home, index_path, lambda index: archive(index, thread_id(1)))
    assert moved == [thread_id(2), thread_id(1)]


def test_a_file_whose_name_has_no_time_goes_back_to_the_day_of_its_thread(
    home: Path, index_path: Path
) -> None:
    (home / "archived_sessions").mkdir()
    file = home / "archived_sessions" / f"rollout-some-{thread_id(1)}.jsonl"
    file.write_bytes(encoded(lines(1)))
    synced(home, index_path)
    with_index(home, index_path, lambda index: unarchive(index, thread_id(1)))
    assert list(tree(home)) == [f"sessions/2026/05/28/{file.name}"]


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda index: archive(index, thread_id(9)), ThreadNotFound),
        (lambda index: archive(index, thread_id(2)), AlreadyArchived),
        (lambda index: unarchive(index, thread_id(1)), NotArchived),
        (lambda index: archive(index, thread_id(3)), TargetExists),
    ],
)
def test_what_makes_no_sense_is_refused(
    home: Path,
    index_path: Path,
    work: Callable[[ThreadIndex], Awaitable[Any]],
    error: type[StateError],
) -> None:
    write(home, 1)
    write(home, 2, archived=True)
    write(home, 3)
    write(home, 3, archived=True)
    refused(home, index_path, work, error)


def test_two_files_of_one_name_are_not_put_over_each_other(home: Path, index_path: Path) -> None:
    file = write(home, 1)
    copy = home / "sessions/2026/05/29" / file.name
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    told = refused(home, index_path, lambda index: archive(index, thread_id(1)), TargetExists)
    assert str(home / "archived_sessions" / file.name) in str(told)
    with_index(home, index_path, lambda index: delete(index, thread_id(1)))
    assert len(tree(home)) == 2, "the trash keeps them apart"


@pytest.mark.parametrize("action", Action)
def test_a_thread_that_is_written_stays_with_all_that_would_go_along(
    home: Path, index_path: Path, action: Action
) -> None:
    archived = action is Action.UNARCHIVE
    write(home, 1, archived=archived)
    write(home, 2, encoded(lines(2, source=spawned_by(1))), archived=archived)

    async def work(index: ThreadIndex) -> None:
        (outcome,) = await move_threads(index, action, [thread_id(1)])
        assert outcome.error
        raise outcome.error

    with WriterLock.acquire(home, thread_id(2)):
        told = refused(home, index_path, work, WriterActive)
    assert isinstance(told, WriterActive)
    assert told.thread_id == thread_id(2)
    assert f"pid {os.getpid()}" in str(told.holder)
    with WriterLock.acquire(home, thread_id(1)) as free:
        assert free, "the refused one let go of what it had locked"


def test_a_thread_that_others_depend_on_is_not_deleted(home: Path, index_path: Path) -> None:
    base = {"thread_id": thread_id(1), "end_ordinal_exclusive": 1, "end_byte_offset": 10}
    write(home, 1)
    write(home, 2, encoded(lines(2, history_mode="paginated", history_base=base)))
    told = refused(home, index_path, lambda index: delete(index, thread_id(1)), HasDependents)
    assert isinstance(told, HasDependents)
    assert told.other_id == thread_id(2)
    refused(home, index_path, lambda index: delete(index, thread_id(1), purge=True), HasDependents)

    async def both(index: ThreadIndex) -> list[str]:
        outcomes = await move_threads(index, Action.DELETE, [thread_id(1), thread_id(2)])
        return [str(outcome.error) for outcome in outcomes if outcome.error]

    assert with_index(home, index_path, both) == []
    assert_in_step(home, index_path)


def test_a_fork_of_a_part_that_was_reverted_is_found_too(home: Path, index_path: Path) -> None:
    """What depends is a segment that was left behind, on a segment."""
    base = {"thread_id": thread_id(5001), "end_ordinal_exclusive": 1, "end_byte_offset": 10}
    write(home, 1)
    write(home, 1, segment=1)
    write(home, 2, encoded(lines(2, history_mode="paginated", history_base=base)))
    write(home, 2, encoded(lines(2, history_mode="paginated")), segment=2)
    told = refused(home, index_path, lambda index: delete(index, thread_id(1)), HasDependents)
    assert isinstance(told, HasDependents)
    assert told.other_id == thread_id(2)


def test_a_spawned_thread_goes_by_itself_where_its_parent_is_refused(
    home: Path, index_path: Path
) -> None:
    base = {"thread_id": thread_id(1), "end_ordinal_exclusive": 1, "end_byte_offset": 10}
    write(home, 1)
    write(home, 2, encoded(lines(2, source=spawned_by(1))))
    write(home, 3, encoded(lines(3, history_mode="paginated", history_base=base)))
    synced(home, index_path)

    async def work(index: ThreadIndex) -> list[bool]:
        outcomes = await move_threads(index, Action.DELETE, [thread_id(1), thread_id(2)])
        return [outcome.error is None for outcome in outcomes]

    assert with_index(home, index_path, work) == [False, True]
    kept = [path for path in tree(home) if path.startswith("sessions/")]
    assert names(kept) == [file_name(1), file_name(3)]


def test_the_trash_has_what_it_takes_to_put_a_thread_back(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 1, segment=1)
    synced(home, index_path)
    before = tree(home)
    with_index(home, index_path, lambda index: delete(index, thread_id(1)))
    (folder,) = (home / ".threadkeep-trash").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["thread_id"] == thread_id(1)
    assert {file["path"] for file in manifest["files"]} == set(before)
    for file in manifest["files"]:
        (folder / file["path"]).rename(home / file["path"])
    assert tree(home) == before
    synced(home, index_path)
    assert_in_step(home, index_path)


def test_a_file_that_cannot_be_moved_leaves_all_as_it_was(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 2)
    (home / "archived_sessions").write_bytes(b"a file where the folder should be")
    told = refused(home, index_path, lambda index: archive(index, thread_id(1)), FileUnusable)
    assert "archived_sessions" in str(told)


def test_a_group_that_goes_wrong_halfway_is_taken_back(home: Path, index_path: Path) -> None:
    first, second = write(home, 1), write(home, 2)
    synced(home, index_path)
    before = tree(home)
    moves = [
        Move(thread_id(1), first.relative_to(home).as_posix(), f"archived_sessions/{first.name}"),
        Move(thread_id(2), second.relative_to(home).as_posix(), "a-file/no-folder"),
    ]
    (home / "a-file").write_bytes(b"")
    group = MoveGroup(thread_id(1), tuple(moves))

    async def work(index: ThreadIndex) -> dict[str, StateError]:
        return await move_all(index.database, home, [group], home / "state_5.sqlite")

    assert list(with_index(home, index_path, work)) == [thread_id(1)]
    assert tree(home) == before
    assert not moves_under_way(index_path)
    assert_in_step(home, index_path)


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
            await archive(index, thread_id(number), sqlite_home=tmp_path)

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
        await unarchive(index, thread_id(1), sqlite_home=tmp_path)

    with_index(home, index_path, one_unarchived)
    for number, path in ((1, files[1]), (2, files[2])):
        row = codex.threads()[thread_id(number)]
        touched = path.stat().st_mtime_ns // 1_000_000
        times = {"updated_at": touched // 1000, "updated_at_ms": touched}
        assert row == before[thread_id(number)] | {"archived_at": None} | times

    async def all_deleted(index: ThreadIndex) -> None:
        await delete(index, thread_id(1), sqlite_home=tmp_path)
        await delete(index, thread_id(3), sqlite_home=tmp_path, purge=True)

    codex.change("INSERT INTO thread_read_receipts VALUES (?, NULL, 'r', NULL)", thread_id(2))
    with_index(home, index_path, all_deleted)
    assert codex.threads() == {}
    for table in ("thread_spawn_edges", "thread_read_receipts"):
        assert codex.rows(f"SELECT * FROM {table}") == []


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
        return delete(index, thread_id(1), sqlite_home=tmp_path, purge=True)

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
        lambda index: delete(index, thread_id(2), sqlite_home=tmp_path),
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
        with_index(home, index_path, lambda index: archive(index, thread_id(1)))
        (row,) = codex.threads().values()
        expected = f"{home.resolve()}/archived_sessions/{file.name}"
        assert (row["rollout_path"], row["archived"]) == (expected, 1)
        with_index(home, index_path, lambda index: unarchive(index, thread_id(1)))


def _locked(codex: Codex) -> Callable[[], object]:
    other = sqlite3.connect(codex.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


def _damaged(codex: Codex) -> Callable[[], object]:
    damaged_pages(codex.path)
    return lambda: None


def _newer(codex: Codex) -> Callable[[], object]:
    codex.change("ALTER TABLE threads RENAME COLUMN archived TO shelved")
    return lambda: None


def _folder(codex: Codex) -> Callable[[], object]:
    codex.path.unlink()
    codex.path.mkdir()
    return lambda: None


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_locked, CodexLocked),
        (_damaged, CodexUnusable),
        (_newer, CodexSchemaUnknown),
        (_folder, CodexUnusable),
    ],
)
def test_nothing_is_moved_when_codex_cannot_be_told(
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
        lambda index: archive(index, thread_id(1), sqlite_home=tmp_path),
        lambda index: unarchive(index, thread_id(2), sqlite_home=tmp_path),
        lambda index: delete(index, thread_id(1), sqlite_home=tmp_path),
        lambda index: delete(index, thread_id(2), sqlite_home=tmp_path, purge=True),
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
    with_index(home, index_path, lambda index: archive(index, thread_id(1)))
    (home / "state_5.sqlite").unlink()
    with_index(home, index_path, lambda index: unarchive(index, thread_id(1)))
    assert not (home / "state_5.sqlite").exists()


@pytest.mark.parametrize("state", ["known", "unknown", "locked"])
def test_codex_is_told_later_of_what_was_cut_off(
    home: Path, index_path: Path, tmp_path: Path, state: str
) -> None:
    """The files are moved in any case. One that is locked is told by the next who opens the index;
    of one that cannot be told it is said, and codex-check finds it."""
    file = write(home, 1)
    synced(home, index_path)
    codex = Codex.empty(tmp_path)
    codex.insert(thread_id(1), file)
    target = f"archived_sessions/{file.name}"
    move = {
        "thread_id": thread_id(1),
        "source": file.relative_to(home).as_posix(),
        "target": target,
    }
    entry = {"v": 1, "home": str(home.resolve()), "codex": str(codex.path)}
    folder = moves_folder(index_path)
    folder.mkdir()
    group = {"thread_id": thread_id(1), "moves": [move]}
    (folder / "one.json").write_text(json.dumps(entry | {"groups": [group]}))
    undo = {"known": lambda _: None, "unknown": _newer, "locked": _locked}[state](codex)

    async def problems(index: ThreadIndex) -> list[str]:
        return index.unfinished

    async def refused_till_then(index: ThreadIndex) -> list[str]:
        with pytest.raises(CodexLocked):  # what comes now would be undone when Codex is told
            async with exclusive_moves(index.database, home):
                pass
        return index.unfinished

    told = with_index(home, index_path, refused_till_then if state == "locked" else problems)
    if undo:
        undo()
    assert list(tree(home)) == [target]
    assert moves_under_way(index_path) == (state == "locked")
    if state == "known":
        assert told == []
    else:
        assert "threadkeep codex-check" in told[0]
    if state != "unknown":
        assert with_index(home, index_path, problems) == []
        assert codex.threads()[thread_id(1)]["archived"] == 1
        assert not moves_under_way(index_path)
    assert_in_step(home, index_path)


def test_moving_again_what_was_moved_or_moved_back_changes_nothing(home: Path) -> None:
    file = write(home, 1)
    source, target = file.relative_to(home).as_posix(), f"archived_sessions/{file.name}"
    group = MoveGroup(thread_id(1), (Move(thread_id(1), source, target),))
    for _ in range(2):
        move_group(home, group)
        assert list(tree(home)) == [target]
    for _ in range(2):
        undo_group(home, group)
        assert list(tree(home)) == [source]
    os.link(home / source, home / target)  # as a kill between both steps leaves it
    move_group(home, group)
    assert list(tree(home)) == [target]


def test_a_file_is_never_put_over_another_one(home: Path) -> None:
    source, target = write(home, 1), write(home, 2)
    content = target.read_bytes()
    with pytest.raises(FileExistsError):
        move_file(source, target)
    assert source.exists()
    assert target.read_bytes() == content


def test_an_entry_of_the_journal_that_cannot_be_used_is_told_and_stops_nothing(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    synced(home, index_path)
    folder = moves_folder(index_path)
    folder.mkdir()
    (folder / "a.json").write_text("{")

    async def work(index: ThreadIndex) -> list[str]:
        assert await archive(index, thread_id(1)) == [thread_id(1)]
        return index.unfinished

    (problem,) = with_index(home, index_path, work)
    assert "a.json cannot be used: it is damaged" in problem


def test_what_was_cut_off_waits_while_somebody_writes_the_thread(
    home: Path, index_path: Path
) -> None:
    file = write(home, 1)
    synced(home, index_path)
    source, target = file.relative_to(home).as_posix(), f"archived_sessions/{file.name}"
    folder = moves_folder(index_path)
    folder.mkdir()
    group = {
        "thread_id": thread_id(1),
        "moves": [{"thread_id": thread_id(1), "source": source, "target": target}],
    }
    entry = {"v": 1, "home": str(home.resolve()), "groups": [group]}
    (folder / "a.json").write_text(json.dumps(entry))

    async def problems(index: ThreadIndex) -> list[str]:
        return index.unfinished

    with WriterLock.acquire(home, thread_id(1)):
        (problem,) = with_index(home, index_path, problems)
        assert "active writer" in problem
        assert list(tree(home)) == [source]
    assert with_index(home, index_path, problems) == []
    assert list(tree(home)) == [target]
    assert not folder.exists()
    assert_in_step(home, index_path)
