"""What single lines tell of the tokens that were used (docs/usage.md#rules)."""

import json
from typing import Any

import pytest

from rollout.jsonl.parse import parse_line
from rollout.usage.model import FileUsage, Tokens, UsageKey, long_context_of
from rollout.usage.reducer import UsageReducer
from tests.samples.rollouts import (
    FOREIGN_ID,
    THREAD_ID,
    content,
    encode,
    envelope,
    event,
    meta,
    read_lines,
    settings_applied,
    turn,
)
from tests.usage.spending import counts

HOUR = 1_792_047_608 // 3600
OWN = "01a14000-0000-7000-8000-0000000000a1"
OLDER = "01a13fff-0000-7000-8000-0000000000a1"
Line = dict[str, Any]


def use(total: int) -> Tokens:
    """One token in ten is output."""
    return Tokens(total - total // 10, 0, 0, total // 10, 0, total)


def count(total: object, last: object, **more: object) -> Line:
    """A ``token_count``; numbers stand for what uses so many tokens."""
    totals = counts(use(total)) if isinstance(total, int) else total
    last = counts(use(last)) if isinstance(last, int) else last
    info = {"total_token_usage": totals, "last_token_usage": last, **more}
    return event("token_count", info=info, rate_limits=None)


def of_limit(line: Line, limit: str) -> Line:
    return {**line, "payload": {**line["payload"], "rate_limits": {"limit_id": limit}}}


def at(stamp: object, line: Line) -> Line:
    return {**line, "timestamp": stamp}


def record(total: int, number: int = 1, thread_id: str = THREAD_ID) -> Line:
    fields = {"thread_id": thread_id, "response_id": f"resp_{number}", "usage": counts(use(total))}
    return envelope("token_usage_record", fields)


def usage_of(*lines: Line, front: Line | None = None) -> FileUsage:
    """What a file with these lines tells; it goes on from the state before each of them."""
    reducer = UsageReducer()
    for line in read_lines(content(front or meta(), *lines), 2**20):
        value = parse_line(line)  # type: ignore[arg-type]
        if isinstance(value, dict):
            reducer = UsageReducer(reducer.usage())
            reducer.apply(value, line.offset)
    return reducer.usage()


def totals(found: FileUsage) -> list[tuple[int, int]]:
    """Tokens and responses of each row."""
    return [(sums.total, sums.responses) for sums in found.rows.values()]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([count(100, 100), count(300, 200)], (300, 2), id="one counter"),
        pytest.param([count(100, 100), count(100, 100)], (100, 1), id="repeated"),
        pytest.param(
            [count(100, 100), event("token_count", info=None), count(100, 100)],
            (200, 2),
            id="a counter that begins again with the same counts",
        ),
        pytest.param(
            [count(100, 100), count(300, 200), event("token_count", info=None), count(300, 200)],
            (300, 2),
            id="a counter that goes on although another began",
        ),
        pytest.param([count(500, 500), count(90, 90), count(150, 60)], (650, 3), id="begins again"),
        pytest.param(
            [count(500, 500), count(90, 90), count(1000, 500), count(190, 100)],
            (1190, 4),
            id="two counters in turn",
        ),
        pytest.param([count(500, 500), count(400, 100)], (600, 2), id="went back"),
        pytest.param(
            [count(500, 500), count(500, counts(Tokens(total=77))), count(600, 100)],
            (600, 2),
            id="an estimate",
        ),
        pytest.param(
            [
                count(500, 500),
                count(counts(Tokens(total=9000)), counts(Tokens(total=8500))),
                count(counts(Tokens(90, 0, 0, 10, 0, 9100)), 100),
            ],
            (600, 2),
            id="a full context",
        ),
        pytest.param([count(100, 100), count(450, 150)], (450, 3), id="a missing line"),
        pytest.param([count(450, 150)], (150, 1), id="a counter that began in another file"),
        pytest.param(
            [
                of_limit(count(100, 100), "a"),
                of_limit(count(100, 100), "b"),
                of_limit(count(150, 50), "a"),
                of_limit(count(107, 7), "b"),
                of_limit(count(200, 50), "a"),
                of_limit(count(114, 7), "b"),
            ],
            (314, 6),
            id="two counters that begin with the same counts",
        ),
        pytest.param(
            [
                of_limit(count(100, 100), "a"),
                of_limit(count(100, 100), "b"),
                of_limit(count(200, 100), "b"),
                of_limit(count(200, 100), "a"),
                of_limit(count(300, 100), "a"),
            ],
            (300, 3),
            id="one counter, repeated with two limits",
        ),
        pytest.param(
            [count(100, 100), count(450, 150, model_context_window=199)],
            (250, 2),
            id="more than one response can have used",
        ),
        pytest.param([record(100), count(100, 100)], (100, 1), id="a record and its count"),
        pytest.param(
            [count(100, 100), record(100), count(200, 100), record(100, 2)],
            (200, 2),
            id="a count and its record",
        ),
        pytest.param(
            [count(100, 100), record(70), count(100, counts(Tokens(total=30))), count(300, 200)],
            (370, 3),
            id="a record alone",
        ),
        pytest.param([record(70), record(70)], (70, 1), id="a record twice"),
        pytest.param([record(70), record(70, 2)], (140, 2), id="two records"),
        pytest.param([record(70, 1, FOREIGN_ID)], None, id="another thread's record"),
        pytest.param([record(70, 1, THREAD_ID.upper())], (70, 1), id="an id in capitals"),
        pytest.param(
            [
                count(100, 100),
                event("entered_review_mode"),
                event("token_count", info=None),
                count(70, 70),
                event("exited_review_mode"),
                turn(),
                count(100, 100),
            ],
            (100, 1),
            id="a review that has a file of its own",
        ),
        pytest.param(
            [
                count(100, 100),
                event("entered_review_mode"),
                turn(model=None, effort=None),
                count(300, 200),
            ],
            (300, 2),
            id="a review in this file",
        ),
        pytest.param([count({"total_tokens": 5}, {})], None, id="nothing but a total"),
        pytest.param(
            [event("token_count", info={"last_token_usage": counts(use(70))})],
            (70, 1),
            id="no total",
        ),
        pytest.param(
            [
                event("token_count", info={"total_token_usage": counts(use(total))})
                for total in (70, 100)
            ],
            (100, 2),
            id="no last",
        ),
    ],
)
def test_lines_tell_responses(lines: list[Line], expected: tuple[int, int] | None) -> None:
    assert totals(usage_of(*lines)) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("wrong", "odd", "total"),
    [
        (-1, 1, 10),
        (2**41, 1, 10),
        (2**70, 1, 10),
        (1.5, 1, 10),
        ("90", 1, 10),
        ([], 1, 10),
        (True, 1, 10),
        (90.0, 0, 100),
        (None, 0, 10),
    ],
)
def test_what_is_no_count_is_nothing_and_told(wrong: object, odd: int, total: int) -> None:
    last = {"input_tokens": wrong, "output_tokens": 10}
    found = usage_of(count(last, last))
    assert totals(found) == [(total, 1)]
    assert found.odd == odd
    assert found.odd_at == (len(encode(meta())) + 1 if odd else None)


@pytest.mark.parametrize(
    "info", [5, "x", [], {}, {"total_token_usage": 5}, {"last_token_usage": 5}]
)
def test_an_info_of_another_kind_tells_nothing(info: object) -> None:
    assert usage_of(event("token_count", info=info, rate_limits=info)).rows == {}


@pytest.mark.parametrize(
    ("stamp", "hour"),
    [
        ("2026-10-15T07:59:59.999Z", HOUR),
        ("2026-10-15T09:00:00.000+01:00", HOUR + 1),
        ("0001-01-02T00:00:00.000Z", -17_259_864),
        ("9999-12-30T23:59:59.999Z", 70_389_503),
        ("0001-01-01T00:00:00.000+05:00", HOUR),
        ("9999-12-31T00:00:00.000Z", HOUR),
        ("yesterday", HOUR),
        (None, HOUR),
        (5, HOUR),
    ],
)
def test_a_time_that_cannot_be_read_is_the_latest_that_could(stamp: object, hour: int) -> None:
    (key,) = usage_of(at(stamp, count(100, 100))).rows
    assert key.hour == hour
    without_any = usage_of(at("x", count(100, 100)), front=at("x", meta()))
    assert [key.hour for key in without_any.rows] == [0]


def test_a_row_is_of_a_model_provider_effort_tier_and_length() -> None:
    found = usage_of(
        turn(model="gpt-5", effort="high"),
        count(100, 100),
        settings_applied(model="o3", model_provider_id="azure", service_tier="priority"),
        count(300, 200),
        settings_applied(service_tier="default", reasoning_effort="low"),
        count(320_300, 320_000),
    )
    assert {key: sums.total for key, sums in found.rows.items()} == {
        UsageKey(HOUR, "gpt-5", "mock", "high", "", 0): 100,
        UsageKey(HOUR, "o3", "azure", "", "priority", 0): 200,
        UsageKey(HOUR, "o3", "azure", "low", "", 272_000): 320_000,
    }
    assert [long_context_of(count) for count in (0, 128_000, 128_001)] == [0, 0, 128_000]


def test_copied_lines_are_another_threads() -> None:
    """Up to the first turn that is younger than the thread, or a record of it."""
    front = meta(forked_from_id=FOREIGN_ID)
    copied = [meta(FOREIGN_ID), turn(turn_id=OLDER), count(100, 100), record(70, 1, FOREIGN_ID)]
    late = at("2026-10-16T07:00:00.000Z", count(300, 200))
    assert totals(usage_of(*copied, late, front=front)) == []
    own = [event("task_started", turn_id=OWN), count(450, 150)]
    assert totals(usage_of(*copied, late, *own, front=front)) == [(150, 1)]
    assert totals(usage_of(*copied, record(40), front=front)) == [(40, 1)]


def test_copies_without_turns_that_have_ids_end_with_a_pause() -> None:
    front = meta(forked_from_id=FOREIGN_ID)
    copied = [turn(turn_id=None), count(100, 100), turn(turn_id="auto-compact-0"), count(300, 200)]
    older = [at("2026-10-01T07:00:00.000Z", line) for line in copied]
    for lines in (copied, older):
        assert totals(usage_of(*lines, count(450, 150), front=front)) == []
        own = [at("2026-10-15T07:00:08.323Z", turn(turn_id=None)), count(450, 150)]
        assert totals(usage_of(*lines, *own, front=front)) == [(150, 1)]
        late = at("2026-10-15T07:00:10.000Z", count(450, 150))
        assert totals(usage_of(*lines, late, front=front)) == [(150, 1)]


def test_a_turn_with_an_id_of_another_kind_is_no_copied_one_after_a_pause() -> None:
    front = meta(forked_from_id=FOREIGN_ID)
    copied = [turn(turn_id=OLDER), count(100, 100)]
    compacted = [*copied, turn(turn_id="auto-compact-0"), count(300, 200)]
    assert totals(usage_of(*compacted, front=front)) == []
    own = [
        at("2026-10-15T07:00:09.323Z", turn(turn_id="t")),
        at("2026-10-15T07:00:09.400Z", count(150, 50)),
    ]
    assert totals(usage_of(*copied, *own, front=front)) == [(50, 1)]


def test_a_subagents_history_begins_at_an_ordinal() -> None:
    front = meta(subagent_history_start_ordinal=2, source={"subagent": {}})
    lines = [{**count(100, 100), "ordinal": 1}, {**count(300, 200), "ordinal": 2}]
    assert totals(usage_of(*lines, front=front)) == [(200, 1)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([count(900, 200)], [(200, 1)]),
        ([count(900, 200), event("task_complete", error=None)], [(200, 1)]),
        ([count(900, 200), event("task_complete", error={"message": "no"})], []),
        ([count(900, 200), event("turn_aborted", reason="interrupted")], []),
        ([count(900, 200), record(50), count(950, 50)], [(50, 1)]),
        ([record(200), count(900, 200), event("turn_aborted")], [(200, 1)]),
        ([count(200, 200), event("turn_aborted")], []),
        ([record(200), count(200, 200), event("turn_aborted")], [(200, 1)]),
    ],
)
def test_a_first_turn_that_fails_repeats_what_is_inherited(
    lines: list[Line], expected: list[tuple[int, int]]
) -> None:
    base = {"thread_id": FOREIGN_ID, "end_ordinal_exclusive": 9, "end_byte_offset": 99}
    assert totals(usage_of(*lines, front=meta(history_base=base))) == expected


def limited(limit: object, used: object, stamp: str, **more: object) -> Line:
    snapshot = {"limit_id": limit, "primary": used, "secondary": None, **more}
    return at(stamp, event("token_count", info=None, rate_limits=snapshot))


def test_the_newest_rate_limits_of_each_name_are_kept() -> None:
    nested: Any = 1
    for _ in range(700):
        nested = [nested]
    found = usage_of(
        limited("codex", {"used_percent": 1.0}, "2026-10-15T07:00:00.000Z"),
        limited(None, {"used_percent": 2.0}, "2026-10-15T07:00:01.000Z", at_ms="x"),
        limited("codex", {"used_percent": 3.0}, "2026-10-15T07:00:02.000Z"),
        limited("big", {"x": "x" * 5000}, "2026-10-15T07:00:03.000Z"),
        limited("deep", nested, "2026-10-15T07:00:04.000Z"),
        limited("empty", None, "2026-10-15T07:00:05.000Z"),
        event("token_count", info=None, rate_limits="x"),
    )
    assert found.limits is not None
    assert found.limits.at_ms == 1_792_047_604_000
    told = json.loads(found.limits.value)
    assert told["codex"]["primary"] == {"used_percent": 3.0}
    assert told["codex"]["at_ms"] == 1_792_047_602_000
    assert told[""]["at_ms"] == 1_792_047_601_000
    assert told["big"] == {"at_ms": 1_792_047_603_000}
    assert set(told) == {"codex", "", "big", "deep"}
    assert usage_of(count(100, 100)).limits is None


@pytest.mark.parametrize("depth", [300, 1000])
@pytest.mark.parametrize("name", ["x", "model_context_window", "input_tokens"])
def test_deep_values_tell_nothing(depth: int, name: str) -> None:
    deep = b"[" * depth + b"]" * depth
    fields = counts(use(100)) | ({"input_tokens": "HERE"} if name == "input_tokens" else {})
    del fields["cache_write_input_tokens"]
    line = encode(count(fields, fields | {"x": "HERE"}, **{name: "HERE"}))
    nested = line.replace(b'"HERE"', deep)
    reducer = UsageReducer()
    for one in read_lines(content(meta(), nested, nested), 2**20):
        value = parse_line(one)  # type: ignore[arg-type]
        assert isinstance(value, dict)
        reducer.apply(value, one.offset)
    assert sum(sums.responses for sums in reducer.usage().rows.values()) == 1


def test_what_is_kept_for_the_next_pass_stays_small() -> None:
    lines: list[Line] = []
    for number in range(300):
        lines += [record(1000 + number, number), limited(f"{number}" * 90, {"a": 1}, "x")]
        lines += [count(5000 + 7 * number, 5000 + 7 * number)]
    found = usage_of(*lines)
    assert len(found.state) < 5000
    assert found.limits is not None
    assert len(found.limits.value) < 5000
