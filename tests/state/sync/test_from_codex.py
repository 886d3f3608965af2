"""Pins and names that users set in Codex come into the index, and outlive Codex's database."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.metadata.session_index import NAMES_FILE, append_name
from state.codex_db.database import PINNED_SECTION
from state.codex_db.values import CodexLook, read_values
from state.db.location import journal_path
from state.edit.marks import set_marks
from state.edit.metadata import Changed, set_name
from state.repair.reindex import reindex
from state.thread_index import ThreadIndex, open_index
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import UserValue
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.checks.test_faults_index import damaged_pages
from tests.state.codex.databases import STATE, Codex
from tests.state.edit.moved import _locked
from tests.support.checks import codes, synced, verified
from tests.support.indexes import in_index

PIN = "UPDATE threads SET thread_section_id = ?, section_position = 1 WHERE id = ?"
NAME = "UPDATE threads SET name = ? WHERE id = ?"


@pytest.fixture
def codex(home: Path) -> Codex:
    """Codex's database of a home with four paginated threads."""
    codex = Codex.empty(home)
    for number in (1, 2, 3, 4):
        codex.insert(thread_id(number), thread(home, number), history_mode="paginated")
    return codex


def thread(home: Path, number: int) -> Path:
    content = lines(number, history_mode="paginated")
    return write(home, number, encoded([{"ordinal": n, **each} for n, each in enumerate(content)]))


def pin(codex: Codex, number: int, section: str | None = PINNED_SECTION) -> None:
    codex.change(PIN, section, thread_id(number))


def name(codex: Codex, number: int, name: str | None) -> None:
    codex.change(NAME, name, thread_id(number))


def user_values(index: Path) -> dict[tuple[int, str], str | None]:
    """What users set, by number and key: in the index, and in its journal alike."""
    with closing(sqlite3.connect(index)) as connection:
        found = {
            (id_, key): value
            for id_, key, value in connection.execute("SELECT thread_id, key, value FROM user_data")
        }
    in_journal = {
        (given.thread_id, given.key): given.value
        for given in read_settings(index)
        if isinstance(given, UserValue)
    }
    assert found == in_journal
    numbers = {thread_id(number): number for number in range(10)}
    return {(numbers[id_], key): value for (id_, key), value in found.items()}


def names(index: Path) -> dict[int, str | None]:
    with closing(sqlite3.connect(index)) as connection:
        found = dict(connection.execute("SELECT id, name FROM threads WHERE name NOT NULL"))
    return {number: found[id_] for number in range(10) if (id_ := thread_id(number)) in found}


def given(index: Path, number: int, key: str, value: str | None, at_ms: int = 1) -> None:
    """Have a user set a value; the next sync applies it."""
    index.parent.mkdir(exist_ok=True)
    append_settings(index, [UserValue(thread_id(number), key, value, at_ms)])


def journal(index: Path) -> list[Any]:
    path = journal_path(index)
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


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


def test_pins_and_names_outlive_a_database_that_codex_makes_anew(
    home: Path, index_path: Path, codex: Codex
) -> None:
    pin(codex, 1)
    name(codex, 1, "one")
    synced(home, index_path)
    held = {(1, "pinned"): "1", (1, "name"): "one"}
    codex.path.unlink()
    synced(home, index_path)
    assert user_values(index_path) == held
    again = Codex.empty(home, STATE)
    for number in (1, 2):
        again.insert(thread_id(number), Path("/x"), history_mode="paginated")
    synced(home, index_path)
    assert user_values(index_path) == held
    pin(again, 2)
    synced(home, index_path)
    assert user_values(index_path) == {**held, (2, "pinned"): "1"}
    name(again, 1, "newer")  # which was lost in Codex in between
    synced(home, index_path)
    assert names(index_path) == {1: "newer"}


def test_a_database_may_appear_later_and_elsewhere(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        thread(home, number)
    synced(home, index_path)
    codex = Codex.empty(tmp_path)
    for number in (1, 2):
        codex.insert(thread_id(number), Path("/x"), history_mode="paginated")
    pin(codex, 1)
    synced(home, index_path)
    assert user_values(index_path) == {}

    async def with_variable() -> None:  # CODEX_SQLITE_HOME
        async with open_index(home, index_path, tmp_path) as index:
            await index.catch_up()

    asyncio.run(with_variable())
    assert user_values(index_path) == {(1, "pinned"): "1"}
    pin(codex, 2)
    (home / "config.toml").write_text(f'sqlite_home = "{tmp_path}"\n', "utf-8")
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1", (2, "pinned"): "1"}
    (home / "config.toml").write_text("[" * 9_999, "utf-8")
    synced(home, index_path)


def test_the_end_of_a_row_is_not_the_end_of_a_pin(
    home: Path, index_path: Path, codex: Codex
) -> None:
    pin(codex, 1)
    name(codex, 1, "one")
    synced(home, index_path)
    name(codex, 1, None)  # Codex takes no name back
    synced(home, index_path)
    codex.change("DELETE FROM threads")
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1", (1, "name"): "one"}
    codex.insert(thread_id(1), Path("/x"))
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1", (1, "name"): "one"}


def test_pins_and_names_outlive_the_index(home: Path, index_path: Path, codex: Codex) -> None:
    pin(codex, 1)
    name(codex, 1, "one")
    synced(home, index_path)
    held = user_values(index_path)
    codex.path.unlink()
    index_path.unlink()
    synced(home, index_path)
    assert (user_values(index_path), names(index_path)) == (held, {1: "one"})
    asyncio.run(reindex(home, index_path))
    assert (user_values(index_path), names(index_path)) == (held, {1: "one"})


def test_what_is_changed_in_codex_before_a_reindex_is_seen_after_it(
    home: Path, index_path: Path, codex: Codex
) -> None:
    for number in (1, 2):
        pin(codex, number)
        name(codex, number, "before")
    synced(home, index_path)
    pin(codex, 1, None)
    name(codex, 2, "later")
    asyncio.run(reindex(home, index_path))
    synced(home, index_path)
    assert user_values(index_path) == {
        (1, "pinned"): None,
        (1, "name"): "before",
        (2, "pinned"): "1",
        (2, "name"): "later",
    }
    assert names(index_path) == {1: "before", 2: "later"}


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


def _garbage(codex: Codex) -> Callable[[], object]:
    kept = codex.path.read_bytes()
    codex.path.write_bytes(b"no database" * 999)
    return lambda: codex.path.write_bytes(kept)


def _damaged(codex: Codex) -> Callable[[], object]:
    kept = codex.path.read_bytes()
    damaged_pages(codex.path)
    return lambda: codex.path.write_bytes(kept)


def _folder(codex: Codex) -> Callable[[], object]:
    kept = codex.path.read_bytes()
    codex.path.unlink()
    codex.path.mkdir()

    def undo() -> None:
        codex.path.rmdir()
        codex.path.write_bytes(kept)

    return undo


def _unknown(codex: Codex) -> Callable[[], object]:
    codex.change("ALTER TABLE threads RENAME TO strands")
    return lambda: codex.change("ALTER TABLE strands RENAME TO threads")


@pytest.mark.parametrize("spoil", [_garbage, _damaged, _folder, _unknown])
def test_a_database_that_cannot_be_read_fails_no_sync(
    home: Path, index_path: Path, codex: Codex, spoil: Callable[[Codex], Callable[[], object]]
) -> None:
    pin(codex, 1)
    undo = spoil(codex)
    synced(home, index_path)
    assert user_values(index_path) == {}
    undo()
    synced(home, index_path)
    assert user_values(index_path) == {(1, "pinned"): "1"}


def files(home: Path) -> dict[str, tuple[int, int]]:
    return {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in home.iterdir()
        if path.is_file()
    }


def test_no_file_of_codexs_is_made_or_touched(home: Path, index_path: Path, codex: Codex) -> None:
    pin(codex, 1)
    before = files(home)
    synced(home, index_path)
    assert files(home) == before
    with closing(sqlite3.connect(codex.path)) as running:  # and has not written to the file yet
        running.execute("PRAGMA wal_autocheckpoint = 0")
        with running:
            running.execute(PIN, [PINNED_SECTION, thread_id(2)])
        undo = _locked(codex)
        before = files(home)
        assert {"state_5.sqlite-wal", "state_5.sqlite-shm"} <= before.keys()
        synced(home, index_path)
        assert files(home) == before
        undo()
        left = home.parent / "left"  # as after a kill
        shutil.copytree(home, left)
    assert set(user_values(index_path)) == {(1, "pinned"), (2, "pinned")}
    before = files(left)
    other = index_path.with_name("left.sqlite3")
    synced(left, other)
    assert set(user_values(other)) == {(1, "pinned"), (2, "pinned")}
    (left / "state_5.sqlite-shm").unlink()
    before.pop("state_5.sqlite-shm")
    third = index_path.with_name("third.sqlite3")
    synced(left, third)
    assert set(user_values(third)) == {(1, "pinned"), (2, "pinned")}
    assert files(left) == before
