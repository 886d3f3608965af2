"""What may be skipped by its first bytes: the same comes of it as of parsing every line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl.reader import HEAD_BYTES
from rollout.metadata.extract import extract_file
from rollout.metadata.model import metadata_values
from rollout.metadata.outcomes import Extracted
from tests.rollout.metadata.reading import CASES, agree, metadata_of, skipped
from tests.samples import strategies
from tests.samples.rollouts import (
    CORPUS,
    FOREIGN_ID,
    THREAD_ID,
    TURN_ID,
    RolloutLine,
    agent,
    content,
    corpus_rollouts,
    encode,
    event,
    goal,
    item,
    meta,
    reduce_file,
    reduce_lines,
    response,
    rollout_path,
    settings_applied,
    text_part,
    tokens,
    turn,
    user,
)
from tests.support.each import each
from tests.support.effort import examples


def test_skipping_tells_the_same_as_parsing_every_line_of_real_files() -> None:
    def skips_nothing_that_counts(path: str) -> None:
        agree(extract_file(CORPUS, path), reduce_file(CORPUS / path))

    each(corpus_rollouts(), skips_nothing_that_counts)


@examples(200)
@given(data=strategies.rollout_bytes(), buffer_bytes=st.integers(HEAD_BYTES, 3000))
def test_skipping_tells_the_same_as_parsing_every_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, buffer_bytes: int
) -> None:
    home = tmp_path_factory.getbasetemp()
    found = skipped(home, data, buffer_bytes)
    agree(found, reduce_file(home / rollout_path()))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([user("a"), user("", audio=["x"])], id="sound after the prompt"),
        pytest.param([tokens(1), json.dumps(tokens(2)).encode()], id="tokens spelled unusually"),
        pytest.param([json.dumps(tokens(1)).encode(), tokens(2)], id="tokens spelled usually"),
        pytest.param(
            [tokens(1), event("token_count", rate_limits=None, info=tokens(2)["payload"]["info"])],
            id="tokens in another key order",
        ),
        pytest.param([tokens(1), *[tokens("?")] * 3], id="a few useless token lines"),
        pytest.param([tokens(1), *[tokens("?")] * 30], id="many useless token lines"),
        pytest.param([tokens(1), event("token_count", info=None)], id="no info"),
        pytest.param([tokens(1), event("token_count", info={})], id="empty info"),
        pytest.param([user(""), user("", images=["x"]), user("a"), goal("g")], id="picture first"),
        pytest.param([goal("g"), agent("b"), user("a")], id="goal first"),
        pytest.param([agent("b"), agent("c"), item("AgentMessage", text_part("d"))], id="agents"),
        pytest.param([item("UserMessage", text_part("a"))], id="item"),
        pytest.param(
            [encode(item("UserMessage", text_part("a"))).replace(b'"User', rb'"\u0055ser')],
            id="an escape in the item's type",
        ),
        pytest.param([turn(model="m"), response("x"), turn(model="n")], id="turns"),
    ],
)
def test_skipping_tells_the_same_as_parsing(tmp_path: Path, lines: list[RolloutLine]) -> None:
    agree(skipped(tmp_path, content(meta(), *lines)), reduce_lines(meta(), *lines))


def counts(total: int, limit: str | None = None, used: int | None = None) -> dict[str, Any]:
    """A ``token_count`` with a rate limit."""
    usage = {"input_tokens": total, "output_tokens": 1, "total_tokens": total + 1}
    info = {"total_token_usage": usage, "last_token_usage": usage}
    primary = {"used_percent": used} if used is not None else None
    return event("token_count", info=info, rate_limits={"limit_id": limit, "primary": primary})


DEEP = json.loads("[" * 300 + "]" * 300)
AGAIN = [
    *[counts(1), counts(1, "a", 5), counts(1, "b", 5), counts(2, "a", 5), counts(2, "a", 6)],
    *[event("token_count", info=None), event("token_count", info={}, rate_limits=None)],
    event("token_count", info=counts(3)["payload"]["info"], rate_limits={"credits": DEEP}),
    counts(1, "a", 5) | {"timestamp": "twice"},
    *[meta(), meta(FOREIGN_ID), meta(forked_from_id=FOREIGN_ID), turn(), response("x"), b"no JSON"],
    *[event("entered_review_mode"), event("exited_review_mode"), event("turn_aborted")],
]
TIMES = ["2026-01-31T00:00:00.000Z", "2026-02-28T23:59:59.999Z", "2026-02-30T00:00:00.000Z"]
TIMES += ["2026-03-01T12:00:00.500Z", "2026-03-01T25:00:00.000Z", "2026-03-01T12:00:00.5000"]


@examples(300)
@given(
    st.lists(st.tuples(st.sampled_from(AGAIN), st.sampled_from(TIMES)), max_size=20),
    st.lists(st.integers(0, 15) | st.none(), min_size=20, max_size=20),
    st.sampled_from(["legacy", "paginated"]),
)
def test_repeated_counts_tell_the_same_skipped_or_parsed(
    tmp_path_factory: pytest.TempPathFactory,
    again: list[tuple[dict[str, Any] | bytes, str]],
    ordinals: list[int | None],
    mode: str,
) -> None:
    home = tmp_path_factory.getbasetemp()
    lines: list[RolloutLine] = [meta(history_mode=mode)]
    for (line, at), ordinal in zip(again, ordinals, strict=False):
        if isinstance(line, bytes):
            lines.append(line)
        elif line["timestamp"] == "twice":
            lines.append(encode(line | {"timestamp": at})[:-1] + b',"timestamp":"%b"}' % b"twice")
        else:
            numbered = {} if ordinal is None else {"ordinal": ordinal}
            lines.append({"timestamp": at} | numbered | line | {"timestamp": at})
    found = skipped(home, content(*lines))
    agree(found, reduce_file(home / rollout_path()))


def test_of_repeated_counts_the_last_time_counts(tmp_path: Path) -> None:
    lines = [counts(1, "a", 5) | {"timestamp": at} for at in (TIMES[1], TIMES[1], TIMES[3])]
    found = skipped(tmp_path, content(meta(), *lines))
    assert isinstance(found, Extracted)
    assert found.usage.limits is not None
    assert found.usage.limits.at_ms == 1772366400500


@pytest.mark.parametrize("length", [10, 5000])
def test_counts_of_a_review_do_not_repeat_those_before_it(tmp_path: Path, length: int) -> None:
    """However long the line is that begins the review."""
    review = event("entered_review_mode", user_facing_hint="x" * length)
    lines = [meta(), counts(1, "a", 5), review, counts(1, "a", 5) | {"timestamp": TIMES[3]}]
    agree(skipped(tmp_path, content(*lines), 600), reduce_lines(*lines))


def test_an_unended_token_count_is_later_than_those_before_it(tmp_path: Path) -> None:
    found = skipped(tmp_path, content(meta(), tokens(1), tokens(2))[:-1])
    assert isinstance(found, Extracted)
    assert found.metadata.tokens_used == 2


@pytest.mark.parametrize("length", [10, 600, 5000])
def test_a_token_count_longer_than_the_buffer_is_in_its_place(tmp_path: Path, length: int) -> None:
    long = event("token_count", info=tokens(2)["payload"]["info"], rate_limits="x" * length)
    for lines, expected in (([tokens(1), long], 2), ([long, tokens(1)], 1)):
        found = skipped(tmp_path, content(meta(), *lines), 600)
        assert isinstance(found, Extracted)
        assert found.metadata.tokens_used == expected


@pytest.mark.parametrize("length", [*range(300, 500, 7), 700, 5000])
def test_an_item_is_not_skipped_before_its_type_has_been_read(tmp_path: Path, length: int) -> None:
    """Where long ids push the type over the end of the buffer."""
    line = item("UserMessage", text_part("a" * 600))
    line["payload"]["turn_id"] = "t" * length
    found = skipped(tmp_path, content(meta(), line), 600)
    assert isinstance(found, Extracted)
    assert found.metadata.preview == "a" * 600


def test_a_file_of_nothing_but_needless_lines_still_is_a_thread(tmp_path: Path) -> None:
    """Its identity is in its name."""
    found = skipped(tmp_path, content(response("x"), event("task_started", turn_id=TURN_ID)))
    assert isinstance(found, Extracted), found
    assert found.metadata.id == THREAD_ID


def test_a_bare_line_after_a_skipped_one_is_no_session_meta(tmp_path: Path) -> None:
    bare = {"id": FOREIGN_ID, "timestamp": "2025-08-10T09:00:00.123Z"}
    lines = [response("x"), bare, turn()]
    agree(skipped(tmp_path, content(*lines)), reduce_lines(*lines))


@CASES
@given(strategies.lines, st.binary(max_size=200))
def test_no_line_makes_a_reducer_fail(first: bytes, second: bytes) -> None:
    reduce_lines(first, second)


@pytest.mark.parametrize(
    "line",
    [
        meta(source={"custom": "\ud800"}),
        meta(source={"\ud800": 1}),
        meta(history_mode={"a": "\ud800"}),
        meta(history_mode="\ud800"),
        meta(history_mode={"a": 2**70, "b": "\ud800"}),
        meta(history_base={"a": "\ud800"}),
        meta(dynamic_tools=[{"name": "\ud800", "inputSchema": {"a": "\ud800"}}]),
        meta(cwd="/\ud800", git={"branch": "\ud800"}),
        meta(**{"\ud800": 1}),
        user("\ud800"),
        user("x", **{"\ud800": ["\ud800"]}),
        item("UserMessage", text_part("\ud800"), {"\ud800": 1}),
        turn(model="\ud800", sandbox_policy={"mode": "\ud800", "\ud800": 1}),
        turn(permission_profile={"a": "\ud800"}, approval_policy={"\ud800": 1}),
        settings_applied(cwd="\ud800", model="\ud800"),
        goal("\ud800"),
        agent("\ud800"),
    ],
)
def test_a_lone_surrogate_anywhere_gives_metadata_that_a_database_takes(
    line: dict[str, Any],
) -> None:
    reducer = reduce_lines(meta(), line) if line["type"] != "session_meta" else reduce_lines(line)
    for value in metadata_values(reducer.metadata):
        str(value).encode()
    for tool in reducer.tools or []:
        repr(tool).encode()


@pytest.mark.parametrize("depth", [300, 900])
@pytest.mark.parametrize("field", ["source", "history_mode", "history_base", "dynamic_tools"])
def test_a_deeply_nested_field_does_not_cost_the_thread(field: str, depth: int) -> None:
    nested = b'{"custom":' * depth + b"1" + b"}" * depth
    if field == "dynamic_tools":
        nested = b'[{"name":"t","inputSchema":' + nested + b"}]"
    line = encode(meta(**{field: "HERE"})).replace(b'"HERE"', nested)
    assert metadata_of(line).id == THREAD_ID


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "NaN", "Infinity", "9" * 5000])
def test_a_number_beyond_all_bounds_does_not_cost_the_thread(number: str) -> None:
    reducer = reduce_lines(
        encode(meta(history_mode="HERE")).replace(b'"HERE"', b'{"a":%s}' % number.encode()),
        encode(tokens("HERE")).replace(b'"HERE"', number.encode()),
    )
    assert reducer.metadata.id == THREAD_ID
    assert 0 <= reducer.metadata.tokens_used < 2**63


def numbered(*ordinals: int | None) -> list[dict[str, Any]]:
    """A paginated file whose lines have these ordinals; kinds that are parsed, passed over, and
    set apart."""
    started = event("task_started", turn_id=TURN_ID)
    kinds = [turn(), response("x"), tokens(1), event("agent_reasoning", text="r"), started]
    lines = [meta(history_mode="paginated"), *(kinds[i % 5] for i in range(len(ordinals) - 1))]
    return [
        line if ordinal is None else {"timestamp": line["timestamp"], "ordinal": ordinal, **line}
        for line, ordinal in zip(lines, ordinals, strict=True)
    ]


@pytest.mark.parametrize(
    ("ordinals", "left_out"),
    [
        ([*range(12)], 0),
        ([0, 1, 2, 3, 4, 2, 3, 4, 5, 6], 3),
        ([0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6], 5),
        ([0, 0, 0, 0, 0, 0], 5),
        ([0, 5, 9, 20, 21], 0),
        ([0, 1, None, 2, None, None, 3], 3),
        ([3, 2**64, 4, 2**63, 10**18, 5], 3),
    ],
)
@pytest.mark.parametrize("buffer_bytes", [600, 2**18])
def test_lines_whose_ordinals_do_not_follow_are_counted(
    tmp_path: Path, ordinals: list[int | None], left_out: int, buffer_bytes: int
) -> None:
    lines = numbered(*ordinals)
    reducer = reduce_lines(*lines)
    assert reducer.left_out == left_out
    agree(skipped(tmp_path, content(*lines), buffer_bytes), reducer)
    legacy = [meta(), *lines[1:]]
    assert reduce_lines(*legacy).left_out == 0
