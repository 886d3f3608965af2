"""``show`` from the index of turns: the same as from the files, and only of the turns wanted."""

import asyncio
import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

import state.turns.cache
import state.turns.checkpoint
import state.turns.store
from cli.render import reading as reading_module
from cli.render.json_document import document
from cli.render.outline import document as outline_document
from cli.render.reading import Reading, open_reading, read_at_once
from cli.render.text import written
from cli.render.turn_selection import TurnSelection
from rollout.errors import RolloutError
from rollout.schema.modes import MODES, PAGINATED
from state.errors import StateError
from state.query.oneshot import IndexReader
from state.query.rows import Row
from state.thread_index import ThreadIndex, open_index
from state.turns.cache import TurnIndex
from tests.samples.homes import thread_id
from tests.samples.long_threads import LONG, add, content, put, touch_later, turn_lines
from tests.support.command import Cli, Within, plain_user
from tests.support.effort import sample
from tests.support.indexes import rows
from tests.support.reading import cli

__all__ = ["cli", "plain_user"]

WANTED = [TurnSelection(), TurnSelection(last=1), TurnSelection(turn="1")]
Asked = tuple[str, TurnSelection]
"""The id of a thread, and which of its turns are wanted."""


async def told(index: ThreadIndex, row: Row, wanted: TurnSelection, turns: TurnIndex | None) -> str:
    """All that is shown of a thread, and its outline, or why it cannot be."""
    try:
        return shown(await open_reading(index, row, wanted, turns=turns, outlined=True))
    except (RolloutError, StateError) as error:
        return str(error)


def shown(reading: Reading) -> str:
    with reading:
        outline = json.dumps(outline_document(reading))
        return "".join([*written(reading, full=True), *document(reading), outline])


def told_at_once(home: Path, index: Path, asked: Iterable[Asked]) -> dict[Asked, str]:
    """What is shown without opening the index, where that suffices."""
    with IndexReader.opened(home, index) as reader:
        assert reader
        found = {}
        for each in asked:
            reading = read_at_once(home, *each, reader)
            outlined = read_at_once(home, *each, reader, outlined=True)
            assert (reading is None) == (outlined is None)
            if reading and outlined:
                with outlined:
                    listed = [*outlined.outline()]
                found[each] = shown(replace(reading, listed=listed))
        return found


def test_every_thread_of_the_corpus_reads_the_same_from_the_index_of_turns(
    corpus_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite3"
    ids: list[str] = []

    async def compared() -> None:
        async with open_index(corpus_home, path) as index:
            await index.backfill()
            every = [each["id"] for each in rows(path, "SELECT id FROM threads ORDER BY id")]
            assert len(every) > 120
            ids.extend(sample(every))
            found = await index.rows_of(ids)
            assert len(found) == len(ids)
            from_files = {(id_, each): "" for id_ in ids for each in WANTED}
            for id_, wanted in from_files:
                from_files[id_, wanted] = await told(index, found[id_], wanted, None)
            short = told_at_once(corpus_home, path, from_files)
            assert len(short) > len(from_files) * 0.9  # all but those that cannot be shown
            assert short.items() <= from_files.items()
            for module in (state.turns.cache, state.turns.store, reading_module):
                monkeypatch.setattr(module, "SMALLEST_BYTES", 1)  # as if all of them were long
            monkeypatch.setattr(state.turns.checkpoint, "AT_ONCE_BYTES", 0)
            monkeypatch.setattr(state.turns.checkpoint, "_TAILS", (1000,))
            assert told_at_once(corpus_home, path, from_files) == {}
            for some in (WANTED[1:2], WANTED):
                turns = TurnIndex(index)
                for id_, wanted in itertools.product(ids, some):
                    turns._kept.clear()  # what is in memory tells nothing of the index
                    assert await told(index, found[id_], wanted, turns) == from_files[id_, wanted]
                await turns.close()
            stored = told_at_once(corpus_home, path, from_files)
            assert len(stored) > len(from_files) // 2
            assert stored.items() <= from_files.items()

    asyncio.run(compared())
    assert len(rows(path, "SELECT 1 FROM turn_checkpoints")) > len(ids) // 2


def forget_turns(index: Path) -> None:
    """Have an index without any turns."""
    with closing(sqlite3.connect(index)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM turn_checkpoints")


def _grown(path: Path, mode: str) -> None:
    add(path, turn_lines(1, mode, 2, first=LONG), mode)


def _torn(path: Path, mode: str) -> None:
    _grown(path, mode)
    os.truncate(path, path.stat().st_size - 1)  # its last line can be read all the same


def _rewritten(path: Path, mode: str) -> None:
    path.write_bytes(path.read_bytes().replace(b"answer 8", b"ANSWER 8"))
    touch_later(path)


def _archived(path: Path, mode: str) -> None:
    folder = path.parents[4] / "archived_sessions"
    folder.mkdir()
    path.rename(folder / path.name)


def _compressed(path: Path, mode: str) -> None:
    _torn(path, mode)
    path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", [_grown, _torn, _rewritten, _archived, _compressed])
def test_a_long_thread_is_shown_as_its_file_is_now(
    change: Callable[[Path, str], None], mode: str, cli: Cli
) -> None:
    path = put(cli.home, 1, content(1, mode, LONG))
    id_ = thread_id(1)
    cli.run("show", id_, "--last", "1")
    change(path, mode)
    choices: list[list[str]] = [["--last", "3"], ["--turn", "turn 8"], []]
    indexed = [cli.run("show", id_, *each).out for each in choices for _ in range(2)]
    forget_turns(cli.index)
    folded = [cli.run("show", id_, *each).out for each in choices]
    assert indexed == [each for each in folded for _ in range(2)]
    assert [each.lower().count("\n  answer") for each in folded[:2]] == [3, 1]


@pytest.mark.parametrize("mode", MODES)
def test_the_last_turns_of_a_long_thread_are_all_that_is_looked_at(
    mode: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cli.home, 1, content(1, mode, LONG))
    words = ("show", thread_id(1), "--last", "2")
    first = cli.run(*words).out
    assert "answer 89" in first
    assert f"{LONG} turns" in first
    assert "Turns 89-90 of 90:" in first
    assert len(rows(cli.index, "SELECT 1 FROM turns")) == LONG
    made: list[int] = []
    real = state.turns.store._turn

    def counted(values: Any) -> Any:
        made.append(values[0])
        return real(values)

    monkeypatch.setattr(state.turns.store, "_turn", counted)
    monkeypatch.setattr(state.turns.cache, "reduce_anew", None)
    assert cli.run(*words).out == first
    assert "question 41" in cli.run("show", thread_id(1), "--turn", "turn 41").out
    assert "no such turn" in cli.run("show", thread_id(1), "--turn", "no such turn", status=3).err
    assert made == [88, 89, 41, 42, 87, 88, 89]  # the last ones are named


def test_an_index_of_turns_that_is_no_use_hides_no_turn(cli: Cli) -> None:
    put(cli.home, 1, content(1, PAGINATED, LONG))
    words = ("show", thread_id(1), "--last", "2")
    first = cli.run(*words).out
    for damage in (
        "UPDATE turns SET item_refs = x'00'",
        "UPDATE turn_checkpoints SET files = '[{}]'",
    ):
        with closing(sqlite3.connect(cli.index)) as connection, connection:
            connection.execute(damage)
        assert cli.run(*words).out == first


def test_where_no_index_can_be_written_a_long_thread_is_shown_all_the_same(
    cli: Cli, plain_user: Within
) -> None:
    put(cli.home, 1, content(1, PAGINATED, LONG))
    words = ("show", thread_id(1), "--last", "2")
    first = cli.run("show", thread_id(1), "--last", "2").out
    forget_turns(cli.index)
    cli.index.chmod(0o400)
    cli.index.parent.chmod(0o500)
    try:
        ran = cli.run(*words, prefix=plain_user)
    finally:
        cli.index.parent.chmod(0o700)
    assert ran.out == first
    assert "Answering from a temporary copy" in ran.err
    assert rows(cli.index, "SELECT * FROM turn_checkpoints") == []


def test_an_index_that_is_held_keeps_nobody_from_reading(cli: Cli) -> None:
    put(cli.home, 1, content(1, PAGINATED, LONG))
    cli.run("list")
    with closing(sqlite3.connect(cli.index, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        ran = cli.run("show", thread_id(1), "--last", "2")
        assert ran.err == ""
        connection.execute("ROLLBACK")
    assert cli.run("show", thread_id(1), "--last", "2").out == ran.out
