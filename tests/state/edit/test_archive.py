"""Archive, unarchive, delete: files, rows, and what is refused."""

import json
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rollout.errors import WriterActive
from rollout.files.move import Move, MoveGroup
from rollout.files.writer_lock import WriterLock
from state.db.location import moves_under_way
from state.edit.archive import move_thread, move_threads
from state.edit.move_plan import Action
from state.errors import (
    AlreadyArchived,
    FileUnusable,
    HasDependents,
    NotArchived,
    StateError,
    TargetExists,
    ThreadNotFound,
)
from state.sync.move_journal import move_all
from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, file_name, lines, thread_id, write
from tests.state.edit.moved import assert_in_step, move, refused, spawned_by, tree, with_index
from tests.support.checks import synced
from tests.support.indexes import meaning


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
        assert await move_thread(index, thread_id(1), Action.ARCHIVE) == [thread_id(1)]
        assert await move_thread(index, thread_id(2), Action.ARCHIVE) == [thread_id(2)]

    with_index(home, index_path, work)
    after = tree(home)
    assert set(after) == {f"archived_sessions/{name}" for name in names(before)}
    assert sorted(after.values()) == sorted(before.values())
    assert_in_step(home, index_path, unreadable=1)

    began = os.stat(home).st_mtime_ns
    inodes = {path.name: path.stat().st_ino for path in home.rglob("rollout-*")}

    async def back(index: ThreadIndex) -> None:
        await move_thread(index, thread_id(1), Action.UNARCHIVE)
        await move_thread(index, thread_id(2), Action.UNARCHIVE)

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
    moved = with_index(home, index_path, move(1, Action.ARCHIVE))
    assert moved == [thread_id(3), thread_id(2), thread_id(1)]
    assert names(path for path in tree(home) if path.startswith("sessions/")) == [file_name(4)]
    moved = with_index(home, index_path, move(1, Action.UNARCHIVE))
    assert set(moved) == {thread_id(number) for number in (1, 2, 3, 5)}
    moved = with_index(home, index_path, move(2, Action.DELETE))
    assert moved == [thread_id(3), thread_id(2)]
    assert_in_step(home, index_path)


def test_an_undo_moves_back_just_what_was_moved_as_it_was(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 2, encoded(lines(2, source=spawned_by(1))))
    write(home, 3, encoded(lines(3, source=spawned_by(1))), archived=True)
    other_day = home / "sessions/2020/01/01"
    other_day.mkdir(parents=True)
    for path in [*home.rglob("rollout-*")]:
        os.utime(path, ns=(10**18, 10**18))
        if thread_id(1) in path.name:
            path.rename(other_day / path.name)
    synced(home, index_path)
    before, held = tree(home), meaning(index_path)

    async def work(index: ThreadIndex) -> None:
        (done,) = await move_threads(index, Action.ARCHIVE, [thread_id(1)])
        assert done.group
        assert done.group.thread_ids == [thread_id(2), thread_id(1)]
        back = {move.target: move.source for move in done.group.moves}
        undone = await move_threads(index, Action.UNARCHIVE, done.group.thread_ids, back=back)
        assert [outcome.error for outcome in undone] == [None, None]

    with_index(home, index_path, work)
    assert tree(home) == before
    assert {path.stat().st_mtime_ns for path in home.rglob("rollout-*")} == {10**18}
    assert meaning(index_path) == held
    assert_in_step(home, index_path)


def test_lineage_that_goes_in_a_circle_comes_to_an_end(home: Path, index_path: Path) -> None:
    write(home, 1, encoded(lines(1, source=spawned_by(2))))
    write(home, 2, encoded(lines(2, source=spawned_by(1))))
    synced(home, index_path)
    moved = with_index(home, index_path, move(1, Action.ARCHIVE))
    assert moved == [thread_id(2), thread_id(1)]


def test_a_file_whose_name_has_no_time_goes_back_to_the_day_of_its_thread(
    home: Path, index_path: Path
) -> None:
    (home / "archived_sessions").mkdir()
    file = home / "archived_sessions" / f"rollout-some-{thread_id(1)}.jsonl"
    file.write_bytes(encoded(lines(1)))
    synced(home, index_path)
    with_index(home, index_path, move(1, Action.UNARCHIVE))
    assert list(tree(home)) == [f"sessions/2026/05/28/{file.name}"]


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (move(9, Action.ARCHIVE), ThreadNotFound),
        (move(2, Action.ARCHIVE), AlreadyArchived),
        (move(1, Action.UNARCHIVE), NotArchived),
        (move(3, Action.ARCHIVE), TargetExists),
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
    told = refused(
        home,
        index_path,
        move(1, Action.ARCHIVE),
        TargetExists,
    )
    assert str(home / "archived_sessions" / file.name) in str(told)
    with_index(home, index_path, move(1, Action.DELETE))
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
    told = refused(
        home,
        index_path,
        move(1, Action.DELETE),
        HasDependents,
    )
    assert isinstance(told, HasDependents)
    assert told.other_id == thread_id(2)
    refused(
        home,
        index_path,
        move(1, Action.PURGE),
        HasDependents,
    )

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
    told = refused(
        home,
        index_path,
        move(1, Action.DELETE),
        HasDependents,
    )
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
    write(home, 2, encoded(lines(2, source=spawned_by(1))), archived=True)
    synced(home, index_path)
    before = tree(home)
    with_index(home, index_path, move(1, Action.DELETE))
    (folder,) = (home / ".threadkeep-trash").iterdir()
    child, parent = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    assert (parent["thread_id"], child["thread_id"]) == (thread_id(1), thread_id(2))
    assert (child["parent_thread_id"], child["archived"]) == (thread_id(1), True)
    assert (parent["title"], parent["cwd"]) == ("prompt 1", "/work/p1")
    files = {file["path"]: file["bytes"] for each in (parent, child) for file in each["files"]}
    assert files == {path: len(content) for path, content in before.items()}
    for path in files:
        (folder / path).rename(home / path)
    assert tree(home) == before
    synced(home, index_path)
    assert_in_step(home, index_path)


def test_a_file_that_cannot_be_moved_leaves_all_as_it_was(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 2)
    (home / "archived_sessions").write_bytes(b"a file where the folder should be")
    told = refused(
        home,
        index_path,
        move(1, Action.ARCHIVE),
        FileUnusable,
    )
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
