"""Pins and names that users set in Codex come into the index."""

import json
import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest

from rollout.metadata.session_index import NAMES_FILE, append_name
from state.codex_db.database import PINNED_SECTION
from state.codex_db.values import CodexLook, read_values
from state.edit.marks import set_marks
from state.edit.metadata import Changed, set_name
from state.thread_index import ThreadIndex
from tests.samples.homes import thread_id, write
from tests.state.codex.databases import Codex
from tests.state.sync.set_in_codex import codex, given, journal, name, names, pin, user_values
from tests.support.checks import codes, synced, verified
from tests.support.indexes import in_index

__all__ = ["codex"]


def test_what_was_set_in_codex_is_taken_where_users_set_nothing(
    home: Path, index_path: Path, codex: Codex
) -> None:
    for number in (1, 2, 3):
        pin(codex, number)
        name(codex, number, f" by Codex {number} ")
    given(index_path, 2, "pinned", None)
    given(index_path, 2, "name", "restored")
    append_name(home, thread_id(3), "in the home")
    synced(home, index_path)
    values = {(2, "pinned"): None, (2, "name"): "restored", (1, "name"): "by Codex 1"}
    assert user_values(index_path) == {**values, (1, "pinned"): "1", (3, "pinned"): "1"}
    assert names(index_path) == {1: "by Codex 1", 2: "restored", 3: "in the home"}
    before = journal(index_path)
    codex.change("UPDATE threads SET updated_at = 2")
    synced(home, index_path)
    assert journal(index_path) == before
    assert codes(verified(home, index_path)) == {}


def test_what_is_changed_in_codex_later_replaces_what_users_set_before(
    home: Path, index_path: Path, codex: Codex
) -> None:
    pin(codex, 1)
    name(codex, 1, "one")
    given(index_path, 2, "pinned", None)
    given(index_path, 3, "name", "restored")
    synced(home, index_path)
    pin(codex, 1, None)
    pin(codex, 2)
    for number, text in ((1, "another"), (3, "newer")):
        name(codex, number, text)
    synced(home, index_path)
    assert user_values(index_path) == {
        (1, "pinned"): None,
        (1, "name"): "another",
        (2, "pinned"): "1",
        (3, "name"): "newer",
    }
    assert names(index_path) == {1: "another", 3: "newer"}
    assert [line["set_at_ms"] > 1 for line in journal(index_path)[-4:]] == [True] * 4


def test_a_section_of_the_user_is_no_pin(home: Path, index_path: Path, codex: Codex) -> None:
    codex.change("INSERT INTO thread_sections (id, name) VALUES ('mine', 'Mine')")
    pin(codex, 1, "mine")
    pin(codex, 2)
    codex.change("UPDATE threads SET is_pinned = 1 WHERE id = ?", thread_id(3))
    synced(home, index_path)
    assert user_values(index_path) == {(2, "pinned"): "1"}
    pin(codex, 2, "mine")
    synced(home, index_path)
    assert user_values(index_path) == {(2, "pinned"): None}


def test_a_database_without_sections_has_a_column_for_pins(home: Path, index_path: Path) -> None:
    write(home, 1)
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE threads (id TEXT, is_pinned INTEGER)")
        connection.execute("INSERT INTO threads VALUES (?, 1)", [thread_id(1)])
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1"}


def test_what_we_wrote_to_codex_is_no_change_by_codex(
    home: Path, index_path: Path, codex: Codex
) -> None:
    synced(home, index_path)

    async def written(index: ThreadIndex) -> None:
        (pinned,) = (await set_marks(index, [thread_id(1)], {"pinned": "1"})).values()
        named, _ = await set_name(index, thread_id(2), "ours")
        assert pinned == Changed(thread_id(1))
        assert named == Changed(thread_id(2))

    in_index(home, index_path, written)
    before = journal(index_path)
    assert [(line["key"], line["value"]) for line in before] == [("pinned", "1")]
    assert codex.threads()[thread_id(1)]["thread_section_id"] == PINNED_SECTION
    assert codex.threads()[thread_id(2)]["name"] == "ours"
    pin(codex, 1, None)  # before any look at what we wrote
    name(codex, 2, "by Codex")
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): None, (2, "name"): "by Codex"}
    in_index(home, index_path, written)
    before = journal(index_path)
    synced(home, index_path)
    assert journal(index_path) == before
    assert names(index_path) == {2: "ours"}


def test_what_is_set_during_a_look_is_not_taken_back(
    home: Path, index_path: Path, codex: Codex, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced(home, index_path)
    pin(codex, 2)

    def read_before_a_pin(database: Path, asked: Collection[str]) -> CodexLook:
        look = read_values(database, asked)
        in_index(home, index_path, lambda index: set_marks(index, [thread_id(1)], {"pinned": "1"}))
        return look

    with monkeypatch.context() as patched:
        patched.setattr("state.sync.from_codex.read_values", read_before_a_pin)
        synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1"}
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1", (2, "pinned"): "1"}
    assert len(journal(index_path)) == 2


def test_a_newer_name_in_the_home_wins(home: Path, index_path: Path, codex: Codex) -> None:
    synced(home, index_path)
    line = {"id": thread_id(1), "thread_name": "later", "updated_at": "2126-01-01T00:00:00Z"}
    (home / NAMES_FILE).write_text(json.dumps(line) + "\n", "utf-8")
    name(codex, 1, "one")
    synced(home, index_path)
    assert names(index_path) == {1: "later"}
    assert codes(verified(home, index_path)) == {}


def test_a_killed_process_leaves_the_journal_ahead(
    home: Path, index_path: Path, codex: Codex, tmp_path: Path
) -> None:
    synced(home, index_path)
    shutil.copy(index_path, tmp_path / "before")
    pin(codex, 1)
    name(codex, 1, "one")
    synced(home, index_path)
    held, written = user_values(index_path), journal(index_path)
    shutil.copy(tmp_path / "before", index_path)
    synced(home, index_path)
    assert (user_values(index_path), journal(index_path)) == (held, written)
    assert names(index_path) == {1: "one"}
