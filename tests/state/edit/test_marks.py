"""Tags, pins, notes and status: kept in the journal first, whatever becomes of index and files."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from state.db.location import journal_path
from state.edit.archive import move_threads
from state.edit.marks import delete_tags, set_marks
from state.edit.metadata import Changed
from state.edit.move_plan import Action
from state.errors import FileUnusable, IndexBusy, InvalidMark, InvalidQuery, ThreadNotFound
from state.query.listing import key_steps
from state.query.marks import Marks, marks_steps, tag_counts_steps
from state.query.model import Query
from state.repair.reindex import reindex
from state.thread_index import ThreadIndex
from state.userdata.journal import append_settings
from state.userdata.marks import clean_tag
from state.userdata.model import UserValue
from tests.samples.homes import thread_id, write
from tests.state.edit.test_metadata import worked
from tests.state.edit.test_trash import deleted
from tests.state.edit.test_trash import restored as put_back
from tests.support.checks import codes, verified
from tests.support.effort import PATIENCE_S
from tests.support.indexes import empty_index, in_index

ALL = {"tag:bug": "1", "tag:ui": "1", "pinned": "1", "note": "look again", "status": "doing"}
MARKED = Marks(("bug", "ui"), True, "look again", "doing")


@pytest.fixture
def made(home: Path, index_path: Path) -> Path:
    """A home with three threads, the last of them archived, and an index of it."""
    for number in (1, 2, 3):
        write(home, number, archived=number == 3)
    empty_index(index_path)
    worked(home, index_path, lambda index: index.sync())
    return home


def mark(home: Path, path: Path, changes: Mapping[str, str | None], *numbers: int) -> Any:
    ids = [thread_id(number) for number in numbers]
    return worked(home, path, lambda index: set_marks(index, ids, changes))


def marks(home: Path, path: Path) -> dict[int, Marks]:
    """The marks of threads, by their numbers."""
    numbers = {thread_id(number): number for number in range(20)}

    async def work(index: ThreadIndex) -> dict[int, Marks]:
        found = await index.database.query(marks_steps([*numbers]))
        return {numbers[id_]: each for id_, each in found.items()}

    return worked(home, path, work)


def test_marks_are_set_and_taken_back(made: Path, index_path: Path) -> None:
    files = {path: path.read_bytes() for path in made.rglob("*.jsonl")}
    results = mark(made, index_path, ALL, 1, 3)
    assert results == {id_: Changed(id_) for id_ in (thread_id(1), thread_id(3))}
    assert marks(made, index_path) == {1: MARKED, 3: MARKED}
    upper = worked(made, index_path, lambda index: set_marks(index, [thread_id(1).upper()], ALL))
    assert upper == {thread_id(1).upper(): Changed(thread_id(1))}
    mark(made, index_path, {"tag:BUG ": None, "status": "done", "note": " "}, 3)
    assert marks(made, index_path) == {1: MARKED, 3: Marks(("ui",), True, "", "done")}
    mark(made, index_path, {"pinned": None, "tag:ui": None, "status": None}, 3)
    assert marks(made, index_path) == {1: MARKED}
    assert {path: path.read_bytes() for path in made.rglob("*.jsonl")} == files
    assert codes(verified(made, index_path)) == {}


def test_what_was_never_set_is_not_taken_back(made: Path, index_path: Path) -> None:
    mark(made, index_path, {"tag:bug": None, "pinned": None}, 1, 2)
    assert not journal_path(index_path).exists()


def test_marks_outlive_the_index_and_follow_the_thread(made: Path, index_path: Path) -> None:
    mark(made, index_path, ALL, 1, 3)

    def is_kept() -> bool:
        return marks(made, index_path) == {1: MARKED, 3: MARKED}

    for action, number in ((Action.ARCHIVE, 1), (Action.UNARCHIVE, 1), (Action.UNARCHIVE, 3)):
        ids = [thread_id(number)]
        worked(made, index_path, lambda index, to=action, ids=ids: move_threads(index, to, ids))  # type: ignore[misc]
        assert is_kept()
    deleted(made, index_path, 1)
    assert tags(made, index_path) == {"bug": 1, "ui": 1}
    put_back(made, index_path, thread_id(1))
    assert is_kept()
    asyncio.run(reindex(made, index_path))
    assert is_kept()
    for file in index_path.parent.glob(f"{index_path.name}*"):
        if "facts" not in file.name:
            file.unlink()
    assert is_kept()
    assert codes(verified(made, index_path)) == {}


def tags(home: Path, path: Path) -> dict[str, int]:
    return in_index(home, path, lambda index: index.database.query(tag_counts_steps()))  # type: ignore[no-any-return]


def test_a_tag_is_deleted_from_all_threads_and_from_the_trash(made: Path, index_path: Path) -> None:
    mark(made, index_path, {"tag:bug": "1", "tag:ui": "1"}, 1, 2, 3)
    mark(made, index_path, {"tag:ui": None}, 2)
    assert tags(made, index_path) == {"bug": 3, "ui": 2}
    deleted(made, index_path, 1)
    assert tags(made, index_path) == {"bug": 2, "ui": 1}
    worked(made, index_path, lambda index: delete_tags(index, ["Bug", "none"]))
    put_back(made, index_path, thread_id(1))
    assert tags(made, index_path) == {"ui": 2}
    with pytest.raises(InvalidMark):
        worked(made, index_path, lambda index: delete_tags(index, ["ui", "a b"]))
    assert tags(made, index_path) == {"ui": 2}


def test_one_write_sets_the_marks_of_all(made: Path, index_path: Path) -> None:
    missing = thread_id(9)
    ids = [thread_id(1), missing, thread_id(2)]
    before = in_index(made, index_path, lambda index: _times(index, ids, dry_run=True))
    assert not journal_path(index_path).exists()
    results = in_index(made, index_path, lambda index: _times(index, ids, dry_run=False))
    for found in (before, results):
        assert [type(result) for result in found.values()] == [Changed, ThreadNotFound, Changed]
    lines = [json.loads(line) for line in journal_path(index_path).read_text().splitlines()]
    assert [(line["thread_id"], line["key"]) for line in lines] == [
        (thread_id(1), "tag:x"),
        (thread_id(2), "tag:x"),
    ]
    assert len({line["set_at_ms"] for line in lines}) == 1


async def _times(index: ThreadIndex, ids: list[str], *, dry_run: bool) -> Any:
    return await set_marks(index, ids, {"tag:X": "1"}, dry_run=dry_run)


def test_a_mark_is_newer_than_what_it_replaces(made: Path, index_path: Path) -> None:
    """Even if the clock was set back meanwhile."""
    later = 2**62
    append_settings(index_path, [UserValue(thread_id(1), "status", "todo", later)])
    mark(made, index_path, {"status": "done"}, 1, 2)
    assert marks(made, index_path) == {1: Marks(status="done"), 2: Marks(status="done")}
    lines = journal_path(index_path).read_text().splitlines()
    times = [json.loads(line)["set_at_ms"] for line in lines]
    assert times[1] == later + 1 > times[2]


def test_what_only_the_journal_has_after_a_crash_is_there_again(
    made: Path, index_path: Path
) -> None:
    append_settings(index_path, [UserValue(thread_id(1), "tag:cut", "1", 5)])
    assert marks(made, index_path) == {1: Marks(("cut",))}
    append_settings(index_path, [UserValue(thread_id(1), "tag:off", "1", 6)])
    in_index(made, index_path, lambda index: delete_tags(index, ["off"]))
    mark(made, index_path, {"tag:on": "1"}, 1)
    assert marks(made, index_path) == {1: Marks(("cut", "on"))}
    assert codes(verified(made, index_path)) == {}


def test_what_cannot_be_written_is_not_set(made: Path, index_path: Path) -> None:
    journal_path(index_path).mkdir()
    results = mark(made, index_path, ALL, 1)
    assert [type(result) for result in results.values()] == [FileUnusable]
    journal_path(index_path).rmdir()
    assert marks(made, index_path) == {}


def test_nothing_is_set_while_the_index_is_held(made: Path, index_path: Path) -> None:
    async def held(index: ThreadIndex) -> Any:
        index.database.stop_waiting()
        return await set_marks(index, [thread_id(1)], ALL)

    hold = (
        "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None);"
        " held.execute('BEGIN IMMEDIATE'); print(flush=True); input()"
    )
    command = [sys.executable, "-c", hold, str(index_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        results = in_index(made, index_path, held)
        other.communicate(b"\n", PATIENCE_S)
    assert [type(result) for result in results.values()] == [IndexBusy]
    assert not journal_path(index_path).exists()


TAGGER = """
import asyncio, sys
from pathlib import Path
from state.edit.marks import set_marks
from state.edit.metadata import Changed
from state.thread_index import open_index

async def main(home, path, thread_id, name):
    async with open_index(Path(home), Path(path)) as index:
        for number in range(8):
            changes = {f"tag:{name}-{number}": "1", "note": name, f"tag:{name}-{number - 1}": None}
            results = await set_marks(index, [thread_id], changes)
            assert results == {thread_id: Changed(thread_id)}, results

asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_that_tag_one_thread_at_once_lose_nothing(made: Path, index_path: Path) -> None:
    names = ("a", "b", "c")
    running = [
        subprocess.Popen([sys.executable, "-c", TAGGER, made, index_path, thread_id(1), name])
        for name in names
    ]
    assert [process.wait(PATIENCE_S) for process in running] == [0] * len(names)
    found = marks(made, index_path)[1]
    assert found.tags == tuple(f"{name}-7" for name in names)
    assert found.note in names
    assert codes(verified(made, index_path)) == {}
    os.unlink(index_path)
    assert marks(made, index_path)[1] == found


def test_threads_are_listed_by_their_marks(made: Path, index_path: Path) -> None:
    mark(made, index_path, {"tag:bug": "1", "tag:ui": "1", "status": "todo"}, 1)
    mark(made, index_path, {"tag:bug": "1", "pinned": "1"}, 2, 3)

    def numbers(**filters: Any) -> list[int]:
        async def work(index: ThreadIndex) -> list[int]:
            keys = await index.database.query(key_steps(Query(**filters), None, 10))
            return [number for number in range(4) if thread_id(number) in {key[1] for key in keys}]

        return in_index(made, index_path, work)  # type: ignore[no-any-return]

    assert numbers(tags=("BUG",)) == [1, 2]
    assert numbers(tags=("bug", "ui")) == numbers(statuses=("todo", "done")) == [1]
    assert numbers(pinned=True) == [2]
    assert numbers(pinned=False) == numbers(tags=("bug",), pinned=False) == [1]
    assert numbers(tags=("bug",), archived=True) == [3]
    assert numbers(tags=("none",)) == numbers(statuses=("waiting",)) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" Bug ", "bug"),
        ("U\u0308BER", "\u00fcber"),
        ("\u0130", "i\u0307"),
        ("c++/#1:x", "c++/#1:x"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("x" * 64, "x" * 64),
    ],
)
def test_names_of_tags_have_one_spelling(given: str, kept: str) -> None:
    assert clean_tag(given) == kept == clean_tag(kept)


BAD_TAGS = ("", " ", "a b", "a,b", "-x", "a\tb", "a\x1b[31m", "a\u202eb", "a\u00a0b", "\ud800")


@pytest.mark.parametrize("name", [*BAD_TAGS, "x" * 65])
def test_names_that_no_tag_can_have(name: str, made: Path, index_path: Path) -> None:
    with pytest.raises(InvalidMark):
        mark(made, index_path, {f"tag:{name}": "1"}, 1)
    with pytest.raises(InvalidQuery):
        Query(tags=(name,))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "later"},
        {"pinned": "yes"},
        {"tag:x": "x"},
        {"colour": "red"},
        {"name": "x"},
        {"note": "x" * 10_001},
        {"note": "a\0b"},
        {"note": "\ud800"},
    ],
)
def test_what_cannot_be_set(changes: dict[str, str], made: Path, index_path: Path) -> None:
    with pytest.raises(InvalidMark):
        mark(made, index_path, changes, 1)
    with pytest.raises(InvalidQuery):
        Query(statuses=("later",))
    assert not journal_path(index_path).exists()
