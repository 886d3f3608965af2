"""Why a thread is listed or not: each reason from a home with just that, and the gold lists."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from state.explain.explain import CLAUSES, explain
from state.rows.home_config import default_provider
from state.thread_index import open_index
from tests.samples.gold import exchanges
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.state.explain.explained import (
    CWD,
    ID,
    STAMP,
    codes,
    codex_database,
    explained,
    notes,
    picker_database,
)
from tests.support.effort import sample
from tests.support.indexes import rows


def spawned(home: Path) -> None:
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(2), "depth": 1}}}
    write(home, 1, encoded(lines(1, source=spawn)))


def empty(home: Path) -> None:
    write(home, 1, encoded(lines(1)[:1]))


def deep(home: Path) -> None:
    filler = [event(STAMP, "token_count", info=None)] * 300
    write(home, 1, encoded([*lines(1)[:1], *filler, *lines(1)[1:]]))


def bad_byte(home: Path) -> None:
    first, rest = encoded(lines(1)[:1]), encoded(lines(1)[1:])
    write(home, 1, first + b'{"x":"\xff"}\n' + rest)


def bare(home: Path) -> None:
    meta = {"id": ID, "timestamp": STAMP, "instructions": None}
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    write(home, 1, encoded([meta, message]))


def misplacement(home: Path) -> None:
    path = write(home, 1)
    path.rename(home / "sessions" / path.name)


CASES: dict[str, tuple[Callable[[Path], object], set[str], set[str], set[str]]] = {
    # what makes the thread; what hides it here, in Codex's picker, in Codex's thread/list
    "nothing": (lambda home: write(home, 1), set(), set(), set()),
    "archived": (
        lambda home: write(home, 1, archived=True),
        {"archived"},
        {"archived"},
        {"archived"},
    ),
    "source": (spawned, {"source_kind"}, {"source_kind"}, {"source_kind"}),
    "atlas": (
        lambda home: write(home, 1, encoded(lines(1, source={"custom": "atlas"}))),
        set(),
        {"source_kind"},
        set(),
    ),
    "provider": (
        lambda home: write(home, 1, encoded(lines(1, model_provider="other"))),
        set(),
        set(),
        {"provider_filter"},
    ),
    "cwd": (
        lambda home: write(home, 1, encoded(lines(1, cwd="/else"))),
        set(),
        {"cwd_filter"},
        set(),
    ),
    "empty": (empty, {"empty_preview"}, {"empty_preview"}, {"empty_preview"}),
    "deep": (deep, set(), set(), {"beyond_scan_depth"}),
    "bad byte": (bad_byte, set(), {"unreadable_line"}, {"unreadable_line"}),
    "mode": (
        lambda home: write(home, 1, encoded(lines(1, history_mode="woven"))),
        set(),
        {"unknown_history_mode"},
        {"unknown_history_mode"},
    ),
    "bare": (bare, set(), {"bare_era"}, {"bare_era"}),
    "misplaced": (misplacement, set(), set(), {"misplaced"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_hides_a_thread_is_reported(name: str, home: Path, index_path: Path) -> None:
    """Codex 0.169 and 0.171 show and hide the same (docs/differences.md)."""
    make, here, picker, listed = CASES[name]
    make(home)
    found = explained(home, index_path)
    assert codes(found, "here") == here
    assert codes(found, "codex") == picker
    assert codes(found, "threadList") == listed
    assert (found.listed, found.listed_in_codex) == (not here, not picker)
    assert found.listed_in_thread_list == (not listed)
    for reason in found.reasons:
        assert reason.evidence
        shown = reason.where == "threadList" and found.listed_in_codex == (not listed)
        assert not reason.hides or shown or CLAUSES[reason.code] in found.verdict
    with closing(sqlite3.connect(index_path)) as connection:
        assert connection.execute("SELECT count(*) FROM threads").fetchone() == (1,)


@pytest.mark.parametrize(
    ("change", "hidden"),
    [
        ("", set()),
        ("model_provider = 'other'", set()),
        ("archived = 1", {"codex_archived_differs"}),
        ("source = 'exec'", {"source_kind"}),
        ("cwd = '/else'", {"cwd_filter"}),
        ("preview = ''", {"empty_preview"}),
        ("attached_thread_parent_id = 'x'", {"attached"}),
        ("rollout_path = '/gone.jsonl'", {"codex_path_wrong"}),
        ("id = 'another'", {"codex_row_missing"}),
    ],
)
def test_the_picker_shows_what_codexs_rows_say(
    change: str, hidden: set[str], home: Path, index_path: Path
) -> None:
    """Measured with 0.169 and 0.171, which read the files for the picker only if no row fits."""
    paths = [write(home, number, encoded(lines(number, cwd=CWD))) for number in (1, 2)]
    picker_database(home, {ID: paths[0], thread_id(2): paths[1]})
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        if change:
            codex.execute(f"UPDATE threads SET {change} WHERE id = ?", (ID,))
    found = explained(home, index_path)
    assert codes(found, "codex") == hidden
    assert found.listed
    assert found.listed_in_thread_list
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        codex.execute("DELETE FROM threads WHERE id <> ?", (ID,))
    assert explained(home, index_path).listed_in_codex


def test_the_place_of_a_deep_message_and_of_a_bad_byte_is_reported(
    home: Path, index_path: Path
) -> None:
    deep(home)
    (found,) = [r for r in explained(home, index_path).reasons if r.code == "beyond_scan_depth"]
    path = home / str(found.path)
    assert found.offset is not None
    assert b"user_message" in path.read_bytes()[found.offset :].partition(b"\n")[0]
    bad_byte(home)
    told = {reason.code: reason for reason in explained(home, index_path).reasons}
    found, line = told["unreadable_line"], told["damaged_lines"]
    assert (found.where, line.where) == ("threadList", "here")
    assert line.offset == path.read_bytes().index(b'{"x"')
    assert found.offset == path.read_bytes().index(b"\xff")


def test_other_files_of_a_thread_are_reported(home: Path, index_path: Path) -> None:
    first, newest = write(home, 1), write(home, 1, segment=1)
    copy = home / "archived_sessions" / newest.name
    copy.parent.mkdir()
    shutil.copy(newest, copy)
    found = explained(home, index_path)
    assert found.listed
    assert {"stale_segment", "duplicate"} <= notes(found)
    assert found.path == newest.relative_to(home).as_posix()
    old = explained(home, index_path, str(first))
    assert old.verdict.startswith(f"This file is a stale segment of thread {ID}. ")
    duplicate = explained(home, index_path, copy.relative_to(home).as_posix())
    assert duplicate.verdict.startswith(f"This file is a duplicate of thread {ID}. ")


def test_a_copy_beside_the_regular_file_hides_nothing(home: Path, index_path: Path) -> None:
    """Codex's picker never comes to it; its backfill does (measured on 0.169 and 0.171)."""
    own = write(home, 1, encoded(lines(1, cwd=CWD)))
    copy = own.with_name(own.name.replace(".jsonl", ".sync-conflict-20261102-101010-A.jsonl"))
    shutil.copy(own, copy)
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        codex.execute("CREATE TABLE threads (id TEXT, rollout_path TEXT, archived INTEGER)")
        codex.execute("INSERT INTO threads VALUES (?, ?, 0)", (ID, str(copy)))
    found = explained(home, index_path)
    assert (found.listed, found.listed_in_codex) == (True, True)
    assert found.path == own.relative_to(home).as_posix()
    told = {reason.code: reason.evidence for reason in found.reasons}
    assert told.keys() == {"duplicate", "codex_path_wrong"}
    assert "shows it too" not in told["duplicate"]
    assert "codex resume continues that one" in told["codex_path_wrong"]


def test_a_thread_with_copies_alone_is_reported_as_hidden(home: Path, index_path: Path) -> None:
    own = write(home, 1, encoded(lines(1, cwd=CWD)))
    own.rename(own.with_name(own.name.replace(".jsonl", " (1).jsonl")))
    found = explained(home, index_path)
    assert found.listed
    assert codes(found, "threadList") == {"misplaced"}


def test_a_compressed_file_is_reported(home: Path, index_path: Path) -> None:
    path = write(home, 1)
    path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()
    found = explained(home, index_path)
    assert found.listed
    assert "compressed" in notes(found)


def test_a_file_that_is_new_is_explained_and_not_indexed(home: Path, index_path: Path) -> None:
    write(home, 2)
    explained(home, index_path, thread_id(2))
    write(home, 1)
    found = explained(home, index_path, sync=False)
    assert found.listed
    assert "not_yet_indexed" in notes(found)
    assert [row["id"] for row in rows(index_path, "SELECT id FROM threads")] == [thread_id(2)]
    by_name = explained(home, index_path, next(home.rglob(f"*{ID}.jsonl")).name, sync=False)
    assert by_name.thread_id == ID


@pytest.mark.parametrize("sync", [True, False])
def test_a_thread_without_a_file_is_reported_with_who_knows_of_it(
    sync: bool, home: Path, index_path: Path
) -> None:
    path = write(home, 1)
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": ID, "depth": 1}}}
    write(home, 2, encoded(lines(2, source=spawn)))
    names = {"id": ID, "thread_name": "lost one", "updated_at": STAMP}
    (home / "session_index.jsonl").write_text(f"{json.dumps(names)}\n")
    explained(home, index_path, thread_id(2))
    path.unlink()
    for reference in (ID, ID[:-4], "lost one"):
        found = explained(home, index_path, reference, sync=sync)
        (reason,) = [r for r in found.reasons if r.code == "file_missing"]
        assert not found.listed
        assert not found.listed_in_codex
        assert "session_index.jsonl names it 'lost one'" in reason.evidence
        assert f"it spawned {thread_id(2)}" in reason.evidence


def test_what_is_wrong_with_codexs_row_is_reported(home: Path, index_path: Path) -> None:
    path = write(home, 1)
    write(home, 2)
    codex_database(
        home, (ID, str(path), 1), (thread_id(3), "/gone.jsonl", 0), (thread_id(2), "/other", 0)
    )
    before = sorted(entry.name for entry in home.iterdir())
    found = explained(home, index_path)
    (reason,) = [r for r in found.reasons if r.code == "codex_archived_differs"]
    assert "Codex's row says archived" in reason.evidence
    (reason,) = [
        r for r in explained(home, index_path, thread_id(2)).reasons if r.code == "codex_path_wrong"
    ]
    assert "Codex's row points to /other" in reason.evidence
    lost = explained(home, index_path, thread_id(3))
    assert codes(lost, "codex") == {"file_missing"}
    assert "Codex's own database has it in /gone.jsonl" in lost.reasons[0].evidence
    write(home, 4)
    assert "codex_row_missing" in notes(explained(home, index_path, thread_id(4)))
    write(home, 5, encoded(lines(5, history_mode="woven")))
    assert "codex_cannot_have" in notes(explained(home, index_path, thread_id(5)))
    assert sorted(entry.name for entry in home.iterdir()) == before
    (home / "state_5.sqlite").write_bytes(b"garbage" * 1000)
    assert "codex_unreadable" in notes(explained(home, index_path))
    (home / "state_5.sqlite").write_bytes(b"")  # Codex takes it for none
    assert notes(explained(home, index_path)) == set()


def test_what_the_index_is_behind_by_is_reported(home: Path, index_path: Path) -> None:
    path, segment = write(home, 1), write(home, 1, segment=1)
    explained(home, index_path)
    segment.unlink()
    found = explained(home, index_path, sync=False)
    assert found.path == path.relative_to(home).as_posix()
    (note,) = [reason for reason in found.reasons if reason.code == "file_gone"]
    assert note.path == segment.relative_to(home).as_posix()
    explained(home, index_path)
    moved = home / "archived_sessions" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    found = explained(home, index_path, sync=False)
    assert codes(found, "here") == {"archived"}
    (note,) = [reason for reason in found.reasons if reason.code == "not_yet_indexed"]
    assert f"was moved from {path.relative_to(home)}" in note.evidence


def test_a_thread_of_one_account_is_reported(home: Path, index_path: Path) -> None:
    write(home, 1, encoded(lines(1, cwd=CWD, account_scoped=True, creator_user_id="user-1")))
    found = explained(home, index_path)
    assert (found.listed_in_codex, notes(found)) == (True, {"account_scoped"})


def test_a_name_given_since_the_last_sync_counts(home: Path, index_path: Path) -> None:
    empty(home)
    assert not explained(home, index_path).listed
    names = {"id": ID, "thread_name": "named", "updated_at": STAMP}
    (home / "session_index.jsonl").write_text(f"{json.dumps(names)}\n")
    assert explained(home, index_path, sync=False).listed


def test_the_explanations_of_the_corpus_are_its_recorded_lists(
    corpus_home: Path, corpus_index: Path
) -> None:
    recorded = {
        thread["id"]
        for _, response in exchanges("list_sort_created_at_desc.json")
        for thread in response["result"]["data"]
    }
    assert default_provider(corpus_home) == "mock"
    stored = [row["id"] for row in rows(corpus_index, "SELECT id FROM threads ORDER BY id")]
    asked = sample(stored)

    async def work() -> set[str]:
        async with open_index(corpus_home, corpus_index) as opened:
            told = [await explain(opened, id_) for id_ in asked]
        return {found.thread_id or "" for found in told if found.listed_in_thread_list}

    assert asyncio.run(work()) == recorded & {*asked}
    assert recorded <= {*stored}
    assert len(stored) > len(recorded) > 100
