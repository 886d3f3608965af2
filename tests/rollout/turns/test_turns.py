"""Properties of the folds that find turns: they can stop and go on anywhere, begin anywhere in a
paginated file, do not mind what they skip, and never fail."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.history.last_turns import last_turns
from rollout.history.segments import Part
from rollout.history.thread import outline, reduce_file, reduce_part
from rollout.jsonl.parse import Line, parse_line
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from rollout.turns.item_refs import Position
from rollout.turns.legacy import LegacyReducer
from rollout.turns.paginated import PaginatedReducer
from rollout.turns.turn import Turn
from tests.samples.histories import first_line, new_reducer, numbered, shown, spell, turns_in
from tests.samples.rollouts import event, response, user
from tests.samples.strategies import lines as any_lines
from tests.samples.turn_lines import (
    MODES,
    aborts,
    completed,
    ends,
    events,
    hook,
    line_lists,
    quickly,
    rollouts,
    starts,
    turn_items,
    with_head,
)
from tests.support.effort import examples


def written(folder: Path, data: bytes) -> Path:
    path = folder / "rollout.jsonl"
    path.write_bytes(data)
    return path


def plainly(data: bytes, mode: str) -> LegacyReducer | PaginatedReducer:
    """The fold of a rollout that was given every line."""
    reducer = new_reducer(mode)
    offset = 0
    for raw in data.split(b"\n")[:-1]:
        item = parse_line(Line(offset, raw))
        if isinstance(item, dict):
            ordinal = item.get("ordinal")
            number = ordinal if isinstance(ordinal, int) else 0
            after = Position(0, offset + len(raw) + 1, number + 1)
            reducer.take(item, Position(0, offset, number), after)
        offset += len(raw) + 1
    return reducer


@quickly
@given(rollout=rollouts)
def test_passing_over_lines_is_as_good_as_parsing_them(
    tmp_path: Path, rollout: tuple[str, list[Fields]]
) -> None:
    mode, lines = rollout
    path = written(tmp_path, spell(lines))
    reducer = new_reducer(mode)
    reduce_file(path, reducer)
    plain = plainly(path.read_bytes(), mode)
    assert (reducer.turns, reducer.orphans, reducer.dump()) == (
        plain.turns,
        plain.orphans,
        plain.dump(),
    )


@quickly
@given(rollout=rollouts, data=st.data())
def test_a_reducer_that_was_saved_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, rollout: tuple[str, list[Fields]], data: st.DataObject
) -> None:
    mode, lines = rollout
    whole = spell(lines)
    at = data.draw(st.integers(0, len(whole)))
    path = written(tmp_path, whole[:at])
    reducer = new_reducer(mode)
    offset = reduce_part(Part(path), 0, reducer, torn=False)
    saved = json.loads(
        json.dumps(
            [
                reducer.dump(),
                [turn.dump() for turn in reducer.turns],
                [turn.dump() for turn in reducer.orphans.values()],
            ]
        )
    )
    turns, orphans = ([Turn.load(turn) for turn in dumped] for dumped in saved[1:])
    later = (LegacyReducer if mode == LEGACY else PaginatedReducer)(saved[0], turns, orphans)
    written(tmp_path, whole)
    reduce_part(Part(path), 0, later, offset=offset, torn=False)
    once = new_reducer(mode)
    reduce_part(Part(path), 0, once, torn=False)
    assert (later.turns, later.orphans, later.dump()) == (once.turns, once.orphans, once.dump())


@quickly
@given(lines=line_lists, data=st.data())
def test_turns_that_begin_in_a_suffix_are_those_of_the_whole(
    tmp_path: Path, lines: list[Fields], data: st.DataObject
) -> None:
    rollout = with_head(PAGINATED, lines)
    at = data.draw(st.integers(0, len(rollout)))
    offset = len(spell(rollout[:at]))
    path = written(tmp_path, spell(rollout))
    whole, suffix = PaginatedReducer(), PaginatedReducer()
    reduce_file(path, whole)
    reduce_part(Part(path), 0, suffix, offset=offset)
    # A turn begins with its first line, be it only an item.
    early = {line["payload"].get("turn_id") for line in rollout[:at]}
    expected = [turn for turn in whole.turns if turn.id not in early]
    assert [turn for turn in suffix.turns if turn.id not in early] == expected


@examples(400)
@given(
    lines=line_lists,
    turns=st.lists(st.lists(st.one_of(events, turn_items, starts), max_size=3), max_size=7),
    data=st.data(),
)
def test_the_last_turns_of_a_legacy_thread_are_those_of_the_whole_but_for_numbers(
    tmp_path: Path, lines: list[Fields], turns: list[list[Fields]], data: st.DataObject
) -> None:
    for number, inside in enumerate(turns):
        name = f"turn {number}"
        lines += [event("task_started", turn_id=name, started_at=number), *inside]
        lines.append(event("task_complete", turn_id=name, completed_at=number))
    rollout = spell(with_head(LEGACY, lines))
    path = written(tmp_path, rollout)
    known = outline(path, lambda _: None)
    size = data.draw(st.integers(0, len(rollout)))
    last = last_turns(known, size)
    if last is None:
        return
    whole = LegacyReducer()
    reduce_file(path, whole)
    assert last.turns
    reducer = LegacyReducer(turns=last.turns)
    ours, theirs = (shown(path, each, LEGACY, unknown=True) for each in (reducer, whole))
    numbers = re.compile(r"(item|hook)-\d+")
    for mine, right in zip(ours, theirs[-len(ours) :], strict=True):
        for item, other in zip(mine["items"], right["items"], strict=True):
            made_up = item["id"].startswith("at-") and numbers.fullmatch(other["id"])
            assert {**item, "id": other["id"] if made_up else item["id"]} == other
        assert {**mine, "items": []} == {**right, "items": []}


@quickly
@given(prompts=st.lists(st.sampled_from(["user", "agent", "reason"]), max_size=12), data=st.data())
def test_a_cut_of_a_legacy_thread_without_named_turns_gives_a_prefix_of_its_turns(
    tmp_path: Path, prompts: list[str], data: st.DataObject
) -> None:
    kinds = {
        "user": user("u"),
        "agent": event("agent_message", message="a"),
        "reason": event("agent_reasoning", text="r"),
    }
    whole = spell(with_head(LEGACY, [kinds[kind] for kind in prompts]))
    at = data.draw(st.integers(0, len(whole)))
    turns = turns_in(written(tmp_path, whole), LEGACY)
    front = turns_in(written(tmp_path, whole[:at]), LEGACY)
    # Only the last turn may still grow.
    assert front[:-1] == turns[: len(front[:-1])]
    if front:
        last = turns[len(front) - 1]
        assert front[-1]["id"] == last["id"]
        assert len(front[-1]["items"]) <= len(last["items"])


@quickly
@given(lines=line_lists, data=st.data())
def test_a_cut_of_a_paginated_thread_gives_a_prefix_of_its_turns(
    tmp_path: Path, lines: list[Fields], data: st.DataObject
) -> None:
    whole = spell(with_head(PAGINATED, lines))
    at = data.draw(st.integers(0, len(whole)))
    turns = turns_in(written(tmp_path, whole), PAGINATED)
    front = turns_in(written(tmp_path, whole[:at]), PAGINATED)
    # Turns never go and never change places; items come behind others or in their places; how a
    # turn ended is never said otherwise.
    for early, late in zip(front, turns, strict=False):
        assert early["id"] == late["id"]
        ids = [item["id"] for item in early["items"]]
        assert ids == [item["id"] for item in late["items"]][: len(ids)]
        if early["status"] in ("completed", "failed"):
            assert early["status"] == late["status"]
    assert len(front) <= len(turns)


wrong = st.recursive(
    st.sampled_from([None, True, -1, 0, 2**64, 1e300, "", "x", "\ud800", "A", "completed"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A line in which something is of another type, missing or torn."""
    line: Any = json.loads(json.dumps(draw(st.one_of(starts, ends, aborts, turn_items, events))))
    place = line
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            break
        place = inner
    if draw(st.booleans()):
        place[key] = draw(wrong)
    else:
        del place[key]
    raw = json.dumps(line, separators=(",", ":")).encode()
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 4)) == 0 else raw


@examples(400)
@given(
    mode=st.sampled_from(MODES),
    spoiled_lines=st.lists(st.one_of(spoiled(), spoiled(), any_lines), max_size=20),
    ended=st.booleans(),
)
def test_no_line_makes_a_reducer_fail_and_skipping_stays_right(
    tmp_path: Path, mode: str, spoiled_lines: list[bytes], ended: bool
) -> None:
    data = spell([first_line(mode), *spoiled_lines])
    path = written(tmp_path, data if ended else data.rstrip(b"\n"))
    reducer = new_reducer(mode)
    reduce_file(path, reducer)
    answers = shown(path, reducer, mode, unknown=True)
    assert [len(turn["items"]) for turn in answers] == [
        len([*turn.items]) for turn in reducer.turns
    ]
    for turn in reducer.turns:
        assert Turn.load(json.loads(json.dumps(turn.dump()))) == turn


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [{}, [], None, 3])
def test_an_item_whose_type_is_no_text_does_no_harm(
    tmp_path: Path, kind: object, mode: str
) -> None:
    lines = [first_line(mode), completed("A", {"type": kind, "id": "a"})]
    reducer = new_reducer(mode)
    reduce_file(written(tmp_path, spell(lines)), reducer)
    assert reducer.turns == []


@pytest.mark.parametrize("mode", MODES)
def test_huge_lines_and_nuls_between_turns_do_no_harm(tmp_path: Path, mode: str) -> None:
    long = response("x" * 700_000)
    lines = with_head(mode, [event("task_started", turn_id="A"), long, user("u"), long])
    more = event("task_complete", turn_id="A")
    if mode == PAGINATED:
        more = {"timestamp": more["timestamp"], "ordinal": 5, **more}
    path = written(tmp_path, spell([*lines, b"\0" * 5000, b"{" * 100_000, more]))
    [turn] = turns_in(path, mode)
    assert (turn["id"], turn["status"]) == ("A", "completed")


def test_a_skipped_line_is_counted_where_the_ids_of_turns_depend_on_it(tmp_path: Path) -> None:
    lines = [first_line(LEGACY), response("x" * 600_000), response("y"), user("u")]
    assert [turn["id"] for turn in turns_in(written(tmp_path, spell(lines)), LEGACY)] == [
        "rollout-3"
    ]


def test_a_hook_is_found_however_its_prompt_begins(tmp_path: Path) -> None:
    prompt = '<p hook_run_id="r">x</p>'
    found = []
    for before in ("", " ", "\n\t", "\u00a0", "\u3000", "x", "<p>", "é", "!", "<p />"):
        line = hook("")
        line["payload"]["content"][0]["text"] = before + prompt
        for ascii_only in (True, False):
            raw = json.dumps(line, separators=(",", ":"), ensure_ascii=ascii_only).encode()
            path = written(tmp_path, spell([first_line(LEGACY), user("u"), raw]))
            [turn] = turns_in(path, LEGACY)
            if turn["items"][-1]["type"] == "hookPrompt":
                found.append((before, ascii_only))
    spaces = ("", " ", "\n\t", "\u00a0", "\u3000")
    assert found == [(space, ascii_only) for space in spaces for ascii_only in (True, False)]


def test_the_ordinal_of_a_skipped_line_keeps_a_regressed_one_out(tmp_path: Path) -> None:
    lines = numbered([first_line(PAGINATED), event("task_started", turn_id="A"), response("x")])
    late = {"ordinal": 2, **event("task_started", turn_id="B")}
    path = written(tmp_path, spell([*lines, late]))
    assert [turn["id"] for turn in turns_in(path, PAGINATED)] == ["A"]
