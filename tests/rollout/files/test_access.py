"""What cannot be looked at is not gone: in folders that are loops, and behind names too long."""

import os
from pathlib import Path

import pytest

from rollout.errors import HomeNotFound
from rollout.files.access import is_there, refusing
from rollout.files.move import Move, MoveGroup, move_group, occupied_target, undo_group
from rollout.files.scan import check_home

UNSEEN = ["loop/rollout-a.jsonl", f"{'x' * 300}/rollout-a.jsonl"]
UNSEEN_WHY = r"symbolic links|too long"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "broken").symlink_to("nowhere")
    return tmp_path


def test_a_path_is_there_or_gone_or_cannot_be_seen(home: Path) -> None:
    found = {name: is_there(home / name) for name in ("file", "loop", "broken", "gone", "file/x")}
    assert found == {"file": True, "loop": True, "broken": True, "gone": False, "file/x": False}
    for path in UNSEEN:
        with pytest.raises(OSError, match=UNSEEN_WHY):
            is_there(home / path)


@pytest.mark.parametrize("path", UNSEEN)
@pytest.mark.parametrize("trash", [None, ".threadkeep-trash/a"])
def test_a_file_that_cannot_be_seen_is_not_taken_for_a_moved_one(
    home: Path, path: str, trash: str | None
) -> None:
    moves = (Move("a", "file", "moved"), Move("a", path, "other"))
    group = MoveGroup("a", moves, trash=trash)
    with pytest.raises(OSError, match=UNSEEN_WHY):
        occupied_target(home, moves)
    with pytest.raises(OSError, match=UNSEEN_WHY):
        move_group(home, group)
    undo_group(home, group)
    assert sorted(os.listdir(home)) == ["broken", "file", "loop"]


def test_a_home_that_cannot_be_seen_is_not_missing(home: Path) -> None:
    for path in ("gone", "file", "file/x", "broken"):
        with pytest.raises(HomeNotFound):
            check_home(home / path)
    with pytest.raises(OSError, match="symbolic links"):
        check_home(home / "loop")


def test_an_error_about_no_permission_is_about_what_the_system_names(home: Path) -> None:
    error = OSError(28, "No space left on device", "from", None, str(home / "a/b"))
    assert refusing(error, home) == home / "a/b"
    assert refusing(OSError(5, "Input/output error"), home) == home
