"""Moves that were cut off are finished or taken back, later."""

import json
import os
from pathlib import Path

import pytest

from rollout.files.move import Move, MoveGroup, move_file, move_group, undo_group
from rollout.files.writer_lock import WriterLock
from state.db.location import moves_folder, moves_under_way
from state.edit.archive import move_thread
from state.edit.move_plan import Action
from state.errors import (
    CodexLocked,
)
from state.sync.move_journal import exclusive_moves
from state.thread_index import ThreadIndex
from tests.samples.homes import thread_id, write
from tests.state.codex.databases import Codex
from tests.state.edit.moved import _locked, _newer, assert_in_step, tree, with_index
from tests.support.checks import synced


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("state", ["known", "unknown", "locked"])
def test_codex_is_notified_later_of_what_was_cut_off(
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


def test_an_entry_of_the_journal_that_cannot_be_used_is_reported_and_stops_nothing(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    synced(home, index_path)
    folder = moves_folder(index_path)
    folder.mkdir()
    (folder / "a.json").write_text("{")

    async def work(index: ThreadIndex) -> list[str]:
        assert await move_thread(index, thread_id(1), Action.ARCHIVE) == [thread_id(1)]
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
