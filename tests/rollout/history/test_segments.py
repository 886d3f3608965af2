"""Histories that are in several files, items of the future, and what a model goes on with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import HistoryIncomplete, HistoryUnknown
from rollout.history.model_context import context_items
from rollout.history.thread import ThreadTurns, open_history
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.turns.item_refs import ItemRefs, Position, key_of
from tests.samples.histories import (
    first_line,
    listed_items,
    numbered,
    rollouts_by_id,
    spell,
    turns_in,
)
from tests.samples.rollouts import THREAD_ID, envelope, event, response, user

DAY = "sessions/2026/10/15"


def id_of(number: int) -> str:
    return f"01a14000-0000-7000-8000-{number:012x}"


def said(turn_id: str, item_id: str, text: str) -> dict[str, Any]:
    item = {"type": "AgentMessage", "id": item_id, "content": [{"type": "Text", "text": text}]}
    return event("item_completed", thread_id=THREAD_ID, turn_id=turn_id, item=item)


def a_turn(turn_id: str) -> list[dict[str, Any]]:
    return [
        event("task_started", turn_id=turn_id),
        response(f"prompt {turn_id}", "user"),
        said(turn_id, f"say-{turn_id}", f"about {turn_id}"),
        response(f"answer {turn_id}"),
        event("task_complete", turn_id=turn_id),
    ]


def write(home: Path, number: int, lines: Sequence[dict[str, Any]]) -> Path:
    path = home / DAY / f"rollout-2026-10-15T07-00-00-{id_of(number)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(spell(lines))
    return path


def write_fork(
    home: Path, number: int, base: int, end: int, lines: Sequence[dict[str, Any]], **fields: Any
) -> Path:
    """A fork of thread ``base`` at the ordinal ``end``."""
    of = {"thread_id": id_of(base), "end_ordinal_exclusive": end, "end_byte_offset": 0}
    meta = first_line(PAGINATED, id=id_of(number), history_base=of, **fields)
    return write(home, number, numbered([meta, *lines], end))


@pytest.fixture
def chain(home: Path) -> Path:
    """A fork of a fork: turns A and B of the first thread, C of the second, D of its own."""
    first = [first_line(PAGINATED), *a_turn("A"), *a_turn("B"), *a_turn("X")]
    write(home, 1, numbered(first))
    write_fork(home, 2, 1, 11, [*a_turn("C"), *a_turn("Y")])
    return write_fork(home, 3, 2, 17, a_turn("D"))


def opened(home: Path, path: Path) -> ThreadTurns:
    return open_history(path, rollouts_by_id(home).get)


def texts_of(items: Sequence[dict[str, Any]]) -> list[str]:
    return [part["text"] for item in items for part in item["content"]]


def context(home: Path, path: Path) -> list[str]:
    return texts_of([*context_items(path, rollouts_by_id(home).get)])


def test_turns_of_bases_below_the_cut_come_first(home: Path, chain: Path) -> None:
    history = opened(home, chain)
    with history.reader() as reader:
        turns = [reader.turn(turn) for turn in history.turns]
    items = listed_items(history)
    assert [turn["id"] for turn in turns] == ["A", "B", "C", "D"]
    assert [turn["items"][0]["text"] for turn in turns] == [f"about {id_}" for id_ in "ABCD"]
    assert [item["turnId"] for item in items] == ["A", "B", "C", "D"]
    assert history.missing is None
    assert [turn.start.file for turn in history.turns] == [0, 0, 1, 2]


def test_a_late_item_for_a_turn_of_a_base_is_in_that_turn(home: Path) -> None:
    write(home, 1, numbered([first_line(PAGINATED), *a_turn("A")]))
    late = [said("A", "say-A", "said otherwise"), said("A", "more", "and more")]
    history = opened(home, write_fork(home, 2, 1, 6, late))
    with history.reader() as reader:
        [turn] = [reader.turn(turn) for turn in history.turns]
    assert [item["text"] for item in turn["items"]] == ["said otherwise", "and more"]


def test_a_turn_that_the_cut_goes_through_is_as_far_as_that(home: Path) -> None:
    write(home, 1, numbered([first_line(PAGINATED), *a_turn("A")]))
    history = opened(home, write_fork(home, 2, 1, 4, a_turn("B")))
    with history.reader() as reader:
        turns = [reader.turn(turn) for turn in history.turns]
    assert [(turn["id"], turn["status"]) for turn in turns] == [
        ("A", "interrupted"),
        ("B", "completed"),
    ]


def test_own_turns_are_shown_and_a_missing_base_is_reported(home: Path, chain: Path) -> None:
    (home / DAY / f"rollout-2026-10-15T07-00-00-{id_of(1)}.jsonl").unlink()
    history = opened(home, chain)
    assert [turn.id for turn in history.turns] == ["C", "D"]
    assert isinstance(history.missing, HistoryIncomplete)
    assert id_of(1) in str(history.missing)
    with pytest.raises(HistoryIncomplete, match="not here"):
        context(home, chain)


def test_a_history_that_leads_back_to_itself_is_reported(home: Path) -> None:
    write_fork(home, 1, 2, 3, a_turn("A"))
    history = opened(home, write_fork(home, 2, 1, 9, a_turn("B")))
    assert "back to itself" in str(history.missing)
    assert "B" in [turn.id for turn in history.turns]


def test_an_attached_thread_shows_its_own_turns_and_the_model_all(home: Path) -> None:
    write(home, 1, numbered([first_line(PAGINATED), *a_turn("A")]))
    path = write_fork(home, 2, 1, 6, a_turn("B"), attached_thread=True)
    assert [turn.id for turn in opened(home, path).turns] == ["B"]
    assert context(home, path) == ["prompt A", "answer A", "prompt B", "answer B"]


def test_what_a_spawned_agent_was_given_is_not_shown_as_its_own(home: Path) -> None:
    meta = first_line(PAGINATED, subagent_history_start_ordinal=6)
    path = write(home, 1, numbered([meta, *a_turn("A"), *a_turn("B")]))
    assert [turn.id for turn in opened(home, path).turns] == ["B"]


def test_an_unknown_history_mode_is_refused(home: Path) -> None:
    path = write(home, 1, [first_line("lunar"), user("u")])
    with pytest.raises(HistoryUnknown, match="lunar"):
        opened(home, path)
    with pytest.raises(HistoryUnknown, match="lunar"):
        context(home, path)


@pytest.mark.parametrize("mode", [LEGACY, PAGINATED])
def test_items_of_the_future_are_kept_and_marked_and_change_nothing(
    tmp_path: Path, mode: str
) -> None:
    item = {"type": "HoloGram", "id": "h1", "depth": 3}
    future = event("item_completed", thread_id=THREAD_ID, turn_id="A", item=item)
    later = {**item, "type": "AgentMessage", "content": [], "phase": "of the future"}
    newer = event("item_completed", thread_id=THREAD_ID, turn_id="A", item=later)
    started, *rest = a_turn("A")
    rollout = tmp_path / "rollout.jsonl"
    answers = []
    for lines in ([started, *rest], [started, future, newer, *rest]):
        lines = [first_line(mode), *lines]
        rollout.write_bytes(spell(numbered(lines) if mode == PAGINATED else lines))
        answers.append(turns_in(rollout, mode))
    assert answers[0] == answers[1]
    [turn] = turns_in(rollout, mode, unknown=True)
    marked = [item for item in turn["items"] if "raw" in item]
    assert marked[0]["type"] == "holoGram"
    assert (marked[0]["id"], marked[0]["raw"]) == ("h1", item)
    assert [item for item in turn["items"] if "raw" not in item] == answers[0][0]["items"]


def compacted(*texts: str, **fields: Any) -> dict[str, Any]:
    history = [response(text)["payload"] for text in texts]
    return envelope("compacted", {"message": "", "replacement_history": history, **fields})


def test_a_model_goes_on_with_what_replaced_its_history_and_what_came_after(home: Path) -> None:
    lines = [*a_turn("A"), compacted("first"), *a_turn("B"), compacted("second"), *a_turn("C")]
    for number, mode in enumerate((LEGACY, PAGINATED), 1):
        rollout = [first_line(mode), *lines]
        path = write(home, number, numbered(rollout) if mode == PAGINATED else rollout)
        assert context(home, path) == ["second", "prompt C", "answer C"]


def test_a_model_sees_the_history_that_a_fork_begins_with(home: Path, chain: Path) -> None:
    assert context(home, chain) == [
        f"{what} {id_}" for id_ in "ABCD" for what in ("prompt", "answer")
    ]


def test_a_compaction_in_a_base_counts_below_the_cut_only(home: Path) -> None:
    base = [first_line(PAGINATED), *a_turn("A"), compacted("short"), *a_turn("B"), compacted("no")]
    write(home, 1, numbered(base))
    path = write_fork(home, 2, 1, 12, a_turn("C"))
    assert context(home, path) == ["short", "prompt B", "answer B", "prompt C", "answer C"]


def test_what_was_rolled_back_is_not_told_to_a_model_nor_its_compaction(home: Path) -> None:
    a, b, c, d = (
        [started, user(name), *rest]
        for name, (started, *rest) in ((name, a_turn(name)) for name in "ABCD")
    )
    back = event("thread_rolled_back", num_turns=2)
    lines = [*a, *b, compacted("gone"), *c, back, *d]
    path = write(home, 1, [first_line(LEGACY), *lines])
    assert context(home, path) == ["prompt A", "answer A", "prompt D", "answer D"]
    path = write(home, 1, [first_line(LEGACY), *lines, event("thread_rolled_back", num_turns=9)])
    assert context(home, path) == []


def test_a_model_is_not_told_what_a_paginated_thread_lists_though_rolled_back(home: Path) -> None:
    asked = {"type": "UserMessage", "id": "u", "content": []}
    lines = []
    for name in "AB":
        started, *rest = a_turn(name)
        question = event("item_completed", thread_id=THREAD_ID, turn_id=name, item=asked)
        lines += [started, question, *rest]
    back = event("thread_rolled_back", num_turns=1)
    write(home, 1, numbered([first_line(PAGINATED), *lines]))
    path = write_fork(home, 2, 1, 13, [back, *a_turn("C")])
    assert [turn.id for turn in opened(home, path).turns] == ["A", "B", "C"]
    assert context(home, path) == ["prompt A", "answer A", "prompt C", "answer C"]


def test_the_prompt_of_a_made_up_turn_is_rolled_back_with_it(home: Path) -> None:
    lines = []
    for name in ("one", "two"):
        lines += [response(f"prompt {name}", "user"), user(name), response(f"answer {name}")]
    back = event("thread_rolled_back", num_turns=1)
    path = write(home, 1, [first_line(LEGACY), *lines, back])
    assert context(home, path) == ["prompt one", "answer one"]


def test_an_old_compaction_leaves_the_latest_prompts_and_its_summary(home: Path) -> None:
    prompts = [response(letter * 30_000, "user") for letter in "abc"]
    place = response("<environment_context>here</environment_context>", "user")
    summary = envelope("compacted", {"message": "what was done"})
    path = write(
        home, 1, [first_line(LEGACY), place, *prompts, response("x"), summary, response("y")]
    )
    assert context(home, path) == ["b" * 30_000, "c" * 30_000, "what was done", "y"]


def test_regressed_lines_and_ghosts_are_not_told_to_a_model(home: Path) -> None:
    lines = numbered([first_line(PAGINATED), response("one"), response("two")])
    again = {**numbered([response("again")], 1)[0]}
    ghost = {**numbered([envelope("response_item", {"type": "ghost_snapshot"})], 3)[0]}
    path = write(home, 1, [*lines, again, ghost, *numbered([response("three")], 4)])
    assert context(home, path) == ["one", "two", "three"]


def test_items_are_found_among_thousands_by_their_ids() -> None:
    refs = ItemRefs()
    for number in range(5000):
        assert refs.find(key_of(f"id-{number}")) < 0
        refs.add("plan", Position(0, number * 10, 0), number, key=key_of(f"id-{number}"))
    assert [refs.find(key_of(f"id-{number}")) for number in range(5000)] == [*range(5000)]
    assert ItemRefs.load(refs.dump()) == refs
    assert len(refs.dump()) < 5000 * 48


def test_anchors_keep_files_places_and_numbers_of_any_size() -> None:
    refs = ItemRefs()
    place = Position(60_000, 2**47 + 5, 0)
    refs.add("reasoning", place, 2**64 - 1, number=2**40)
    refs.continue_last(Position(60_000, 2**47 + 9, 0), 7)
    [ref] = refs
    assert ref.offsets == (2**47 + 5, 2**47 + 9)
    assert (ref.file, ref.ordinal, ref.number) == (60_000, 2**64 - 1, 2**40)
