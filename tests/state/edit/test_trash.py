"""The trash: what is in it, what comes back, and what is removed for good."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollout.errors import WriterActive
from rollout.files.trash import TRASH, TrashFolder, read_trash
from rollout.files.writer_lock import WriterLock
from state.edit.archive import move_threads
from state.edit.move_plan import Action, MoveOutcome
from state.edit.trash import chosen, empty_trash, groups_of, restore_threads, trash_of
from state.errors import AmbiguousThread, NotInTrash, TargetExists, ThreadInTrash
from state.thread_index import ThreadIndex
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import UserValue, newest_settings
from tests.samples.homes import BASE_MS, encoded, lines, thread_id, write
from tests.state.codex.databases import Codex
from tests.state.edit.moved import assert_in_step, move, spawned_by, tree, with_index
from tests.support.checks import synced

EARLIER = f"20261121T120744Z-{thread_id(7)}"
"""A folder as earlier versions made them."""


@pytest.fixture
def before(home: Path, index_path: Path) -> dict[str, bytes]:
    """A home with a lineage, a fork and two others, and the files that it has."""
    base = {"thread_id": thread_id(4), "end_ordinal_exclusive": 1, "end_byte_offset": 10}
    write(home, 1)
    write(home, 1, segment=1)
    write(home, 2, encoded(lines(2, source=spawned_by(1))), archived=True)
    write(home, 3)
    write(home, 4)
    # It has a line in no turn, as its history begins where there is nothing.
    write(home, 5, encoded(lines(5, "Fork it", history_mode="paginated", history_base=base)))
    synced(home, index_path)
    return tree(home)


def deleted(home: Path, index_path: Path, *numbers: int) -> None:
    ids = [thread_id(number) for number in numbers]

    async def work(index: ThreadIndex) -> None:
        outcomes = await move_threads(index, Action.DELETE, ids)
        assert [outcome.error for outcome in outcomes] == [None] * len(ids)

    with_index(home, index_path, work)


def restored(home: Path, index_path: Path, *references: str) -> list[MoveOutcome]:
    async def work(index: ThreadIndex) -> list[MoveOutcome]:
        folders = await trash_of(index)
        wanted = [thread for one in references for thread in chosen(folders, one)]
        return await restore_threads(index, [*groups_of(folders, wanted)])

    return with_index(home, index_path, work)


def numbers_in(folder: TrashFolder) -> list[int]:
    return sorted(int(thread.thread_id[-4:], 16) for thread in folder.threads)


def test_one_delete_is_one_folder_and_comes_back_whole(
    home: Path, index_path: Path, before: dict[str, bytes]
) -> None:
    codex = Codex.empty(home)
    codex.insert(thread_id(3), next(home.rglob(f"*{thread_id(3)}.jsonl")))
    deleted(home, index_path, 1, 3, 4, 5)
    (folder,) = read_trash(home)
    known = {thread.thread_id: thread for thread in folder.threads}
    assert [*known] == [thread_id(number) for number in (5, 4, 3, 2, 1)]
    assert known[thread_id(2)].archived
    assert known[thread_id(2)].record.parent_id == thread_id(1)
    assert known[thread_id(5)].record.needs == (thread_id(4),)
    assert known[thread_id(1)].bytes == sum(
        len(content) for path, content in before.items() if thread_id(1) in path
    )
    assert codex.threads() == {}
    outcomes = restored(home, index_path, folder.delete_id[:9])
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert tree(home) == before
    assert not (home / TRASH).exists()
    assert_in_step(home, index_path, lines_left_out=1)


def test_what_belongs_to_a_thread_comes_back_with_it(
    home: Path, index_path: Path, before: dict[str, bytes]
) -> None:
    deleted(home, index_path, 1, 3, 4, 5)
    (spawned,) = restored(home, index_path, thread_id(1))
    assert spawned.group
    assert spawned.group.thread_ids == [thread_id(1), thread_id(2)]
    (fork,) = restored(home, index_path, "Fork it")
    assert fork.group
    assert fork.group.thread_ids == [thread_id(5), thread_id(4)]
    (left,) = read_trash(home)
    assert numbers_in(left) == [3]
    restored(home, index_path, thread_id(3))
    assert tree(home) == before


def test_a_folder_of_an_earlier_version_is_listed_and_comes_back(
    home: Path, index_path: Path, before: dict[str, bytes]
) -> None:
    folder = home / TRASH / EARLIER
    file = write(folder, 7)
    path = file.relative_to(folder).as_posix()
    manifest = {
        "version": 1,
        "thread_id": thread_id(7),
        "threads": [thread_id(7)],
        "files": [{"thread_id": thread_id(7), "path": path}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    lost = home / TRASH / f"20261121T120745Z-{thread_id(8)}"  # with its manifest
    other = write(lost, 8).relative_to(lost).as_posix()
    newer, older = read_trash(home)
    assert (numbers_in(newer), numbers_in(older)) == ([8], [7])
    assert older.deleted_at_ms == 1795262864000
    restored(home, index_path, EARLIER, thread_id(8))
    assert tree(home).keys() == {*before, path, other}
    assert not (home / TRASH).exists()
    assert_in_step(home, index_path, lines_left_out=1)


def test_nothing_is_put_over_another_file_or_under_a_writer(
    home: Path, index_path: Path, before: dict[str, bytes]
) -> None:
    deleted(home, index_path, 1, 3)
    (path,) = (path for path in before if thread_id(3) in path)
    (home / path).write_bytes(b"something else")
    (outcome,) = restored(home, index_path, thread_id(3))
    assert isinstance(outcome.error, TargetExists)
    assert (home / path).read_bytes() == b"something else"
    with WriterLock.acquire(home, thread_id(2)):
        (outcome,) = restored(home, index_path, thread_id(1))
    assert isinstance(outcome.error, WriterActive)
    (folder,) = read_trash(home)
    assert numbers_in(folder) == [1, 2, 3]
    (home / path).unlink()
    restored(home, index_path, folder.delete_id)
    assert tree(home) == before


def test_references_into_the_trash(home: Path, index_path: Path, before: dict[str, bytes]) -> None:
    assert before
    deleted(home, index_path, 3, 4, 5)
    folders = read_trash(home)

    def found(reference: str) -> Sequence[str]:
        return [thread.thread_id for thread in chosen(folders, reference)]

    assert found(thread_id(3).upper()) == [thread_id(3)]
    assert found(folders[0].delete_id) == [thread_id(number) for number in (5, 4, 3)]
    with pytest.raises(AmbiguousThread):
        found(thread_id(3)[:8])
    for reference in ("", "019", "nobody", thread_id(1), "20200101T"):
        with pytest.raises(NotInTrash):
            found(reference)

    async def work(index: ThreadIndex) -> None:
        for reference in (thread_id(3), "prompt 3"):
            with pytest.raises(ThreadInTrash, match="has been in the trash since") as told:
                await index.thread(reference)
            assert told.value.thread_id == thread_id(3)

    with_index(home, index_path, work)


def test_emptying_takes_names_and_user_data_of_threads_that_are_nowhere_else(
    home: Path, index_path: Path, before: dict[str, bytes]
) -> None:
    names = [json.dumps({"id": thread_id(n), "thread_name": f"n{n}"}) + "\n" for n in (1, 3, 4, 5)]
    (home / "session_index.jsonl").write_text("".join(names))
    values = [UserValue(thread_id(n), "name", "set by hand", BASE_MS) for n in (1, 3, 4, 5)]
    append_settings(index_path, values)
    deleted(home, index_path, 3, 4, 5)
    content = {path: data for path, data in before.items() if thread_id(4) in path}
    for path, data in content.items():
        (home / path).write_bytes(data)  # somebody has copied it back

    async def work(index: ThreadIndex) -> None:
        folders = await trash_of(index)
        ids = [one.delete_id for one in folders]
        emptied = await empty_trash(index, ids)
        assert [one.delete_id for one in emptied.removed] == ids
        assert [one.bytes for one in emptied.removed] == [one.bytes for one in folders]
        assert emptied.problems == []
        again = await empty_trash(index, ids)  # another process was faster
        assert (again.removed, again.problems) == ([], [])

    with_index(home, index_path, work)
    assert not (home / TRASH).exists()
    assert (home / "session_index.jsonl").read_text() == names[0] + names[2]
    kept = [s for s in newest_settings(read_settings(index_path)).values() if s.value]
    assert [s.thread_id for s in kept if isinstance(s, UserValue)] == [thread_id(1), thread_id(4)]


def test_more_threads_than_a_batch_has_are_one_delete(
    home: Path, index_path: Path, before: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("state.edit.archive._BATCH_THREADS", "state.edit.trash._BATCH_GROUPS"):
        monkeypatch.setattr(module, 2)
    deleted(home, index_path, 1, 4, 3, 5)
    (folder,) = read_trash(home)
    assert numbers_in(folder) == [1, 2, 3, 4, 5]
    restored(home, index_path, folder.delete_id)
    assert tree(home) == before
    assert_in_step(home, index_path, lines_left_out=1)


def test_a_purge_leaves_no_trash(home: Path, index_path: Path, before: dict[str, bytes]) -> None:
    deleted(home, index_path, 3)
    with_index(home, index_path, move(1, Action.PURGE))
    (folder,) = read_trash(home)
    assert numbers_in(folder) == [3]
    assert not any(thread_id(1) in path for path in tree(home))
    assert before


@pytest.mark.parametrize(
    ("folder", "manifest"),
    [
        ("20269999T999999Z-ab12", b""),
        ("00000000T000000Z-ab12", b"{}\n"),
        ("20261121T120744Z-ab12", b"[" * 100_000 + b"]" * 100_000),
        (
            "20261121T120744Z-ab12",
            b'{"thread_id": "%b", "title": "\\ud800"}' % thread_id(9).encode(),
        ),
    ],
)
def test_what_others_left_in_the_trash_is_listed(home: Path, folder: str, manifest: bytes) -> None:
    write(home / TRASH / folder, 9)
    (home / TRASH / folder / "manifest.jsonl").write_bytes(manifest)
    (found,) = read_trash(home)
    assert (numbers_in(found), found.threads[0].record.title) == ([9], "")
    assert found.deleted_at_ms > BASE_MS
