"""Killed before every step and at random moments, moving leaves each thread in one place."""

import json
import shutil
from pathlib import Path

import pytest

from rollout.files.trash import read_trash
from state.db.location import moves_under_way
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import UserValue, newest_settings
from tests.crash.nursery import MOVED, Ended, deaths, run
from tests.samples.homes import BASE_MS, encoded, lines, thread_id, write
from tests.state.codex.databases import Codex
from tests.support.checks import codes, synced, verified
from tests.support.indexes import rows

CHILD = thread_id(20)
OTHER = thread_id(2)
TITLES = {"hello", "set by hand"}
NAMES = [{"id": id_, "thread_name": f"name of {id_}", "updated_at": "x"} for id_ in (MOVED, OTHER)]


class Case:
    """One kind of move, from the same beginning again and again."""

    def __init__(self, work: str, folder: Path) -> None:
        self.work = work
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
        append_settings(index, [UserValue(MOVED, "name", "set by hand", BASE_MS)])
        synced(home, index)
        codex = Codex.empty(home)
        for id_, path in ((MOVED, family[1]), (CHILD, family[2]), (OTHER, write(home, 2))):
            moved = self.home.resolve() / path.relative_to(home)
            codex.insert(id_, moved, archived=int(archived and id_ != OTHER))
        self.codex = Codex(self.home / codex.path.name)
        self.before = {path.relative_to(home).as_posix(): path.read_bytes() for path in family}
        if work in ("put back", "empty"):
            assert run("delete", home, index).status == 0

    def die(self, fatal: int | None, after_s: float) -> Ended:
        """Do the work from its beginning, and die."""
        shutil.rmtree(self.home.parent, ignore_errors=True)
        shutil.copytree(self._begin, self.home.parent)
        return run(self.work, self.home, self.index, fatal=fatal, after_s=after_s)

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
        for folder in read_trash(self.home):
            files = {path for thread in folder.threads for path in thread.files}
            assert files == self.before.keys(), moment
            assert {thread.record.title for thread in folder.threads} == TITLES, moment
        names = sorted(path.rsplit("/", 1)[-1] for path in self.before)
        if not found:
            assert self.work in ("purge", "empty"), moment
        else:
            assert sorted(path.rsplit("/", 1)[-1] for path in found) == names, moment
        for path in found:
            (content,) = (
                data for old, data in self.before.items() if old.endswith(Path(path).name)
            )
            assert (self.home / path).read_bytes() == content, moment
        moved = found != sorted(self.before)
        if self.work == "put back":
            moved = not moved
        elif self.work == "empty":
            moved = not found
        if moved:
            places = {path.split("/", 1)[0] for path in found}
            assert (
                places
                == {
                    "archive": {"archived_sessions"},
                    "unarchive": {"sessions"},
                    "delete": {".threadkeep-trash"},
                    "purge": set(),
                    "put back": {"sessions"},
                    "empty": set(),
                }[self.work]
            ), moment
        listed = {row["id"] for row in rows(self.index, "SELECT id FROM threads")}
        leaves = moved if self.work in ("delete", "purge") else not moved
        deletes = self.work in ("delete", "purge", "put back", "empty")
        gone = {MOVED, CHILD} if deletes and (leaves or self.work == "empty") else set()
        assert listed == {MOVED, CHILD, OTHER} - gone, moment
        told = {id_: row["rollout_path"] for id_, row in self.codex.threads().items()}
        # Codex has no row of a thread that comes back: it finds the file.
        assert told.keys() == (listed if self.work != "put back" else {OTHER}), moment
        for id_, place in told.items():
            assert Path(place).is_file(), (moment, id_)
        flags = {id_: row["archived"] for id_, row in self.codex.threads().items()}
        assert flags == {id_: int("archived_sessions" in told[id_]) for id_ in told}, moment
        if moved and self.work in ("purge", "empty"):
            kept = (self.home / "session_index.jsonl").read_text()
            assert kept == f"{json.dumps(NAMES[1])}\n", moment
            (fact,) = newest_settings(read_settings(self.index)).values()
            assert fact.value is None, moment
            assert not (self.home / ".threadkeep-trash").exists(), moment
        return moved


@pytest.mark.parametrize("work", ["archive", "unarchive", "delete", "purge", "put back", "empty"])
def test_a_move_that_is_killed_is_done_or_not_done(work: str, tmp_path: Path) -> None:
    case = Case(work, tmp_path)
    whole, *done = [case.check(moment) for moment in deaths(work, case.die)]
    assert whole
    assert set(done) == {False, True}
