"""A checkpoint of turns is followed while its files only grow, and found anew after any other
change."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.pool import StaticPool

import state.turns.cache
import state.turns.checkpoint
from rollout.history.thread import outline
from rollout.schema.modes import MODES, PAGINATED
from rollout.schema.strict import Fields
from state.db.ddl import create_schema
from state.db.schema import metadata, threads
from state.db.steps import run_steps
from state.thread_store import ThreadStore
from state.turns.checkpoint import TurnState, reduce_anew
from state.turns.outline_rows import insert_outlines
from state.turns.outlines import complete, listed
from state.turns.store import INSERT_TURNS, dumped, load_steps
from tests.samples.histories import numbered, shown, spell, turns_in
from tests.samples.long_threads import (
    LONG,
    add,
    all_turns,
    content,
    head,
    in_store,
    nobody,
    put,
    touch_later,
    truth,
    turn_lines,
)
from tests.samples.turn_lines import quickly, rollouts
from tests.support.indexes import rows


@pytest.fixture(scope="module")
def blank() -> Iterator[sa.Engine]:
    """A database with the tables of an index, in which nothing is ever committed."""
    made = sqlite3.connect(":memory:")
    create_schema(made)
    engine = sa.create_engine("sqlite://", creator=lambda: made, poolclass=StaticPool)
    with engine.begin() as connection:
        needed = [c for c in threads.c if not c.nullable and c.server_default is None]
        row = {c.name: "" if isinstance(c.type, sa.Text) else 1 for c in needed}
        connection.execute(sa.insert(threads), row | {"id": "t", "facet": "010||"})
    yield engine
    engine.dispose()


def stored_and_loaded(found: TurnState, home: Path, blank: sa.Engine) -> TurnState:
    """The same, by way of a database."""
    made = dumped("t", found, home)
    assert made
    with blank.connect() as connection:
        connection.execute(sa.insert(metadata.tables["turn_checkpoints"]), made.head)
        for part, (stamp, end, guard) in enumerate(made.points):
            values = (1, "turns", part, *stamp, end, guard)
            connection.exec_driver_sql(
                "INSERT INTO resume_points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values
            )
        if made.turns:
            connection.exec_driver_sql(INSERT_TURNS, made.turns)
        plain = connection.connection.driver_connection
        assert isinstance(plain, sqlite3.Connection)
        insert_outlines(plain, made.outlines)
        loaded = run_steps(load_steps("t", home), plain)
    assert loaded is not None
    return loaded


def written_in_parts(path: Path, whole: bytes, data: st.DataObject) -> Iterator[None]:
    """Write the first line of a rollout, then in each step some more bytes, until all are there."""
    first = whole.index(b"\n") + 1
    cuts = data.draw(st.lists(st.integers(first, len(whole)), max_size=6).map(sorted))
    path.write_bytes(b"")
    for cut in [first, *cuts, len(whole)]:
        with path.open("ab") as file:
            file.write(whole[file.tell() : cut])
        yield


@quickly
@given(rollout=rollouts, data=st.data())
def test_an_index_made_in_steps_equals_one_made_at_once(
    tmp_path: Path, blank: sa.Engine, rollout: tuple[str, list[Fields]], data: st.DataObject
) -> None:
    mode, lines = rollout
    path = tmp_path / "rollout-2026-05-28T20-00-00-01a14000-0000-7000-8000-000000000001.jsonl"
    parts = written_in_parts(path, spell(lines), data)
    next(parts)
    found = reduce_anew(outline(path, nobody))
    for _ in parts:
        assert found.follow()
        torn = found.with_torn_line()
        assert shown(path, torn.reducer, mode, unknown=True) == turns_in(path, mode, unknown=True)
        if data.draw(st.booleans()):
            complete(torn if data.draw(st.booleans()) else found)
        found = stored_and_loaded(found, tmp_path, blank)
    once = reduce_anew(outline(path, nobody))
    complete(found)
    complete(once)
    assert listed(found) == listed(once)
    assert found.reducer.turns == once.reducer.turns
    assert found.reducer.orphans == once.reducer.orphans
    assert found.reducer.dump() == once.reducer.dump()
    assert found.files == once.files


@pytest.mark.parametrize("mode", MODES)
def test_a_long_thread_is_stored_and_then_only_followed(
    mode: str, home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(home, 1, content(1, mode, LONG))
    in_store(home, index_path, lambda store: all_turns(store, 1))
    assert len(rows(index_path, "SELECT * FROM turns")) == LONG
    add(path, turn_lines(1, mode, 3, first=LONG), mode)
    monkeypatch.setattr(state.turns.cache, "reduce_anew", None)
    assert in_store(home, index_path, lambda store: all_turns(store, 1)) == truth(path, mode)
    assert len(rows(index_path, "SELECT * FROM turns")) == LONG  # not worth a new row yet
    add(path, turn_lines(1, mode, LONG, first=LONG + 3), mode)
    assert in_store(home, index_path, lambda store: all_turns(store, 1)) == truth(path, mode)
    assert len(rows(index_path, "SELECT * FROM turns")) == 2 * LONG + 3


def rewrite(path: Path, mode: str) -> None:
    """Other content of the same size, in its place."""
    data = path.read_bytes().replace(b"answer 4", b"ANSWER 4").replace(b'turn 7"', b'TURN 7"')
    with path.open("r+b") as file:
        file.write(data)
    touch_later(path)


def shorten(path: Path, mode: str) -> None:
    """It ends in the middle of a line."""
    os.truncate(path, path.stat().st_size * 2 // 3)
    touch_later(path)


def replace_it(path: Path, mode: str) -> None:
    """Another file takes its place."""
    other = path.with_name("other")
    other.write_bytes(content(1, mode, LONG + 7, first=3))
    os.replace(other, path)


def rewrite_longer(path: Path, mode: str) -> None:
    """In its place is what begins alike, and goes on otherwise for longer."""
    lines = [head(1, mode), *turn_lines(1, mode, LONG * 2, first=1000)]
    with path.open("r+b") as file:
        file.write(spell(numbered(lines) if mode == PAGINATED else lines))
    touch_later(path)


def grow_and_tear(path: Path, mode: str) -> None:
    """It has more lines, the last of which is being written."""
    add(path, turn_lines(1, mode, 2, first=LONG), mode)
    with path.open("ab") as file:
        file.write(b'{"timestamp":"2026-05-28T20:00:00.000Z","type":"event_ms')


def end_without_newline(path: Path, mode: str) -> None:
    """Its last line can be read, and has no newline."""
    lines = turn_lines(1, mode, 1, first=LONG)
    add(path, lines, mode)
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "change",
    [rewrite, shorten, replace_it, rewrite_longer, grow_and_tear, end_without_newline],
)
def test_whatever_becomes_of_the_file_is_noticed(
    change: Any, mode: str, warm: bool, home: Path, index_path: Path
) -> None:
    path = put(home, 1, content(1, mode, LONG))

    async def before_and_after(store: ThreadStore) -> None:
        assert await all_turns(store, 1) == truth(path, mode)
        if warm:
            change(path, mode)
            assert await all_turns(store, 1) == truth(path, mode)

    in_store(home, index_path, before_and_after)
    if not warm:
        change(path, mode)
    for _ in range(2):
        assert in_store(home, index_path, lambda store: all_turns(store, 1)) == truth(path, mode)
