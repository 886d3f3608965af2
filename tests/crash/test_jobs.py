"""Killed before every step and at random moments, work loses nothing and can be made whole."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.fulltext.due import WITHOUT_CHANGES
from state.fulltext.indexer import fill_fulltext
from state.repair.backup import backups
from state.repair.dump import dump_lines
from state.thread_index import open_index
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import FolderAlias, Setting, UserValue, newest_settings
from tests import FIXTURES
from tests.crash.nursery import DUMP, Ended, deaths, run
from tests.samples.homes import BASE_MS, encoded, event, lines, thread_id, write
from tests.support.checks import codes, repaired, synced, verified
from tests.support.indexes import meaning, rows

INDEXES = FIXTURES / "indexes"

KEPT: list[Setting] = [
    UserValue(thread_id(1), "name", "kept one", BASE_MS),
    UserValue(thread_id(77), "name", "of a thread that is not here", BASE_MS),
    FolderAlias("/work/p1", "/moved/p1", BASE_MS),
]
RESTORED: list[Setting] = [
    UserValue(thread_id(number), "name", f"restored {number}", BASE_MS + 5) for number in range(450)
]
USED = event(
    "2026-05-28T21:00:00.000Z",
    "token_count",
    info={
        "total_token_usage": {"input_tokens": 105, "output_tokens": 20, "total_tokens": 125},
        "last_token_usage": {"input_tokens": 11, "output_tokens": 10, "total_tokens": 21},
    },
)
PATCHED = event(
    "2026-05-28T21:00:01.000Z",
    "patch_apply_end",
    call_id="call_1",
    turn_id="turn_1",
    stdout="Success. Updated the following files:\nM src/app.py\nM lib/New.py\n",
    stderr="",
    success=True,
    changes={
        f"/w/{name}": {"type": "update", "unified_diff": "@@ -1 +1 @@\n-a\n+b\n"}
        for name in ("src/app.py", "lib/New.py")
    },
    status="completed",
)


def fill(home: Path) -> None:
    """A home with something of everything that an index holds."""
    (home / "sessions").mkdir(parents=True)
    for number in range(12):
        write(home, number, archived=number % 5 == 4)
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
    write(home, 20, encoded(lines(20, source=spawn, dynamic_tools=[{"name": "t"}])))
    write(home, 4, encoded([*lines(4, "prompt 4"), USED]))  # what its copy in the archive lacks
    write(home, 3, segment=1)
    write(home, 21, b"")
    write(home, 22, encoded(lines(22)) + b'{"torn')
    for number in (5, 8, 22):
        write(home, number, encoded([*lines(number, f"prompt {number}"), PATCHED]))


def change(home: Path) -> None:
    """A day in the life of a home."""
    with write(home, 2).open("ab") as file:
        more = event("2026-05-28T21:00:00.000Z", "user_message", message="more")
        file.write(encoded([more, PATCHED]))
    for number in range(30, 36):
        write(home, number)
    (moved,) = (home / "sessions").rglob(f"*{thread_id(6)}.jsonl")
    moved.rename(home / "archived_sessions" / moved.name)
    for number in (0, 3, 7):
        for path in home.rglob(f"*{thread_id(number)}*"):
            path.unlink()
    (home / "session_index.jsonl").write_text(
        f'{{"id":"{thread_id(5)}","thread_name":"by Codex","updated_at":"2026-05-28"}}\n'
    )


def sql(index: Path, *statements: str) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def nothing(_home: Path, _index: Path) -> None:
    """The work begins without an index."""


def complete(home: Path, index: Path) -> None:
    synced(home, index)


def behind(home: Path, index: Path) -> None:
    synced(home, index)
    change(home)


def wrong(home: Path, index: Path) -> None:
    synced(home, index)
    sql(
        index,
        "DELETE FROM threads WHERE id IN (SELECT id FROM threads ORDER BY id LIMIT 3)",
        "UPDATE threads SET title = 'wrong' WHERE rowid % 2",
        "UPDATE rollout_files SET bucket = 'duplicate' WHERE bucket = 'segment'",
        "DELETE FROM user_data",
        "INSERT INTO thread_titles (thread_titles) VALUES ('delete-all')",
    )


def broken(home: Path, index: Path) -> None:
    synced(home, index)
    sql(index, "DROP TABLE rollout_files")


def cut(home: Path, index: Path) -> None:
    synced(home, index)
    index.write_bytes(index.read_bytes()[:50_000])


def backed_up(home: Path, index: Path) -> None:
    wrong(home, index)
    repaired(home, index)
    assert backups(index)


def old(_home: Path, index: Path) -> None:
    shutil.copy(INDEXES / "v0001.sqlite3", index)


def changed(home: Path, index: Path) -> None:
    synced(home, index)

    async def filled() -> None:
        async with open_index(home, index) as opened:
            await fill_fulltext(opened)

    asyncio.run(filled())
    sql(
        index,  # as the version before changed files were indexed left it
        f"UPDATE fulltext_threads SET version = {WITHOUT_CHANGES} WHERE row_id % 2",
        "DELETE FROM file_changes WHERE row_id % 2",
    )
    change(home)
    synced(home, index)


def said(index: Path) -> list[dict[str, Any]]:
    """What an index knows of what was said, whatever the numbers of its documents, which of it is
    found by the word that all of it has, and which files were changed."""
    changes = rows(
        index,
        "SELECT t.id, path, casefolded, kind, at_ms, hex(locations) AS places FROM file_changes"
        " JOIN changed_files USING (file_id) JOIN threads t USING (row_id) ORDER BY t.id, path",
    )
    assert len({row["path"] for row in changes}) == len(rows(index, "SELECT 1 FROM changed_files"))
    found = 'SELECT rowid FROM fulltext_trigrams WHERE fulltext_trigrams MATCH \'"pro" AND "omp"\''
    return changes + rows(
        index,
        "SELECT t.id, files, header, state, end_offset, hex(group_concat(locations, '')) AS places,"
        f" max(document_id IN ({found})) AS found FROM threads t"
        " JOIN fulltext_threads USING (row_id)"
        " JOIN resume_points r ON r.row_id = t.row_id AND r.pass = 'fulltext'"
        " LEFT JOIN (SELECT * FROM fulltext_documents ORDER BY document_id) USING (row_id)"
        " GROUP BY t.id ORDER BY t.id",
    )


def dumped(home: Path, index: Path) -> None:
    synced(home, index)
    (index.parent / DUMP).write_text("".join(f"{line}\n" for line in dump_lines(RESTORED)))


CASES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "backfill": ("backfill", nothing),
    "one pass": ("one pass", nothing),
    "sync": ("sync", behind),
    "search": ("search", complete),
    "search of what has changed": ("search", changed),
    "migration": ("sync", old),
    "repair": ("repair", wrong),
    "repair by rebuilding": ("repair", broken),
    "reindex": ("reindex", behind),
    "restore": ("restore", dumped),
    "undo": ("undo", backed_up),
    "recovery": ("recover", cut),
    "vacuum": ("vacuum", complete),
}

SEARCHES = ("search", "one pass")


class Case:
    """One kind of work, from the same beginning again and again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.work, begin = CASES[name]
        self.home = folder / "home"
        self._begin = folder / "begin"
        self._state = folder / "state"
        self.index = self._state / "index.sqlite3"
        self._begin.mkdir()
        fill(self.home)
        append_settings(self._begin / "index.sqlite3", KEPT)
        begin(self.home, self._begin / "index.sqlite3")
        self.facts = newest_settings([*KEPT, *(RESTORED if self.work == "restore" else [])])
        fresh = folder / "fresh" / "index.sqlite3"
        fresh.parent.mkdir()
        append_settings(fresh, list(self.facts.values()))
        synced(self.home, fresh)
        self.own = codes(verified(self.home, fresh))
        """What is wrong with the files themselves."""
        self.right = meaning(fresh)
        if self.work in SEARCHES:
            assert run("search", self.home, fresh).status == 0
            self.said = said(fresh)
            assert any(row.get("found") for row in self.said)

    def die(self, fatal: int | None, after_s: float) -> Ended:
        """Do the work from its beginning, and die."""
        shutil.rmtree(self._state, ignore_errors=True)
        shutil.copytree(self._begin, self._state)
        return run(self.work, self.home, self.index, fatal=fatal, after_s=after_s)

    def check(self, moment: str) -> None:
        """What users set is there, and all can be made as a fresh index has it."""
        journal = newest_settings(read_settings(self.index))
        for kept in KEPT:
            assert journal[kept.subject].set_at_ms >= kept.set_at_ms, moment
        if self.work == "restore":
            again = run(self.work, self.home, self.index)
            assert again.status == 0, moment
        if self.work in SEARCHES:
            assert run(self.work, self.home, self.index).status == 0, moment
            assert said(self.index) == self.said, moment
            assert rows(self.index, "SELECT * FROM fulltext_pending") == [], moment
        if self.work == "backfill":
            synced(self.home, self.index)
        wrong = codes(verified(self.home, self.index))
        if wrong != self.own and self.work != "backfill":
            repaired(self.home, self.index)
            wrong = codes(verified(self.home, self.index))
        assert wrong == self.own, moment
        assert meaning(self.index) == self.right, moment
        assert newest_settings(read_settings(self.index)) == self.facts, moment
        held = rows(self.index, "SELECT thread_id, key, value, set_at_ms FROM user_data")
        wanted = {fact for fact in self.facts.values() if isinstance(fact, UserValue)}
        assert {UserValue(**row) for row in held} == wanted, moment
        assert not (self.index.parent / f"{self.index.name}.backup-unfinished").exists(), moment


@pytest.mark.parametrize("name", CASES)
def test_work_that_is_killed_loses_nothing(name: str, tmp_path: Path) -> None:
    case = Case(name, tmp_path)
    for moment in deaths(name, case.die):
        case.check(moment)
