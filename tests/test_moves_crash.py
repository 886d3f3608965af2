"""Killed before every step and at random moments, moving leaves each thread in one place."""

import itertools
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.facts import Fact, append_facts, newest, read_facts
from state.place import moves_under_way

from .checks import codes, synced, verified
from .crash import MOVED, Nursery
from .homes import BASE_MS, encoded, lines, thread_id, write
from .indexes import rows

STRIDE = 3
"""Of so many steps one is tried; which one, the seed says."""
CHILD = thread_id(20)
OTHER = thread_id(2)
NAMES = [{"id": id_, "thread_name": f"name of {id_}", "updated_at": "x"} for id_ in (MOVED, OTHER)]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as opened:
        yield opened


class Case:
    """One kind of move, from the same beginning again and again."""

    def __init__(self, work: str, folder: Path, nursery: Nursery) -> None:
        self.work = work
        self._nursery = nursery
        self._begin = folder / "begin"
        self.home = folder / "now" / "home"
        self.index = folder / "now" / "index.sqlite3"
        home, index = self._begin / "home", self._begin / "index.sqlite3"
        archived = work == "unarchive"
        spawn = {"subagent": {"thread_spawn": {"parent_thread_id": MOVED, "depth": 1}}}
        family = [
            write(home, 1, archived=archived),
            write(home, 1, archived=archived, segment=1),
            write(home, 20, encoded(lines(20, source=spawn)), archived=archived),
        ]
        write(home, 2)
        (home / "session_index.jsonl").write_text(
            "".join(f"{json.dumps(name)}\n" for name in NAMES)
        )
        append_facts(index, [Fact(MOVED, "name", "set by hand", BASE_MS)])
        synced(home, index)
        self.before = {path.relative_to(home).as_posix(): path.read_bytes() for path in family}

    def die(self, *, fatal: int | None = None, after_s: float = 0.0) -> tuple[int, float]:
        """Begin, and die: the exit status, and how long it took."""
        shutil.rmtree(self.home.parent, ignore_errors=True)
        shutil.copytree(self._begin, self.home.parent)
        ended = self._nursery.run(self.work, self.home, self.index, fatal=fatal, after_s=after_s)
        return ended.status, ended.seconds

    def check(self, moment: str) -> bool:
        """All is in one place, and the index knows where. Gives whether it is the new one."""
        synced(self.home, self.index)
        assert not moves_under_way(self.index), moment
        assert codes(verified(self.home, self.index)) == {}, moment
        found = sorted(
            path.relative_to(self.home).as_posix()
            for path in self.home.rglob("rollout-*")
            if OTHER not in path.name
        )
        names = sorted(path.rsplit("/", 1)[-1] for path in self.before)
        if not found:
            assert self.work == "purge", moment
        else:
            assert sorted(path.rsplit("/", 1)[-1] for path in found) == names, moment
        for path in found:
            (content,) = (
                data for old, data in self.before.items() if old.endswith(Path(path).name)
            )
            assert (self.home / path).read_bytes() == content, moment
        moved = found != sorted(self.before)
        if moved:
            places = {path.split("/", 1)[0] for path in found}
            assert (
                places
                == {
                    "archive": {"archived_sessions"},
                    "unarchive": {"sessions"},
                    "delete": {".threadkeep-trash"},
                    "purge": set(),
                }[self.work]
            ), moment
        listed = {row["id"] for row in rows(self.index, "SELECT id FROM threads")}
        gone = {MOVED, CHILD} if moved and self.work in ("delete", "purge") else set()
        assert listed == {MOVED, CHILD, OTHER} - gone, moment
        if moved and self.work == "purge":
            kept = (self.home / "session_index.jsonl").read_text()
            assert kept == f"{json.dumps(NAMES[1])}\n", moment
            (fact,) = newest(read_facts(self.index)).values()
            assert fact.value is None, moment
            assert not (self.home / ".threadkeep-trash").exists(), moment
        return moved


@pytest.mark.parametrize("work", ["archive", "unarchive", "delete", "purge"])
def test_a_move_that_is_killed_is_done_or_not_done(
    work: str, tmp_path: Path, nursery: Nursery
) -> None:
    case = Case(work, tmp_path, nursery)
    status, whole_s = case.die()
    assert status == 0
    assert case.check("not killed")

    seed = int(os.environ.get("THREADKEEP_CRASH_SEED", "1"))
    done = set()
    for step in itertools.count(seed % STRIDE, STRIDE):
        status, _ = case.die(fatal=step)
        if status == 0:
            break
        assert status == 9, f"before step {step}"
        done.add(case.check(f"killed before step {step}"))
    assert step > 10
    assert done == {False, True}

    moments = random.Random(f"{work} {seed}")
    for _ in range(int(os.environ.get("THREADKEEP_CRASH_MOMENTS", "3"))):
        after_s = max(moments.uniform(0, whole_s), 1e-6)
        case.die(after_s=after_s)
        case.check(f"killed after {after_s:.6f} s, seed {seed}")
