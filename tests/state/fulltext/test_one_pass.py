"""An index that is made in one pass over the files is the one that two passes make."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.fulltext.indexer import MESSAGES, fill_fulltext, forget_fulltext, pending_threads
from state.repair.reindex import reindex
from state.sync.filling import Beside
from state.thread_index import ThreadIndex
from state.userdata.journal import append_settings
from state.userdata.model import UserValue
from tests.samples.homes import BASE_MS, encoded, event, lines, thread_id, write
from tests.samples.rollouts import CORPUS
from tests.support.checks import codes, verified
from tests.support.indexes import empty_index, in_index, meaning, rows

STAMP = "2026-05-28T21:00:00.000Z"
_SAID = (
    "SELECT t.id, f.*, r.* FROM fulltext_threads f JOIN threads t USING (row_id)"
    " JOIN resume_points r ON r.row_id = t.row_id AND r.pass = 'fulltext' ORDER BY t.id"
)
_DOCUMENTS = (
    "SELECT t.id, d.* FROM fulltext_documents d JOIN threads t USING (row_id)"
    " ORDER BY t.id, document_id"
)
_CHANGES = (
    "SELECT t.id, path, casefolded, kind, at_ms, locations FROM file_changes c"
    " JOIN changed_files USING (file_id) JOIN threads t USING (row_id) ORDER BY t.id, path"
)


def said(index: Path) -> tuple[list[Any], list[Any], dict[str, list[Any]], list[Any]]:
    """All that an index has of messages and changed files, whatever the numbers of threads,
    documents and files."""
    numbers = {"row_id": 0, "document_id": 0}
    documents = rows(index, _DOCUMENTS)
    owner = {row["document_id"]: row["id"] for row in documents}
    with closing(sqlite3.connect(index)) as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, fulltext_trigrams, instance)"
        )
        found: dict[str, list[Any]] = {}
        for term, document in connection.execute("SELECT term, doc FROM temp.terms"):
            if document in owner:
                found.setdefault(term, []).append(owner[document])
    trigrams = {term: sorted(ids) for term, ids in found.items()}
    threads = [{**row, **numbers} for row in rows(index, _SAID)]
    return threads, [{**row, **numbers} for row in documents], trigrams, rows(index, _CHANGES)


def filled(home: Path, index: Path, beside: Beside | None = None, *, force: bool = False) -> int:
    """Fill an index; how many threads were read by a second pass."""
    empty_index(index)

    async def fill(opened: ThreadIndex) -> int:
        opened.beside = beside
        await opened.backfill(batch_files=7, force=force)
        left = await pending_threads(opened)
        await fill_fulltext(opened)
        return left

    left: int = in_index(home, index, fill)
    return left


def same(home: Path, one: Path, two: Path) -> None:
    filled(home, two)
    assert meaning(one) == meaning(two)
    assert said(one) == said(two)


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A home in which some threads have names, from various sources."""
    home = tmp_path / "home"
    (home / "sessions").mkdir(parents=True)
    for number in range(4):
        write(home, number, encoded(lines(number, f"prompt {number}")))
    renamed = event(STAMP, "thread_name_updated", thread_name="by the file")
    write(home, 4, encoded([*lines(4), renamed]))
    names = {1: "prompt 1", 2: "by Codex"}
    given = [{"id": thread_id(number), "thread_name": name} for number, name in names.items()]
    (home / "session_index.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in given))
    return home


def test_the_corpus_gives_the_same_index_in_one_pass(tmp_path: Path) -> None:
    left = filled(CORPUS, tmp_path / "one.sqlite3", MESSAGES)
    same(CORPUS, tmp_path / "one.sqlite3", tmp_path / "two.sqlite3")
    (known,) = rows(tmp_path / "one.sqlite3", "SELECT count(*) AS known FROM threads")
    assert left < known["known"] / 5
    assert len(rows(tmp_path / "one.sqlite3", _CHANGES)) == 5


def test_threads_with_names_need_no_second_pass(tmp_path: Path, named: Path) -> None:
    assert filled(named, tmp_path / "one.sqlite3", MESSAGES) == 0
    same(named, tmp_path / "one.sqlite3", tmp_path / "two.sqlite3")


def test_a_name_that_was_not_expected_leaves_its_thread_to_a_second_pass(
    tmp_path: Path, named: Path
) -> None:
    for name in ("one", "two"):
        value = UserValue(thread_id(3), "name", "by a user", BASE_MS)
        append_settings(tmp_path / f"{name}.sqlite3", [value])
    assert filled(named, tmp_path / "one.sqlite3", MESSAGES) == 1
    same(named, tmp_path / "one.sqlite3", tmp_path / "two.sqlite3")


def test_threads_that_have_documents_are_left_to_a_second_pass(tmp_path: Path, named: Path) -> None:
    index = tmp_path / "one.sqlite3"
    filled(named, index)
    assert filled(named, index, MESSAGES, force=True) == 5
    same(named, index, tmp_path / "two.sqlite3")


def test_all_is_read_in_one_pass_again_when_it_was_forgotten(tmp_path: Path, named: Path) -> None:
    index = tmp_path / "one.sqlite3"
    filled(named, index)
    in_index(named, index, forget_fulltext)
    assert filled(named, index, MESSAGES, force=True) == 0
    same(named, index, tmp_path / "two.sqlite3")


def test_a_new_index_has_the_messages_at_once(tmp_path: Path, named: Path) -> None:
    index = tmp_path / "one.sqlite3"
    asyncio.run(reindex(named, index))
    assert not rows(index, "SELECT * FROM fulltext_pending")
    assert len(rows(index, "SELECT * FROM fulltext_threads")) == 5


def test_a_changed_file_with_a_name_that_none_has_stops_nothing(tmp_path: Path) -> None:
    home, index = tmp_path / "home", tmp_path / "index.sqlite3"
    change = {"type": "add", "content": "x"}
    done = "Success. Updated the following files:\nA a\n"
    fields = {"call_id": "c", "success": True, "stdout": done, "stderr": "", "status": "completed"}
    changes = {f"/w/{name}": change for name in ("a\0b", "a\0", "\0", "\ud800", "a")}
    ended = event(STAMP, "patch_apply_end", changes=changes, **fields)
    path = write(home, 1, b"")
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines(1), ended]))
    filled(home, index, MESSAGES)
    assert {row["path"] for row in rows(index, "SELECT path FROM changed_files")} == {
        *("/w/a\ufffdb", "/w/a\ufffd", "/w/\ufffd", "/w/?", "/w/a")
    }
    assert "search_index_differs" not in codes(verified(home, index))
