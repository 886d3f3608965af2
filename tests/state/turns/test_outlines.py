"""The outlines of long threads are kept: they are what the files say, whatever becomes of them."""

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import state.turns.cache
import state.turns.checkpoint
import state.turns.outlines
from rollout.history.thread import outline
from rollout.history.transcript import open_transcript
from rollout.history.turn_outline import ListedTurn, OutlinePass, TurnOutline
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from rollout.schema.strict import Fields
from state.thread_store import ThreadStore
from state.turns.checkpoint import reduce_anew
from state.turns.outlines import complete, listed
from tests.rollout.history.tool_lines import FREEFORM, PATCH, custom, function, gave
from tests.samples.histories import spell
from tests.samples.homes import thread_id
from tests.samples.long_threads import LONG, add, content, in_store, nobody, put, said, turn_lines
from tests.samples.rollouts import event
from tests.samples.turn_lines import (
    aborts,
    ends,
    events,
    quickly,
    starts,
    turn_ids,
    turn_items,
    with_head,
)
from tests.state.turns.test_checkpoint import blank, stored_and_loaded, written_in_parts
from tests.support.checks import codes, synced, verified
from tests.support.command import Cli
from tests.support.indexes import rows
from tests.support.reading import cli

__all__ = ["blank", "cli"]

UPDATE = {"/a": {"type": "update", "unified_diff": "@@ -1 +1,2 @@\n-x\n+y\n+z\n"}}
COMMAND = {"command": ["make"], "cwd": "file:///w", "parsed_cmd": [], "source": "agent"}


def counted(total: int, last: int) -> Fields:
    counts = [{"input_tokens": each, "total_tokens": each} for each in (total, last)]
    info = dict(zip(("total_token_usage", "last_token_usage"), counts, strict=True))
    return event("token_count", info=info)


calls = st.sampled_from("cd")
work = st.one_of(
    st.builds(lambda call: function("exec_command", {"cmd": "make"}, call), calls),
    st.just(custom("apply_patch", PATCH)),
    st.builds(gave, st.sampled_from([FREEFORM, "Success. Updated", "no"]), calls),
    st.builds(counted, st.integers(1, 9), st.integers(1, 4)),
    st.builds(
        lambda turn, id_, status, code: said(
            1, turn, "CommandExecution", id=id_, status=status, exit_code=code, **COMMAND
        ),
        turn_ids,
        calls,
        st.sampled_from(["completed", "failed", "declined"]),
        st.sampled_from([None, 0, 2]),
    ),
    st.builds(
        lambda turn, id_, status: said(
            1, turn, "FileChange", id=id_, status=status, changes=UPDATE
        ),
        turn_ids,
        calls,
        st.sampled_from(["completed", "failed"]),
    ),
    st.builds(
        lambda call, status: event(
            "patch_apply_end",
            call_id=call,
            stdout="",
            stderr="",
            success=True,
            status=status,
            changes=UPDATE,
        ),
        calls,
        st.sampled_from(["completed", "failed"]),
    ),
)
worked = st.builds(
    lambda mode, lines: (mode, with_head(mode, lines)),
    st.sampled_from(MODES),
    st.lists(st.one_of(work, work, work, starts, ends, aborts, turn_items, events), max_size=30),
)


@quickly
@given(rollout=worked, data=st.data())
def test_outlines_that_were_kept_are_those_that_are_found_anew(
    tmp_path: Path, blank: sa.Engine, rollout: tuple[str, list[Fields]], data: st.DataObject
) -> None:
    mode, lines = rollout
    path = tmp_path / "rollout-2026-05-28T20-00-00-01a14000-0000-7000-8000-000000000001.jsonl"
    parts = written_in_parts(path, spell(lines), data)
    next(parts)
    found = reduce_anew(outline(path, nobody))
    for _ in parts:
        assert found.follow()
        match data.draw(st.sampled_from(["known", "torn", "not asked for"])):
            case "known":
                complete(found)
            case "torn":
                complete(found.with_torn_line())
        found = stored_and_loaded(found, tmp_path, blank)
        assert (found.outlines.covered_bytes > 0) >= (found.outlines.stored_bytes > 0)
    complete(found)
    once = reduce_anew(outline(path, nobody))
    complete(once)
    assert listed(found) == listed(once)
    with open_transcript(path, nobody) as transcript:
        plain = [each for _, each in OutlinePass(transcript).outlines()]
    if transcript.mode == mode:
        assert [each.outline for each in listed(once)] == plain


def truth(path: Path) -> list[TurnOutline]:
    """The outlines of a thread in one file, from its beginning."""
    with open_transcript(path, nobody) as transcript:
        return [found for _, found in OutlinePass(transcript).outlines()]


async def outlines(store: ThreadStore, number: int = 1) -> list[TurnOutline]:
    row = (await store.index.rows_of([thread_id(number)]))[thread_id(number)]
    found: list[ListedTurn] = await store.turns.outline(
        thread_id(number), store.index.home / row["rollout_path"]
    )
    assert [each.number for each in found] == [*range(1, len(found) + 1)]
    return [each.outline for each in found]


async def synced_outlines(store: ThreadStore, number: int = 1) -> list[TurnOutline]:
    await store.index.sync()
    return await outlines(store, number)


def busy_turns(mode: str, count: int, first: int = 0) -> list[Fields]:
    """Turns with a command that failed and a patch."""
    found = []
    for at in range(first, first + count):
        begin, *lines, end = turn_lines(1, mode, 1, first=at)
        used = counted(7 * (at + 1), 7)
        found += [begin, *lines, function("exec_command", {"cmd": f"make {at}"}, f"c{at}")]
        found += [gave(FREEFORM, f"c{at}"), used, end]
    return found


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_of_a_thread_that_grows_only_the_new_turns_are_read(
    mode: str, large: bool, home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(state.turns.cache, "AT_ONCE_BYTES", 0)
        monkeypatch.setattr(state.turns.checkpoint, "AT_ONCE_BYTES", 0)
    path = put(home, 1, content(1, mode, 0))
    add(path, busy_turns(mode, LONG), mode)
    read: list[int] = []
    real = OutlinePass._outline

    def noted(self: OutlinePass, number: int, **options: Any) -> TurnOutline:
        read.append(number)
        return real(self, number, **options)

    right = truth(path)
    assert right[5].failures[0].command == "make 5"
    assert {each.tokens for each in right} == {7}
    monkeypatch.setattr(OutlinePass, "_outline", noted)
    assert in_store(home, index_path, synced_outlines) == right
    assert len(rows(index_path, "SELECT * FROM turn_outlines")) == LONG
    assert len(read) == LONG
    read.clear()
    assert in_store(home, index_path, synced_outlines) == right
    assert read == []
    add(path, busy_turns(mode, 3, LONG), mode)
    right = truth(path)
    read.clear()
    for _ in range(2):  # not worth new rows yet
        assert in_store(home, index_path, synced_outlines) == right
        assert read == [*range(LONG, LONG + 3)]
        read.clear()
    add(path, busy_turns(mode, LONG, LONG + 3), mode)
    in_store(home, index_path, synced_outlines)
    assert read == [*range(LONG, 2 * LONG + 3)]
    assert len(rows(index_path, "SELECT * FROM turn_outlines")) == 2 * LONG + 3


@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_ends_within_a_line_is_not_read_again_for_that(
    mode: str, home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(home, 1, content(1, mode, 0))
    add(path, busy_turns(mode, LONG), mode)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    right = truth(path)
    counted_from: list[int] = []
    real = OutlinePass._count_until

    def noted(self: OutlinePass, part: int, offset: int) -> None:
        counted_from.append(self._offset)
        real(self, part, offset)

    monkeypatch.setattr(OutlinePass, "_count_until", noted)
    assert in_store(home, index_path, synced_outlines) == right
    assert len(rows(index_path, "SELECT * FROM turn_outlines")) == LONG - 1
    stored = rows(index_path, "SELECT * FROM turn_checkpoints")
    for _ in range(2):
        counted_from.clear()
        assert in_store(home, index_path, synced_outlines) == right
        assert len(counted_from) == 1
        assert counted_from[0] > path.stat().st_size * 0.9
    assert rows(index_path, "SELECT * FROM turn_checkpoints") == stored
    with path.open("ab") as file:
        file.write(b"\n")
    add(path, busy_turns(mode, 3, LONG), mode)
    assert in_store(home, index_path, synced_outlines) == truth(path)


def test_what_is_taken_back_is_in_no_outline(home: Path, index_path: Path) -> None:
    path = put(home, 1, content(1, LEGACY, 0))
    add(path, busy_turns(LEGACY, LONG), LEGACY)
    right = truth(path)

    async def work(store: ThreadStore) -> None:
        assert await synced_outlines(store) == right
        add(path, busy_turns(LEGACY, 5, LONG), LEGACY)
        assert len(await outlines(store)) == LONG + 5
        add(path, [event("thread_rolled_back", num_turns=7)], LEGACY)
        assert await outlines(store) == truth(path) == right[:-2]
        add(path, busy_turns(LEGACY, 1, 500), LEGACY)
        assert await outlines(store) == truth(path)

    in_store(home, index_path, work)
    assert in_store(home, index_path, synced_outlines) == truth(path)


@pytest.mark.parametrize("mode", MODES)
def test_another_file_in_the_same_place_has_other_outlines(
    mode: str, home: Path, index_path: Path
) -> None:
    path = put(home, 1, content(1, mode, 0))
    add(path, busy_turns(mode, LONG), mode)
    before = in_store(home, index_path, synced_outlines)
    path.write_bytes(path.read_bytes().replace(b"make 7", b"MAKE 7"))
    right = truth(path)
    assert right != before
    assert in_store(home, index_path, synced_outlines) == right
    assert in_store(home, index_path, synced_outlines) == right


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE turn_outlines",
        "DELETE FROM turn_outlines WHERE position = 3",
        "UPDATE turn_outlines SET prompt = x'00'",
        "UPDATE turn_outlines SET files = '[[1]'",
        "UPDATE turn_outlines SET failures = '[1]'",
        "UPDATE turn_outlines SET tokens = 'x'",
        "UPDATE turn_checkpoints SET outlines = 'x'",
        "UPDATE turn_checkpoints SET outlines = NULL",
    ],
)
def test_damaged_outlines_hide_none(damage: str, cli: Cli) -> None:
    path = put(cli.home, 1, content(1, PAGINATED, 0))
    add(path, busy_turns(PAGINATED, LONG), PAGINATED)
    words = ("show", thread_id(1), "--outline", "--json")
    right = cli.run(*words).json
    assert len(rows(cli.index, "SELECT * FROM turn_outlines")) == LONG
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        connection.execute(damage)
    for _ in range(2):
        assert cli.run(*words).json == right


@pytest.mark.parametrize("mode", MODES)
def test_the_outline_of_an_indexed_thread_is_a_query(
    mode: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(cli.home, 1, content(1, mode, 0))
    add(path, busy_turns(mode, LONG), mode)
    words = ("show", thread_id(1), "--outline")
    first = [cli.run(*words, *more) for more in ([], ["--last", "2"], ["--json", "--turn", "4,8"])]
    assert "no such turn" in cli.run(*words, "--turn", "no such turn", status=3).err
    monkeypatch.setattr(state.turns.cache, "TurnIndex", None)
    monkeypatch.setattr("rollout.history.turn_outline.OutlinePass", None)
    again = [cli.run(*words, *more) for more in ([], ["--last", "2"], ["--json", "--turn", "4,8"])]
    assert [ran.out for ran in again] == [ran.out for ran in first]
    assert [each["number"] for each in again[2].json["turns"]] == [4, 8]
    assert again[2].json["turnCount"] == LONG


def test_a_server_finds_outlines_in_the_background(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.cache, "FILLED_BYTES", 300_000)
    paths = [put(home, number, content(number, MODES[number % 2], LONG)) for number in (1, 2)]

    async def work(store: ThreadStore) -> None:
        await store.index.sync()
        await store.turns.fill()

    in_store(home, index_path, work)
    assert len(rows(index_path, "SELECT * FROM turn_outlines")) == 2 * LONG
    with closing(sqlite3.connect(index_path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM turn_outlines")
        connection.execute("UPDATE turn_checkpoints SET outlines = NULL")
    in_store(home, index_path, work)
    assert len(rows(index_path, "SELECT * FROM turn_outlines")) == 2 * LONG
    for number, path in enumerate(paths, 1):
        assert in_store(home, index_path, partial(synced_outlines, number=number)) == truth(path)
    paths[0].unlink()
    in_store(home, index_path, lambda store: store.index.sync())
    assert len(rows(index_path, "SELECT * FROM turn_outlines")) == LONG


def test_a_deep_check_finds_an_outline_that_is_not_of_its_turn(
    home: Path, index_path: Path
) -> None:
    path = put(home, 1, content(1, PAGINATED, 0))
    add(path, busy_turns(PAGINATED, LONG), PAGINATED)
    synced(home, index_path)
    in_store(home, index_path, synced_outlines)
    add(path, busy_turns(PAGINATED, 1, LONG), PAGINATED)
    synced(home, index_path)
    assert "turns_differ" not in codes(verified(home, index_path, deep=True))
    with closing(sqlite3.connect(index_path)) as connection, connection:
        connection.execute("UPDATE turn_outlines SET tokens = 8 WHERE position = 4")
    assert "turns_differ" in codes(verified(home, index_path, deep=True))


def test_outlines_are_found_beside_other_requests(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.cache, "AT_ONCE_BYTES", 0)
    path = put(home, 1, content(1, LEGACY, 0))
    add(path, busy_turns(LEGACY, LONG), LEGACY)
    right = truth(path)
    answered: list[int] = []

    async def work(store: ThreadStore) -> None:
        await store.index.sync()
        real = state.turns.outlines.outlined

        def slow(*arguments: Any) -> list[ListedTurn]:
            if not answered:
                turns = asyncio.run_coroutine_threadsafe(page(), loop).result(60)
                answered.append(len(turns))
            return real(*arguments)

        async def page() -> list[Fields]:
            return await store.with_turns(thread_id(1), lambda told: told.all_turns())

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(state.turns.cache, "outlined", slow)
        two = tuple(await asyncio.gather(outlines(store), outlines(store)))
        assert two == (right, right)

    in_store(home, index_path, work)
    assert answered == [LONG]
