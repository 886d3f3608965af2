"""The rules for settings of turns and threads, and for tokens."""

import json
from typing import Any

import pytest

from tests.rollout.metadata.reading import metadata_of
from tests.samples.rollouts import FOREIGN_ID, envelope, event, meta, settings_applied, tokens, turn


def test_the_last_turn_sets_model_effort_approval_and_sandbox() -> None:
    first = turn(model="a", effort="high", approval_policy="never")
    last = turn(
        model="b",
        effort="low",
        approval_policy="untrusted",
        permission_profile={"type": "managed"},
    )
    found = metadata_of(meta(), first, last)
    assert (found.model, found.reasoning_effort) == ("b", "low")
    assert (found.approval_mode, found.sandbox_policy) == ("untrusted", '{"type":"managed"}')


def test_without_a_turn_the_defaults_hold() -> None:
    found = metadata_of(meta())
    assert (found.model, found.reasoning_effort, found.approval_mode) == (None, None, "on-request")
    assert json.loads(found.sandbox_policy)["type"] == "managed"


def test_a_turn_without_effort_resets_it() -> None:
    line = turn()
    del line["payload"]["effort"]
    assert metadata_of(turn(effort="high"), line).reasoning_effort is None


def test_a_turn_gives_the_folder_only_where_there_is_none() -> None:
    assert metadata_of(meta(), turn(cwd="/turn")).cwd == "/work/demo"
    assert metadata_of(meta(cwd=""), turn(cwd="/a"), turn(cwd="/b")).cwd == "/a"
    assert metadata_of(turn(cwd="/turn"), meta()).cwd == "/work/demo"


@pytest.mark.parametrize(("cwd", "expected"), [("/a/", "/a"), ("/", "/"), ("//", "/"), ("", "")])
def test_a_folder_is_stored_without_a_slash_at_its_end(cwd: str, expected: str) -> None:
    assert metadata_of(meta(cwd=cwd)).cwd == expected


def test_settings_override_the_turn_until_the_next_one() -> None:
    applied = settings_applied(
        cwd="/settings",
        model="s",
        model_provider_id="p",
        reasoning_effort="low",
        approval_policy="untrusted",
        permission_profile={"type": "managed"},
    )
    found = metadata_of(meta(), turn(), applied)
    assert (found.cwd, found.model, found.model_provider) == ("/settings", "s", "p")
    assert (found.reasoning_effort, found.approval_mode) == ("low", "untrusted")
    assert found.sandbox_policy == '{"type":"managed"}'
    later = metadata_of(meta(), turn(), applied, turn(cwd="/turn"))
    assert (later.cwd, later.model, later.model_provider) == ("/settings", "gpt-5.2-codex", "p")
    assert later.approval_mode == "never"


def test_settings_of_a_foreign_thread_count() -> None:
    """A legacy fork copies such lines, and Codex heeds them."""
    line = settings_applied(model="s")
    line["payload"]["thread_id"] = FOREIGN_ID
    assert metadata_of(meta(), turn(), line).model == "s"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("on-failure", "on-request"),
        ("untrusted", "untrusted"),
        ({"granular": {"a": True}}, '{"granular":{"a":true}}'),
        (5, "on-request"),
        (None, "on-request"),
    ],
)
def test_the_approval_policy_is_stored_as_codex_does(policy: object, expected: str) -> None:
    assert metadata_of(meta(), turn(approval_policy=policy)).approval_mode == expected


@pytest.mark.parametrize("key", ["type", "mode"])
def test_an_old_sandbox_policy_becomes_a_permission_profile(key: str) -> None:
    def profile(**policy: object) -> Any:
        line = turn(sandbox_policy=policy)
        del line["payload"]["permission_profile"]
        return json.loads(metadata_of(meta(), line).sandbox_policy)

    assert profile(**{key: "danger-full-access"}) == {"type": "disabled"}
    assert profile(**{key: "read-only"}) == json.loads(metadata_of(meta()).sandbox_policy)
    outside = profile(**{key: "external-sandbox"}, network_access="enabled")
    assert outside == {"type": "external", "network": "enabled"}
    writing = profile(**{key: "workspace-write"}, writable_roots=["/w"], exclude_slash_tmp=True)
    entries = writing["file_system"]["entries"]
    assert {"path": {"type": "path", "path": "/w"}, "access": "write"} in entries
    assert "slash_tmp" not in json.dumps(entries)
    assert "tmpdir" in json.dumps(entries)
    assert writing["network"] == "restricted"


def test_an_unknown_sandbox_policy_leaves_what_was() -> None:
    unknown = turn(permission_profile=None, sandbox_policy={"type": "of the future"}, model="m")
    found = metadata_of(meta(), turn(), unknown)
    assert (found.sandbox_policy, found.model) == ('{"type":"disabled"}', "m")


def test_a_permission_profile_beats_an_old_policy_beside_it() -> None:
    line = turn(permission_profile={"type": "disabled"}, sandbox_policy={"type": "read-only"})
    assert metadata_of(meta(), line).sandbox_policy == '{"type":"disabled"}'


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (120, 120),
        (0, 0),
        (-5, 0),
        (12.9, 12),
        (-0.5, 0),
        ("120", 120),
        (2**53, 2**53),
        (2**63 - 1, 2**63 - 1),
        (2**63, 2**63 - 1),
        (2**70, 2**63 - 1),
        (1e300, 2**63 - 1),
    ],
)
def test_a_total_of_any_number_is_stored_as_a_count(total: object, expected: int) -> None:
    assert metadata_of(meta(), tokens(total)).tokens_used == expected


@pytest.mark.parametrize("total", [2**53 + 1, 2**62 + 1])
def test_a_large_total_is_stored_exactly(total: int) -> None:
    assert metadata_of(meta(), tokens(total)).tokens_used == total


def test_the_last_usable_total_counts_even_if_it_is_lower() -> None:
    assert metadata_of(meta(), tokens(9), tokens(5)).tokens_used == 5
    useless = [tokens("?"), tokens(None), tokens({}), event("token_count", info=None)]
    assert metadata_of(meta(), tokens(9), *useless).tokens_used == 9
    assert metadata_of(meta(), envelope("token_usage_record", {"total_tokens": 9})).tokens_used == 0
