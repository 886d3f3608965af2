"""The turn index gives the turns that the files have now, whatever has become of the files, of
the index, or of whoever was at work."""

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import state.turns.cache
import state.turns.checkpoint
from rollout.errors import HistoryUnknown
from rollout.history.segments import Find
from rollout.history.thread import Outline, open_history, outline
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from rollout.schema.strict import Fields
from state.thread_store import ThreadStore
from state.turns.answers import TurnAnswers
from state.turns.checkpoint import Pause, TurnState, reduce_anew, tail_states
from state.turns.pages import ItemQuery, PageQuery
from state.turns.store import worth_storing
from tests.samples.histories import listed_items, numbered, spell
from tests.samples.homes import thread_id
from tests.samples.long_threads import (
    LONG,
    add,
    all_turns,
    content,
    head,
    in_store,
    nobody,
    paged,
    put,
    truth,
    turn_lines,
)
from tests.samples.rollouts import event
from tests.support.effort import PATIENCE_S
from tests.support.indexes import rows
from tests.support.warm import run_program


def forked(home: Path, *, turns: int) -> tuple[Path, Path]:
    """A long thread, and one that was forked from it after so many turns."""
    base = put(home, 1, content(1, PAGINATED, LONG))
    data = base.read_bytes()
    at = data.index(f'"turn_id":"turn {turns}"'.encode())
    cut = data.rindex(b"\n", 0, at) + 1
    ordinal = data[:cut].count(b"\n")
    place = {"thread_id": thread_id(1), "end_ordinal_exclusive": ordinal, "end_byte_offset": cut}
    first = head(2, PAGINATED, history_base=place, forked_from_id=thread_id(1))
    lines = [first, *turn_lines(2, PAGINATED, 3, first=500)]
    return base, put(home, 2, spell(numbered(lines, ordinal)))


def spliced(fork: Path, find: Find) -> list[Fields]:
    """The turns of a fork as its files have them."""
    history = open_history(fork, find)
    with history.reader() as reader:
        return [reader.turn(turn) for turn in history.turns]


def test_a_fork_of_an_indexed_thread_has_the_turns_up_to_its_cut(
    home: Path, index_path: Path
) -> None:
    base, fork = forked(home, turns=80)

    async def work(store: ThreadStore) -> None:
        assert await all_turns(store, 1) == truth(base, PAGINATED)
        right = spliced(fork, lambda _: base)
        assert len(right) == 83
        assert await all_turns(store, 2) == right
        assert await paged(store, 2) == right
        assert await paged(store, 2, descending=False) == right
        add(base, turn_lines(1, PAGINATED, 5, first=LONG), PAGINATED)
        assert await all_turns(store, 2) == right
        add(fork, turn_lines(2, PAGINATED, 1, first=600), PAGINATED)

    in_store(home, index_path, work)
    right = spliced(fork, lambda _: base)
    for _ in range(2):
        assert in_store(home, index_path, lambda store: all_turns(store, 2)) == right


def test_a_base_that_is_gone_leaves_the_own_turns_until_it_is_back(
    home: Path, index_path: Path
) -> None:
    base, fork = forked(home, turns=80)
    right = spliced(fork, lambda _: base)
    away = home / "away"

    async def work(store: ThreadStore) -> None:
        assert await all_turns(store, 2) == right
        base.rename(away)
        assert await all_turns(store, 2) == right[80:]
        base.parent.mkdir(exist_ok=True)
        away.rename(base)
        assert await all_turns(store, 2) == right

    in_store(home, index_path, work)


@pytest.mark.parametrize("bulk", [200, 4000])
def test_pages_from_the_end_of_an_unknown_thread_are_those_of_the_whole(
    bulk: int, home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.checkpoint, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(state.turns.checkpoint, "_TAILS", (500, 3000, 30_000))
    path = put(home, 1, content(1, PAGINATED, LONG, bulk=bulk))
    tails = []

    def counted(*arguments: Any) -> Any:
        for last in tail_states(*arguments):
            tails.append(last)
            yield last

    monkeypatch.setattr(state.turns.cache, "tail_states", counted)
    # Nothing else is to help.
    monkeypatch.setattr(state.turns.cache.TurnIndex, "_keep", lambda *_, **__: asyncio.sleep(0))
    right = truth(path, PAGINATED)
    for limit in 1, 3, 7, 100:
        ours = in_store(home, index_path, partial(paged, number=1, limit=limit))
        assert ours == right
    upwards = in_store(home, index_path, lambda store: paged(store, 1, descending=False))
    assert upwards == right
    assert tails


def test_the_first_page_of_an_unknown_legacy_thread_says_what_it_does_not_know(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.checkpoint, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(state.turns.checkpoint, "_TAILS", (20_000,))
    path = put(home, 1, content(1, LEGACY, LONG))
    right = truth(path, LEGACY)[:-4:-1]

    async def work(store: ThreadStore) -> list[Fields]:
        query = PageQuery(thread_id(1), limit=3)
        first = partial(TurnAnswers.turns, query=query, view="full")
        early = await store.with_turns(thread_id(1), first)
        pages = await paged(store, 1, limit=3)  # the last ones take the whole thread
        assert [turn["id"] for turn in pages] == [turn["id"] for turn in truth(path, LEGACY)]
        assert await paged(store, 1, limit=3) == truth(path, LEGACY)
        return [early, await store.with_turns(thread_id(1), first)]

    early, known = in_store(home, index_path, work)
    assert known["data"] == right
    assert "provisionalItemIds" not in known
    assert early.pop("provisionalItemIds") is True
    own = iter(item for turn in right for item in turn["items"])
    for item in (item for turn in early["data"] for item in turn["items"]):
        assert item["id"].startswith("at-")
        item["id"] = next(own)["id"]
    assert early == known


def test_an_end_that_does_not_tell_where_turns_begin_is_not_enough(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.checkpoint, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(state.turns.checkpoint, "_TAILS", (5000,))
    path = put(home, 1, content(1, PAGINATED, LONG))
    add(path, [event("task_complete", turn_id="turn without a beginning")], PAGINATED)
    assert in_store(home, index_path, lambda store: paged(store, 1)) == truth(path, PAGINATED)


def test_items_are_listed_in_order_both_ways_and_within_turns(home: Path, index_path: Path) -> None:
    path = put(home, 1, content(1, PAGINATED, 20))
    history = open_history(path, nobody)
    right = listed_items(history)

    async def walked(store: ThreadStore, limit: int, **options: Any) -> list[Fields]:
        found: list[Fields] = []
        cursor: str | None = None
        while True:
            query = ItemQuery(thread_id(1), cursor, limit, **options)
            page = await store.with_turns(thread_id(1), partial(TurnAnswers.items, query=query))
            found += page["data"]
            if (cursor := page["nextCursor"]) is None:
                return found

    async def work(store: ThreadStore) -> None:
        for limit in 1, 3, 100:
            assert await walked(store, limit) == right
            assert await walked(store, limit, descending=True) == right[::-1]
            of_turn = [item for item in right if item["turnId"] == "turn 3"]
            assert await walked(store, limit, turn_id="turn 3") == of_turn

    in_store(home, index_path, work)


@pytest.mark.parametrize("mode", MODES)
def test_a_turn_that_is_recorded_here_is_in_progress(
    mode: str, home: Path, index_path: Path
) -> None:
    path = put(home, 1, content(1, mode, 2))
    add(path, [event("task_started", turn_id="cut off")], mode)

    async def work(store: ThreadStore) -> None:
        def states(turns: list[Fields]) -> list[str]:
            return [turn["status"] for turn in turns]

        (await store.resume_thread(thread_id(1))).close()
        done = ["completed", "completed", "interrupted"]
        assert states(await all_turns(store, 1)) == done
        line = event("task_started", turn_id="running")
        started = {"type": line["type"], "payload": line["payload"]}
        await store.append_items(thread_id(1), [started])
        await store.flush_thread(thread_id(1))
        running = states(await all_turns(store, 1))
        assert running[-1] == "inProgress"
        assert running[:2] == done[:2]
        await store.shutdown_thread(thread_id(1))
        assert states(await all_turns(store, 1))[-1] == "interrupted"

    in_store(home, index_path, work)


def test_the_rows_go_with_their_thread(home: Path, index_path: Path) -> None:
    path = put(home, 1, content(1, LEGACY, LONG))
    in_store(home, index_path, lambda store: all_turns(store, 1))
    path.unlink()
    in_store(home, index_path, lambda store: store.index.sync())
    assert not rows(index_path, "SELECT thread_id FROM turn_checkpoints")
    assert not rows(index_path, "SELECT thread_id FROM turns")


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE turns",
        "UPDATE turn_checkpoints SET version = 0",
        "DELETE FROM turns",
        "UPDATE turn_checkpoints SET files = '[]'",
        "UPDATE turn_checkpoints SET state = 'x'",
        "UPDATE turns SET item_refs = x'00'",
        "UPDATE turns SET started_at = 'abc'",
        "UPDATE turns SET status = x'00'",
        "UPDATE turns SET first_user = 'x'",
    ],
)
def test_a_damaged_index_hides_no_turn(damage: str, home: Path, index_path: Path) -> None:
    path = put(home, 1, content(1, PAGINATED, LONG))
    in_store(home, index_path, lambda store: all_turns(store, 1))
    with closing(sqlite3.connect(index_path)) as connection:
        connection.execute(damage)
        connection.commit()
    assert in_store(home, index_path, lambda store: all_turns(store, 1)) == truth(path, PAGINATED)


def test_long_threads_are_filled_in_the_newest_first(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.cache, "FILLED_BYTES", 300_000)
    for number in 1, 2, 3:
        path = put(home, number, content(number, MODES[number % 2], LONG))
        os.utime(path, (number, number))
    put(home, 4, content(4, LEGACY, 3))
    put(home, 5, spell([head(5, "of the future"), *turn_lines(5, LEGACY, LONG)]))

    async def work(store: ThreadStore) -> None:
        await store.index.sync()
        await store.turns.fill()
        await store.turns.fill()
        with pytest.raises(HistoryUnknown):
            await all_turns(store, 5)

    in_store(home, index_path, work)
    found = rows(index_path, "SELECT thread_id FROM turn_checkpoints ORDER BY rowid")
    assert [row["thread_id"] for row in found] == [thread_id(n) for n in (3, 2, 1)]


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_long_read_holds_up_nobody_and_ends_with_who_asked(
    asked_for: bool, home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.turns.checkpoint, "AT_ONCE_BYTES", 100_000)
    monkeypatch.setattr(state.turns.cache, "FILLED_BYTES", 100_000)
    huge = put(home, 1, content(1, LEGACY, LONG))
    small = put(home, 2, content(2, LEGACY, 2))
    begun, folds = threading.Event(), []

    def endless(plan: Outline, pause: Pause) -> TurnState:
        if plan.parts[0].path == huge:
            folds.append(plan)
            begun.set()
            while True:
                pause()
                time.sleep(0.001)
        return reduce_anew(plan, pause)

    monkeypatch.setattr(state.turns.cache, "reduce_anew", endless)

    async def work(store: ThreadStore) -> None:
        await store.index.sync()
        ask: Any = (lambda: all_turns(store, 1)) if asked_for else store.turns.fill
        asked = [asyncio.create_task(ask()) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 10)
        assert await all_turns(store, 2) == truth(small, LEGACY)
        asked[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked[0]
        assert not asked[1].done()
        assert len(folds) == 1
        for task in asked:
            task.cancel()

    in_store(home, index_path, work)  # and does not wait for what has no end


ASK = """
import asyncio, json, sys
from pathlib import Path
from state.thread_store import open_store
from tests.samples.long_threads import all_turns

async def main():
    async with open_store(Path(sys.argv[1]), Path(sys.argv[2])) as store:
        print(json.dumps(await all_turns(store, 1)))

asyncio.run(main())
"""


def test_processes_that_ask_at_once_are_all_told_the_same(home: Path, index_path: Path) -> None:
    path = put(home, 1, content(1, PAGINATED, LONG * 3))
    words = ASK, str(home), str(index_path)
    running = [run_program(*words, stdout=subprocess.PIPE) for _ in range(4)]
    told = [process.communicate(timeout=PATIENCE_S)[0] for process in running]
    right = truth(path, PAGINATED)
    assert all(json.loads(one) == right for one in told)
    assert len(rows(index_path, "SELECT position FROM turns")) == LONG * 3


def test_only_what_took_long_is_stored(home: Path, index_path: Path) -> None:
    path = put(home, 1, content(1, LEGACY, 10))
    in_store(home, index_path, lambda store: all_turns(store, 1))
    assert not rows(index_path, "SELECT thread_id FROM turn_checkpoints")
    assert not worth_storing(reduce_anew(outline(path, nobody)))


def test_a_page_asks_for_no_more_than_a_page(home: Path, index_path: Path) -> None:
    put(home, 1, content(1, LEGACY, 5))

    async def work(store: ThreadStore) -> Any:
        query = PageQuery(thread_id(1), limit=2)
        return await store.with_turns(thread_id(1), partial(TurnAnswers.turns, query=query))

    page = in_store(home, index_path, work)
    assert [turn["id"] for turn in page["data"]] == ["turn 4", "turn 3"]
    assert json.loads(page["nextCursor"]) == {"turnId": "turn 3", "includeAnchor": False}
