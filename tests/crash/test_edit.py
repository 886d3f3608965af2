"""Killed before every step and at random moments, a change is made or it is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rollout.schema.modes import MODES, PAGINATED
from tests.crash.nursery import CHANGED, Ended, deaths, run
from tests.samples.homes import encoded, write
from tests.samples.talk import turn
from tests.support.checks import codes, synced, verified
from tests.support.indexes import rows

OLD_NAME = {"id": CHANGED, "thread_name": "old name", "updated_at": "x"}
GIT = {"commit_hash": "old", "branch": "old"}


class Case:
    """One kind of change, from the same beginning again and again."""

    def __init__(self, work: str, mode: str, folder: Path) -> None:
        self.work = work
        self._begin = folder / "begin"
        self.home = folder / "now" / "home"
        self.index = folder / "now" / "index.sqlite3"
        home = self._begin / "home"
        self.path = write(home, 3, encoded(_lines(mode))).relative_to(home)
        self.before = (home / self.path).read_bytes()
        (home / "session_index.jsonl").write_text(f"{json.dumps(OLD_NAME)}\n")
        synced(home, self._begin / "index.sqlite3")

    def die(self, fatal: int | None, after_s: float) -> Ended:
        """Do the work from its beginning, and die."""
        shutil.rmtree(self.home.parent, ignore_errors=True)
        shutil.copytree(self._begin, self.home.parent)
        return run(self.work, self.home, self.index, fatal=fatal, after_s=after_s)

    def found(self, moment: str) -> tuple[Any, ...]:
        """What is so now, with what was recorded untouched and all else well."""
        synced(self.home, self.index)
        assert codes(verified(self.home, self.index)) == {}, moment
        assert (self.home / self.path).read_bytes().startswith(self.before), moment
        files = sorted(path for path in (self.home / "sessions").rglob("*") if path.is_file())
        made = [path for path in files if path != self.home / self.path]
        for path in files:
            assert path.name.startswith("rollout-"), moment
            assert path.read_bytes().endswith(b"\n"), moment
            [json.loads(line) for line in path.read_bytes().splitlines()]
        marks = "SELECT group_concat(key) FROM user_data WHERE thread_id = id AND value NOT NULL"
        marks += " AND (key IN ('pinned', 'note') OR key LIKE 'tag:%')"
        shown = f"name, git_sha, git_branch, memory_mode, ({marks})"
        (row,) = rows(self.index, f"SELECT {shown} FROM threads WHERE id = '{CHANGED}'")
        sizes = [len(path.read_bytes().splitlines()) for path in made]
        return (*row.values(), *sizes)


def _lines(mode: str) -> list[dict[str, Any]]:
    meta = {"id": CHANGED, "timestamp": "2026-06-01T00:00:00.000Z", "cwd": "/w", "git": GIT}
    meta |= {"originator": "o", "cli_version": "0.169.0", "source": "cli", "history_mode": mode}
    items = [{"type": "session_meta", "payload": meta}, *turn(mode, CHANGED, 1, "q", "a")]
    stamp = {"timestamp": "2026-06-01T00:00:00.000Z"}
    return [
        {**stamp, **({"ordinal": number} if mode == PAGINATED else {}), **item}
        for number, item in enumerate(items)
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("work", ["fork", "rename", "describe", "mark"])
def test_a_change_that_is_killed_is_made_or_not_made(work: str, mode: str, tmp_path: Path) -> None:
    case = Case(work, mode, tmp_path)
    whole, *seen = [case.found(moment) for moment in deaths(f"{work} {mode}", case.die)]
    old = ("old name", "old", "old", "enabled", None)
    between = {"describe": {("old name", "new", None, "enabled", None)}}.get(work, set())
    assert old in seen
    assert set(seen) <= {old, whole} | between
    assert (
        whole
        == {
            "fork": (*old, 1 + 7 * (mode != PAGINATED)),
            "rename": ("new name", *old[1:]),
            "describe": ("old name", "new", None, "disabled", None),
            "mark": (*old[:-1], "note,pinned,tag:new"),
        }[work]
    )
