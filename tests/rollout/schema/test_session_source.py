"""Where a thread came from, as stored and as the API says it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.schema.session_source import (
    INTERACTIVE_KINDS,
    SOURCE_KINDS,
    api_source,
    kinds_selected,
    source_kind,
    source_object,
    stored_source,
    thread_spawn,
)
from tests.samples.rollouts import FOREIGN_ID
from tests.support.effort import examples

SPAWN: dict[str, Any] = {"parent_thread_id": FOREIGN_ID, "depth": 1}
SPAWN_STORED = {**SPAWN, "agent_path": None, "agent_nickname": None, "agent_role": None}

ROWS: list[tuple[Any, Any, str]] = [
    ("cli", "cli", "cli"),
    ("vscode", "vscode", "vscode"),
    (None, "vscode", "vscode"),
    ("exec", "exec", "exec"),
    ("mcp", "appServer", "appServer"),
    ("unknown", "unknown", "unknown"),
    ("appServer", "unknown", "unknown"),
    ("app_server", "unknown", "unknown"),
    ("", "unknown", "unknown"),
    ("CLI", "unknown", "unknown"),
    ("{", "unknown", "unknown"),
    ({"custom": "atlas"}, {"custom": "atlas"}, "custom:atlas"),
    ({"custom": "chatgpt"}, {"custom": "chatgpt"}, "custom:chatgpt"),
    ({"custom": "x"}, {"custom": "x"}, "custom"),
    ({"subagent": "review"}, {"subAgent": "review"}, "subAgentReview"),
    ({"subagent": "compact"}, {"subAgent": "compact"}, "subAgentCompact"),
    (
        {"subagent": "memory_consolidation"},
        {"subAgent": "memory_consolidation"},
        "subAgent",
    ),
    (
        {"subagent": {"thread_spawn": SPAWN}},
        {"subAgent": {"thread_spawn": SPAWN_STORED}},
        "subAgentThreadSpawn",
    ),
    ({"subagent": {"other": "guardian"}}, {"subAgent": {"other": "guardian"}}, "subAgentOther"),
    ({"internal": "guardian"}, "unknown", "internal"),
    ({"internal": "memory_consolidation"}, "unknown", "internal"),
    ({"of": "the future"}, "unknown", "unknown"),
    ({}, "unknown", "unknown"),
]


@pytest.mark.parametrize(("value", "api", "kind"), ROWS)
def test_a_source_has_one_stored_form_one_api_form_and_one_kind(
    value: Any, api: Any, kind: str
) -> None:
    stored = stored_source(value)
    assert api_source(stored) == api
    assert source_kind(stored) == kind


@pytest.mark.parametrize("value", [row[0] for row in ROWS if isinstance(row[0], dict)])
def test_an_object_is_stored_as_compact_json(value: dict[str, Any]) -> None:
    stored = stored_source(value)
    assert stored == json.dumps(json.loads(stored), separators=(",", ":"))
    if value != {"subagent": {"thread_spawn": SPAWN}}:
        assert json.loads(stored) == value


def test_a_spawned_source_is_stored_with_all_its_known_keys_and_no_other() -> None:
    stored = stored_source({"subagent": {"thread_spawn": {**SPAWN, "new_key": 1}}})
    assert json.loads(stored) == {"subagent": {"thread_spawn": SPAWN_STORED}}
    assert thread_spawn(stored) == SPAWN_STORED


@pytest.mark.parametrize("value", ["cli", None, {"subagent": "review"}, {"subagent": 5}, {}, ""])
def test_only_a_spawned_thread_has_a_spawn(value: str | dict[str, Any] | None) -> None:
    assert thread_spawn(value) is None


def test_a_source_that_was_cut_is_unknown() -> None:
    stored = stored_source({"custom": "x" * 5000})[:4096]
    assert source_object(stored) is None
    assert (source_kind(stored), api_source(stored)) == ("unknown", "unknown")


def test_interactive_kinds_are_what_a_list_shows_by_itself() -> None:
    assert kinds_selected([]) == INTERACTIVE_KINDS
    shown = {source_kind(stored_source(row[0])) for row in ROWS} & INTERACTIVE_KINDS
    assert shown == {"cli", "vscode", "custom:atlas", "custom:chatgpt"}


def test_the_kind_subagent_selects_every_sort_of_it() -> None:
    assert kinds_selected(["subAgent"]) == {kind for kind in SOURCE_KINDS if "subAgent" in kind}
    assert kinds_selected(["subAgentReview", "exec"]) == {"subAgentReview", "exec"}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["subagent", "custom", "internal", "thread_spawn", "other"])


@examples(150)
@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=2), max_size=2))
def test_any_object_has_a_kind_and_an_api_form(value: dict[str, Any]) -> None:
    stored = stored_source(value)
    assert isinstance(source_kind(stored), str)
    json.dumps(api_source(stored))


@examples(80)
@given(st.text(max_size=30))
def test_any_stored_text_has_a_kind_and_an_api_form(stored: str) -> None:
    assert isinstance(source_kind(stored), str)
    json.dumps(api_source(stored))
