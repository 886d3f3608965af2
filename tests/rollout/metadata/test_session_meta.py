"""The rules for ``session_meta``: identity, lineage, sources and tools."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.files.layout import parse_name
from rollout.metadata.model import ToolMetadata, complete_metadata, initial_metadata
from rollout.schema.times import time_ms
from tests.rollout.metadata.reading import CASES, metadata_of
from tests.samples.rollouts import (
    FOREIGN_ID,
    THREAD_ID,
    TURN_ID,
    RolloutLine,
    meta,
    reduce_lines,
    turn,
    user,
)


def test_the_first_session_meta_gives_the_identity() -> None:
    found = metadata_of(meta(FOREIGN_ID))
    assert (found.id, found.session_id) == (FOREIGN_ID, FOREIGN_ID)


def test_an_id_is_stored_in_its_canonical_spelling() -> None:
    assert metadata_of(meta(FOREIGN_ID.upper().replace("-", ""))).id == FOREIGN_ID


@pytest.mark.parametrize("thread_id", [None, 5, "", "no id", [FOREIGN_ID]])
def test_without_a_readable_id_the_name_gives_the_identity(thread_id: object) -> None:
    found = metadata_of(meta(thread_id))
    assert found.id == THREAD_ID
    assert found.cwd == "/work/demo"


def test_without_a_session_meta_the_name_gives_identity_and_time() -> None:
    found = metadata_of(turn(), user("a"))
    assert (found.id, found.session_id, found.created_at_ms) == (
        THREAD_ID,
        THREAD_ID,
        1_792_047_600_000,
    )
    assert (found.source, found.originator, found.model_provider) == ("vscode", None, None)
    assert (found.cli_version, found.preview, found.cwd) == ("", "a", "/work/demo")


def test_a_session_meta_counts_wherever_it_stands() -> None:
    found = metadata_of(user("a"), b"garbage", meta(FOREIGN_ID, source="exec"))
    assert (found.id, found.source, found.preview) == (FOREIGN_ID, "exec", "a")


FIRST_WINS = {
    "timestamp": ("created_at_ms", "2020-01-01T00:00:00Z"),
    "originator": ("originator", "later"),
    "history_mode": ("history_mode", "paginated"),
    "session_id": ("session_id", FOREIGN_ID),
    "forked_from_id": ("forked_from_id", FOREIGN_ID),
    "history_base": ("history_base", {"thread_id": FOREIGN_ID}),
}


LAST_WINS = {
    "source": ("source", "exec", "exec"),
    "thread_source": ("thread_source", "user", "user"),
    "model_provider": ("model_provider", "later", "later"),
    "cli_version": ("cli_version", "9.9", "9.9"),
    "cwd": ("cwd", "/later/", "/later"),
    "agent_nickname": ("agent_nickname", "nick", "nick"),
    "agent_role": ("agent_role", "role", "role"),
    "agent_type": ("agent_role", "alias", "alias"),
    "agent_path": ("agent_path", "/root/x", "/root/x"),
    "memory_mode": ("memory_mode", "disabled", "disabled"),
    "parent_thread_id": ("parent_thread_id", FOREIGN_ID.upper(), FOREIGN_ID),
}


@pytest.mark.parametrize("field", FIRST_WINS)
def test_a_later_own_session_meta_does_not_change_what_the_first_decided(field: str) -> None:
    column, value = FIRST_WINS[field]
    first = metadata_of(meta())
    assert metadata_of(meta(), meta(**{field: value})) == first
    assert getattr(metadata_of(meta(**{field: value})), column) != getattr(first, column)


@pytest.mark.parametrize("field", LAST_WINS)
def test_a_later_own_session_meta_overrides(field: str) -> None:
    column, value, expected = LAST_WINS[field]
    found = metadata_of(meta(), meta(**{field: value}))
    assert getattr(found, column) == expected
    original = metadata_of(meta())
    setattr(original, column, expected)
    assert found == original


@pytest.mark.parametrize("field", [*FIRST_WINS, *LAST_WINS, "git", "dynamic_tools"])
def test_a_foreign_session_meta_changes_nothing_but_the_memory_mode(field: str) -> None:
    value = (FIRST_WINS.get(field) or LAST_WINS.get(field) or ("", {"branch": "x"}))[1]
    reducer = reduce_lines(meta(), meta(FOREIGN_ID, **{field: value}))
    expected = "disabled" if field == "memory_mode" else "enabled"
    assert reducer.metadata == replace(metadata_of(meta()), memory_mode=expected)
    assert reducer.tools == []


def test_a_session_meta_with_an_unreadable_id_is_foreign() -> None:
    assert metadata_of(meta(), meta("?", source="exec", cwd="/x")) == metadata_of(meta())


@pytest.mark.parametrize(
    ("field", "column", "expected"),
    [
        ("source", "source", "vscode"),
        ("thread_source", "thread_source", None),
        ("agent_nickname", "agent_nickname", None),
        ("agent_role", "agent_role", None),
        ("agent_path", "agent_path", None),
        ("model_provider", "model_provider", "mock"),
        ("cli_version", "cli_version", "0.169.0"),
        ("cwd", "cwd", "/work/demo"),
        ("memory_mode", "memory_mode", "disabled"),
    ],
)
def test_what_a_later_own_session_meta_leaves_out_is_reset_or_kept(
    field: str, column: str, expected: str | None
) -> None:
    values = {"thread_source": "user", "agent_nickname": "n", "agent_role": "r", "agent_path": "/r"}
    first = meta(memory_mode="disabled", **values)
    later = meta()
    later["payload"].pop(field, None)
    assert getattr(metadata_of(first, later), column) == expected


def test_git_is_replaced_whole_or_left() -> None:
    def git(*lines: RolloutLine) -> tuple[str | None, str | None, str | None]:
        found = metadata_of(*lines)
        return found.git_sha, found.git_branch, found.git_origin_url

    whole = meta(git={"commit_hash": "abc", "branch": "main", "repository_url": "u"})
    assert git(whole) == ("abc", "main", "u")
    assert git(whole, meta()) == ("abc", "main", "u")
    assert git(whole, meta(git=None)) == ("abc", "main", "u")
    assert git(whole, meta(git={"branch": "next"})) == (None, "next", None)
    assert git(whole, meta(git={})) == (None, None, None)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("legacy", "legacy"),
        ("paginated", "paginated"),
        ("future", "future"),
        ("", ""),
        (None, "null"),
        (5, "5"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
)
def test_any_history_mode_is_kept_as_it_is(mode: object, expected: str) -> None:
    assert metadata_of(meta(history_mode=mode)).history_mode == expected


def test_an_absent_history_mode_is_legacy() -> None:
    assert metadata_of(meta()).history_mode == "legacy"


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-10-15T07:00:08.296Z", 1_792_047_608_296),
        ("2026-10-15T07:00:08Z", 1_792_047_608_000),
        ("2026-10-15T09:00:08.296+02:00", 1_792_047_608_296),
        ("2026-10-15T01:30:08.296-05:30", 1_792_047_608_296),
        ("2026-10-15T07:00:08.296123456Z", 1_792_047_608_296),
        ("2026-10-15T07:00:08.2Z", 1_792_047_608_200),
        ("2026-10-15t07:00:08.296z", 1_792_047_608_296),
        ("2026-10-15 07:00:08.296Z", 1_792_047_608_296),
        ("2026-10-15T07-00-08", 1_792_047_608_000),
        ("1969-12-31T23:59:59.500Z", -500),
    ],
)
def test_the_time_of_creation_is_read_in_any_spelling(timestamp: str, expected: int) -> None:
    assert time_ms(timestamp) == expected
    assert metadata_of(meta(timestamp=timestamp)).created_at_ms == expected


@pytest.mark.parametrize(
    "timestamp",
    ["", "now", "2026-10-15", "20261015T070008Z", "2026-W42-4", 1_792_047_608, None, ["x"]],
)
def test_without_a_readable_time_of_creation_the_name_gives_it(timestamp: object) -> None:
    assert metadata_of(meta(timestamp=timestamp)).created_at_ms == 1_792_047_600_000


@CASES
@given(st.text(max_size=30) | st.datetimes().map(str) | st.from_regex(r"\A[-0-9T:.Z+ ]{0,40}\Z"))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert isinstance(time_ms(text), int | None)


def test_a_name_without_a_time_leaves_the_beginning_of_1970() -> None:
    name = parse_name("rollout-x.jsonl")
    assert name is not None
    found = initial_metadata(name)
    assert (found.id, found.created_at_ms, found.session_id) == ("", 0, None)


@pytest.mark.parametrize(
    "field",
    [
        "session_id",
        "originator",
        "cli_version",
        "source",
        "thread_source",
        "model_provider",
        "git",
        "agent_nickname",
        "agent_role",
        "memory_mode",
        "forked_from_id",
        "dynamic_tools",
        "history_base",
        "timestamp",
        "cwd",
    ],
)
def test_a_field_of_the_wrong_type_costs_only_itself(field: str) -> None:
    """Codex loses the whole line, and with it the thread."""
    absent = meta(history_mode="paginated", forked_from_id=FOREIGN_ID)
    absent["payload"].pop(field, None)
    wrong = meta(history_mode="paginated", forked_from_id=FOREIGN_ID)
    wrong["payload"][field] = 5
    assert metadata_of(wrong) == metadata_of(absent)


def test_unknown_fields_do_not_matter() -> None:
    assert metadata_of(meta(of_the_future={"id": FOREIGN_ID}, model_config=1)) == metadata_of(
        meta()
    )


def test_a_spawned_thread_takes_its_lineage_from_its_source() -> None:
    spawn = {
        "parent_thread_id": FOREIGN_ID,
        "depth": 1,
        "agent_nickname": "n",
        "agent_role": "r",
        "agent_path": "/root/n",
    }
    source = {"subagent": {"thread_spawn": spawn}}
    found = metadata_of(meta(source=source))
    assert (found.parent_thread_id, found.agent_nickname) == (FOREIGN_ID, "n")
    assert (found.agent_role, found.agent_path) == ("r", "/root/n")
    assert json.loads(found.source)["subagent"]["thread_spawn"]["depth"] == 1
    overlaid = metadata_of(meta(source=source, agent_role="own", parent_thread_id=TURN_ID))
    assert (overlaid.agent_role, overlaid.parent_thread_id) == ("own", TURN_ID)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("exec", "exec"),
        ("appServer", "unknown"),
        (None, "vscode"),
        ({"custom": "x"}, '{"custom":"x"}'),
        ({"subagent": "review"}, '{"subagent":"review"}'),
        ({"of": "the future"}, '{"of":"the future"}'),
    ],
)
def test_a_source_is_stored_as_a_word_or_compact_json(source: object, expected: str) -> None:
    assert metadata_of(meta(source=source)).source == expected


def test_a_guardian_has_its_own_title_and_preview_wherever_it_is_shown() -> None:
    found = metadata_of(meta(source={"subagent": {"other": "guardian"}}), user("a"))
    assert (found.title, found.preview) == ("a", "a")
    shown = complete_metadata(found)
    assert (shown.title, shown.preview) == ("Guardian review", "Approval review")
    assert shown.first_user_message == "a"
    assert found.title == "a"


@pytest.mark.parametrize("source", ["cli", {"subagent": {"other": "x"}}, {"custom": "guardian"}])
def test_other_threads_are_shown_as_they_are(source: object) -> None:
    found = metadata_of(meta(source=source), user("a"))
    assert complete_metadata(found) == found


def test_dynamic_tools_are_those_of_the_first_session_meta() -> None:
    tool = {
        "type": "function",
        "name": "look",
        "description": "d",
        "inputSchema": {"b": 1, "a": 2},
        "deferLoading": True,
    }
    reducer = reduce_lines(meta(dynamic_tools=[tool]), meta(dynamic_tools=[{"name": "later"}]))
    assert reducer.tools == [ToolMetadata(None, "look", "d", '{"b":1,"a":2}', True)]


def test_a_namespace_gives_its_name_to_the_tools_in_it() -> None:
    space = {"type": "namespace", "name": "space", "tools": [{"name": "a"}, {"name": "b"}]}
    reducer = reduce_lines(meta(dynamic_tools=[space, {"name": "c", "namespace": "own"}]))
    assert [(tool.namespace, tool.name) for tool in reducer.tools or []] == [
        ("space", "a"),
        ("space", "b"),
        ("own", "c"),
    ]


def test_tools_that_cannot_be_read_leave_the_others() -> None:
    tools = [5, {}, {"name": ""}, {"name": 5}, {"name": "a", "description": 5}, "x"]
    reducer = reduce_lines(meta(dynamic_tools=tools))
    assert reducer.tools == [ToolMetadata(None, "a", "", "null", False)]
