"""Lines of no use, passes that go on from earlier ones, recency and names."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl.parse import BadLine, Line
from rollout.metadata.model import LONGEST_TEXT, complete_metadata, metadata_values
from rollout.metadata.reducer import MetadataReducer
from rollout.schema.times import time_ms
from tests.rollout.metadata.reading import CASES, agree, metadata_of, skipped
from tests.samples import strategies
from tests.samples.rollouts import (
    FOREIGN_ID,
    THREAD_ID,
    TURN_ID,
    RolloutLine,
    agent,
    content,
    encode,
    envelope,
    event,
    extracted,
    goal,
    meta,
    reduce_lines,
    response,
    rollout_name,
    settings_applied,
    turn,
    user,
    write_rollout,
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "a JSON array, not an object"),
        (b"{}", "no payload in the envelope"),
        ({"timestamp": "x", "payload": {}}, "no type in the envelope"),
        ({"timestamp": "x", "type": 5, "payload": {}}, "no type in the envelope"),
        (envelope("session_meta", None), "session_meta without a payload object"),
        (envelope("turn_context", "x"), "turn_context without a payload object"),
        (envelope("event_msg", []), "event_msg without a payload object"),
    ],
)
def test_the_first_bad_line_is_reported_with_place_and_reason(
    line: RolloutLine, reason: str
) -> None:
    reducer = reduce_lines(b"", line, line, meta())
    assert reducer.bad_lines == 2
    assert reducer.first_bad is not None
    assert reducer.first_bad.offset == 1
    assert reducer.first_bad.reason.startswith(reason)
    assert (reducer.usable_lines, reducer.metadata) == (1, metadata_of(meta()))


@pytest.mark.parametrize(
    "line", [envelope("of_the_future", None), event("of_the_future"), response("x"), event("")]
)
def test_unknown_and_needless_lines_are_usable(line: dict[str, Any]) -> None:
    reducer = reduce_lines(line)
    assert (reducer.usable_lines, reducer.bad_lines) == (1, 0)


@pytest.mark.parametrize("blank", [b"", b" \t", b"\0\0\0", b"\r"])
def test_a_blank_line_is_neither_usable_nor_bad(blank: bytes) -> None:
    reducer = reduce_lines(blank)
    assert (reducer.usable_lines, reducer.bad_lines) == (0, 0)


def test_a_bad_line_from_the_reader_is_counted() -> None:
    reducer = reduce_lines(meta())
    assert not reducer.apply(BadLine(9, "too long"))
    assert (reducer.bad_lines, reducer.first_bad) == (1, BadLine(9, "too long"))


@CASES
@given(st.lists(strategies.lines, max_size=8), st.integers(0, 8))
def test_a_pass_goes_on_from_the_metadata_of_an_earlier_one(pieces: list[bytes], cut: int) -> None:
    lines = [b"", *pieces]
    first = reduce_lines(*lines[:cut])
    second = MetadataReducer(replace(first.metadata))
    for line in lines[cut:]:
        second.apply(Line(0, line))
    assert second.metadata == metadata_of(*lines)


@CASES
@given(st.lists(strategies.lines, max_size=5))
def test_a_line_applied_twice_in_a_row_changes_nothing(lines: list[bytes]) -> None:
    assert metadata_of(*lines) == metadata_of(*[line for line in lines for _ in range(2)])


@CASES
@given(st.lists(strategies.lines, max_size=5))
def test_metadata_comes_through_a_pickle(lines: list[bytes]) -> None:
    found = metadata_of(*lines)
    assert pickle.loads(pickle.dumps(found)) == found


@CASES
@given(st.lists(strategies.lines, max_size=6))
def test_metadata_is_of_the_kind_that_a_database_takes(lines: list[bytes]) -> None:
    for value in metadata_values(metadata_of(*lines)):
        if isinstance(value, str):
            assert len(value.encode()) <= 4 * LONGEST_TEXT
        else:
            assert value is None or -(2**63) <= value < 2**63


def test_the_name_of_the_file_is_not_needed_when_its_first_line_tells(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta(FOREIGN_ID)], "sessions/rollout-anything.jsonl")
    assert extracted(tmp_path, path).metadata.id == FOREIGN_ID
    assert rollout_name(FOREIGN_ID) not in path


def at(line: dict[str, Any], seconds: int) -> dict[str, Any]:
    """The line as if it had been written so many seconds later than the first."""
    return line | {"timestamp": f"2026-10-15T07:{seconds // 60:02}:{seconds % 60:02}.500Z"}


def recency(*lines: RolloutLine) -> int:
    """Seconds after the creation when the last turn started, as the row shows it."""
    found = complete_metadata(metadata_of(meta(), *lines))
    return (found.recency_at_ms - found.created_at_ms) // 1000


STARTED = event("task_started", turn_id=TURN_ID)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        pytest.param([], 0, id="no turn"),
        pytest.param([at(settings_applied(model="m"), 90)], 0, id="only opened"),
        pytest.param([at(response("x", "user"), 90), at(goal("g"), 91)], 0, id="injected"),
        pytest.param([at(STARTED, 5), at(turn(), 6), at(user("a"), 7), at(agent("b"), 90)], 5),
        pytest.param([at(STARTED, 5), at(STARTED, 60), at(turn(), 70), at(user("more"), 80)], 60),
        pytest.param([at(event("turn_started", turn_id=TURN_ID), 4), at(turn(), 70)], 4),
        pytest.param([at(turn(), 1), at(user("a"), 2), at(turn(), 50)], 2, id="before 0.101"),
        pytest.param([at(user("a"), 2), at(user("b"), 40), at(turn(), 50)], 40, id="two of these"),
        pytest.param([at(user("a"), 2), at(STARTED, 40), at(user("b"), 41)], 40, id="gone on"),
        pytest.param([at(turn(), 3), at(turn(), 30)], 30, id="nothing but settings"),
        pytest.param([at(STARTED, 60), at(STARTED, 5)], 60, id="a clock that was put back"),
        pytest.param([STARTED | {"timestamp": "2026-01-01T00:00:00Z"}], 0, id="copied by a fork"),
        pytest.param([at(STARTED, 5), STARTED | {"timestamp": 7}, STARTED | {"timestamp": "?"}], 5),
    ],
)
def test_recency_is_when_the_last_turn_started(
    tmp_path: Path, lines: list[dict[str, Any]], seconds: int
) -> None:
    assert recency(*lines) == seconds
    agree(skipped(tmp_path, content(meta(), *lines)), reduce_lines(meta(), *lines))


def test_a_pass_that_goes_on_knows_the_same_recency() -> None:
    lines = [meta(), at(user("a"), 2), at(STARTED, 40), at(user("b"), 50)]
    first = complete_metadata(metadata_of(*lines[:2]))
    reducer = MetadataReducer(first)
    for number, line in enumerate(lines[2:]):
        reducer.apply(Line(number, encode(line)))
    assert complete_metadata(reducer.metadata) == complete_metadata(metadata_of(*lines))


def named(name: object, thread_id: object = THREAD_ID) -> dict[str, Any]:
    return event("thread_name_updated", thread_id=thread_id, thread_name=name)


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ([named("One"), named(" Two ")], "Two"),
        ([named("One"), named(" "), named(None), named(5), event("thread_name_updated")], "One"),
        ([named("Mine"), named("Of the source", FOREIGN_ID)], "Mine"),
        ([named("Upper", THREAD_ID.upper())], "Upper"),
        ([event("thread_name_updated", thread_name="No id")], "No id"),
        ([], None),
    ],
)
def test_the_latest_name_in_the_file_is_reported(
    lines: list[dict[str, Any]], name: str | None
) -> None:
    found = metadata_of(meta(), *lines)
    assert found.rollout_name == name
    assert found.rollout_name_ms == (0 if name is None else time_ms(lines[0]["timestamp"]))
