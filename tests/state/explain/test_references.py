"""What a reference may mean that is explained: files of every kind, and what nobody knows."""

import os
import shutil
from pathlib import Path

import pytest

from state.errors import AmbiguousThread, ThreadNotFound
from tests.samples.homes import encoded, file_name, lines, thread_id, write
from tests.state.explain.explained import ID, codes, explained, notes


def test_files_that_are_no_threads_are_explained(home: Path, index_path: Path) -> None:
    write(home, 1)
    torn = write(home, 2, b"{")
    (home / "sessions" / "notes.txt").write_text("x")
    outside = home.parent / "rollout-2026-05-28T20-00-00-x.jsonl"
    shutil.copy(next(home.rglob(f"*{ID}.jsonl")), outside)
    for reference, code in (
        (str(torn), "unreadable"),
        ("sessions/notes.txt", "ignored"),
        (str(outside), "outside_home"),
    ):
        found = explained(home, index_path, reference)
        assert codes(found, "codex") == codes(found, "here") == {code}
        assert found.thread_id is None
    by_id = explained(home, index_path, thread_id(2))
    assert "unreadable" in codes(by_id, "here")


def test_a_file_named_after_another_thread_is_reported(home: Path, index_path: Path) -> None:
    write(home, 1, encoded(lines(2)))
    found = explained(home, index_path)
    assert found.thread_id == thread_id(2)
    assert "other_thread" in notes(found)


def test_a_path_that_leads_to_a_file_by_another_way(home: Path, index_path: Path) -> None:
    path = write(home, 1)
    drive = home.parent / "drive"
    (home / "sessions").rename(drive)
    (home / "sessions").symlink_to(drive)
    link = home.parent / "link.jsonl"
    link.symlink_to(path)
    moved = drive / path.relative_to(home / "sessions")
    for reference in (str(link), str(moved), f"/old/place/{path.name}"):
        found = explained(home, index_path, reference)
        assert (found.thread_id, found.listed) == (ID, True)
        assert found.path == path.relative_to(home).as_posix()


def test_a_pipe_with_the_name_of_a_rollout_is_not_opened(home: Path, index_path: Path) -> None:
    write(home, 2)
    for place, code in ((home / "sessions", "ignored"), (home.parent, "outside_home")):
        os.mkfifo(place / "rollout-pipe.jsonl")
        found = explained(home, index_path, str(place / "rollout-pipe.jsonl"))
        assert codes(found, "here") == {code}
        assert "not a regular file" in found.reasons[0].evidence


def test_what_nobody_knows_is_not_explained(home: Path, index_path: Path) -> None:
    write(home, 1)
    write(home, 2)
    with pytest.raises(ThreadNotFound) as problem:
        explained(home, index_path, f"{ID[:-1]}f")
    assert ID in problem.value.close
    with pytest.raises(ThreadNotFound):
        explained(home, index_path, "nobody \udcff")
    with pytest.raises(ThreadNotFound) as problem:
        explained(home, index_path, "p")
    assert problem.value.close == ()
    with pytest.raises(AmbiguousThread):
        explained(home, index_path, ID[:8])


@pytest.mark.parametrize("sync", [True, False])
def test_whatever_is_ignored_is_reported_so(home: Path, index_path: Path, *, sync: bool) -> None:
    day = write(home, 1).parent
    os.mkfifo(day / "pipe")
    (day / "nowhere").symlink_to("/nowhere/at/all")
    (day / "linked").symlink_to(day)
    (day / "notes.txt").write_text("x")
    shutil.copy(next(day.glob("*.jsonl")), day / f"{next(day.glob('*.jsonl')).name}.orig")
    (home / "archived_sessions").write_text("a file")
    explained(home, index_path, sync=sync)
    for name in ("pipe", "nowhere", "linked", "notes.txt", f"{file_name(1)}.orig"):
        for reference in (str(day / name), (day / name).relative_to(home).as_posix()):
            found = explained(home, index_path, reference, sync=sync)
            assert {reason.code for reason in found.reasons} == {"ignored"}, name
            assert found.path == (day / name).relative_to(home).as_posix()
            assert not found.listed
    found = explained(home, index_path, "archived_sessions")
    assert "a file where a folder should be" in found.reasons[0].evidence
    with pytest.raises(ThreadNotFound):
        explained(home, index_path, "sessions")
