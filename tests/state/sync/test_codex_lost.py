"""Pins and names outlive Codex's database, which is only read and need not be readable."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from state.codex_db.database import PINNED_SECTION
from state.repair.reindex import reindex
from state.thread_index import open_index
from tests.samples.homes import thread_id
from tests.state.codex.databases import STATE, Codex
from tests.state.edit.moved import _locked
from tests.state.sync.set_in_codex import PIN, codex, name, names, pin, thread, user_values
from tests.support.checks import synced
from tests.support.damage import damaged_pages

__all__ = ["codex"]


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
