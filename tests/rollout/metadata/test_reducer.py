"""From lines to facts: the rules of docs/rollout-format.md, one by one, and what may be skipped."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.files.layout import parse_name
from rollout.jsonl.parse import BadLine, Line
from rollout.jsonl.reader import HEAD_BYTES, LineReader
from rollout.metadata.extract import Extracted, Unusable, extract_file
from rollout.metadata.model import (
    LONGEST_TEXT,
    ThreadMetadata,
    ToolMetadata,
    complete_metadata,
    initial_metadata,
    metadata_values,
)
from rollout.metadata.reducer import MetadataReducer
from rollout.schema.times import time_ms
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
    envelope,
    event,
    extracted,
    fold_lines,
    goal,
    item,
    meta,
    reduce_file,
    response,
    rollout_name,
    rollout_path,
    settings_applied,
    text_part,
    tokens,
    turn,
    user,
    write_rollout,
)

CASES = settings(max_examples=200)
MARKED = "# Context from my IDE\n## My request for Codex:\n rename it \n"


def facts_of(*lines: RolloutLine) -> ThreadMetadata:
    return fold_lines(*lines).metadata


def skipped(home: Path, data: bytes, buffer_bytes: int = 2**18) -> Extracted | Unusable:
    """What the extractor gives, which parses only what it must."""
    path = write_rollout(home, data)
    return extract_file(home, path, None, LineReader(buffer_bytes))


def agree(found: Extracted | Unusable, fold: MetadataReducer) -> None:
    """Assert that skipping and parsing everything tell the same."""
    if isinstance(found, Unusable):
        assert not fold.usable_lines or not fold.metadata.id
    else:
        facts = found.metadata
        torn = found.resume.end < found.stamp.size
        if fold.bad_lines or torn:  # a line that is passed over is not looked at to its end
            facts = replace(facts, next_ordinal=fold.metadata.next_ordinal)
        else:
            assert (found.left_out, found.left_out_at) == (fold.left_out, fold.left_out_at)
        assert facts == fold.metadata
        assert found.tools == (fold.tools or [])


@pytest.mark.parametrize("path", corpus_rollouts())
def test_skipping_tells_the_same_as_parsing_every_line_of_a_real_file(path: str) -> None:
    agree(extract_file(CORPUS, path), reduce_file(CORPUS / path))


@settings(max_examples=200)
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
    agree(skipped(tmp_path, content(meta(), *lines)), fold_lines(meta(), *lines))


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
    agree(skipped(tmp_path, content(*lines)), fold_lines(*lines))


@CASES
@given(strategies.lines, st.binary(max_size=200))
def test_no_line_makes_a_fold_fail(first: bytes, second: bytes) -> None:
    fold_lines(first, second)


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
def test_a_lone_surrogate_anywhere_gives_facts_that_a_database_takes(
    line: dict[str, Any],
) -> None:
    fold = fold_lines(meta(), line) if line["type"] != "session_meta" else fold_lines(line)
    for value in metadata_values(fold.metadata):
        str(value).encode()
    for tool in fold.tools or []:
        repr(tool).encode()


@pytest.mark.parametrize("depth", [300, 900])
@pytest.mark.parametrize("field", ["source", "history_mode", "history_base", "dynamic_tools"])
def test_a_deeply_nested_field_does_not_cost_the_thread(field: str, depth: int) -> None:
    nested = b'{"custom":' * depth + b"1" + b"}" * depth
    if field == "dynamic_tools":
        nested = b'[{"name":"t","inputSchema":' + nested + b"}]"
    line = encode(meta(**{field: "HERE"})).replace(b'"HERE"', nested)
    assert facts_of(line).id == THREAD_ID


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "NaN", "Infinity", "9" * 5000])
def test_a_number_beyond_all_bounds_does_not_cost_the_thread(number: str) -> None:
    fold = fold_lines(
        encode(meta(history_mode="HERE")).replace(b'"HERE"', b'{"a":%s}' % number.encode()),
        encode(tokens("HERE")).replace(b'"HERE"', number.encode()),
    )
    assert fold.metadata.id == THREAD_ID
    assert 0 <= fold.metadata.tokens_used < 2**63


# -- identity and the session_meta ----------------------------------------------------------


def test_the_first_session_meta_gives_the_identity() -> None:
    facts = facts_of(meta(FOREIGN_ID))
    assert (facts.id, facts.session_id) == (FOREIGN_ID, FOREIGN_ID)


def test_an_id_is_stored_in_its_canonical_spelling() -> None:
    assert facts_of(meta(FOREIGN_ID.upper().replace("-", ""))).id == FOREIGN_ID


@pytest.mark.parametrize("thread_id", [None, 5, "", "no id", [FOREIGN_ID]])
def test_without_a_readable_id_the_name_gives_the_identity(thread_id: object) -> None:
    facts = facts_of(meta(thread_id))
    assert facts.id == THREAD_ID
    assert facts.cwd == "/work/demo"


def test_without_a_session_meta_the_name_gives_identity_and_time() -> None:
    facts = facts_of(turn(), user("a"))
    assert (facts.id, facts.session_id, facts.created_at_ms) == (
        THREAD_ID,
        THREAD_ID,
        1_792_047_600_000,
    )
    assert (facts.source, facts.originator, facts.model_provider) == ("vscode", None, None)
    assert (facts.cli_version, facts.preview, facts.cwd) == ("", "a", "/work/demo")


def test_a_session_meta_counts_wherever_it_stands() -> None:
    facts = facts_of(user("a"), b"garbage", meta(FOREIGN_ID, source="exec"))
    assert (facts.id, facts.source, facts.preview) == (FOREIGN_ID, "exec", "a")


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
    first = facts_of(meta())
    assert facts_of(meta(), meta(**{field: value})) == first
    assert getattr(facts_of(meta(**{field: value})), column) != getattr(first, column)


@pytest.mark.parametrize("field", LAST_WINS)
def test_a_later_own_session_meta_overrides(field: str) -> None:
    column, value, expected = LAST_WINS[field]
    facts = facts_of(meta(), meta(**{field: value}))
    assert getattr(facts, column) == expected
    original = facts_of(meta())
    setattr(original, column, expected)
    assert facts == original


@pytest.mark.parametrize("field", [*FIRST_WINS, *LAST_WINS, "git", "dynamic_tools"])
def test_a_foreign_session_meta_changes_nothing_but_the_memory_mode(field: str) -> None:
    value = (FIRST_WINS.get(field) or LAST_WINS.get(field) or ("", {"branch": "x"}))[1]
    fold = fold_lines(meta(), meta(FOREIGN_ID, **{field: value}))
    expected = "disabled" if field == "memory_mode" else "enabled"
    assert fold.metadata == replace(facts_of(meta()), memory_mode=expected)
    assert fold.tools == []


def test_a_session_meta_with_an_unreadable_id_is_foreign() -> None:
    assert facts_of(meta(), meta("?", source="exec", cwd="/x")) == facts_of(meta())


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
    assert getattr(facts_of(first, later), column) == expected


def test_git_is_replaced_whole_or_left() -> None:
    def git(*lines: RolloutLine) -> tuple[str | None, str | None, str | None]:
        facts = facts_of(*lines)
        return facts.git_sha, facts.git_branch, facts.git_origin_url

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
    assert facts_of(meta(history_mode=mode)).history_mode == expected


def test_an_absent_history_mode_is_legacy() -> None:
    assert facts_of(meta()).history_mode == "legacy"


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
    assert facts_of(meta(timestamp=timestamp)).created_at_ms == expected


@pytest.mark.parametrize(
    "timestamp",
    ["", "now", "2026-10-15", "20261015T070008Z", "2026-W42-4", 1_792_047_608, None, ["x"]],
)
def test_without_a_readable_time_of_creation_the_name_gives_it(timestamp: object) -> None:
    assert facts_of(meta(timestamp=timestamp)).created_at_ms == 1_792_047_600_000


@CASES
@given(st.text(max_size=30) | st.datetimes().map(str) | st.from_regex(r"\A[-0-9T:.Z+ ]{0,40}\Z"))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert isinstance(time_ms(text), int | None)


def test_a_name_without_a_time_leaves_the_beginning_of_1970() -> None:
    name = parse_name("rollout-x.jsonl")
    assert name is not None
    facts = initial_metadata(name)
    assert (facts.id, facts.created_at_ms, facts.session_id) == ("", 0, None)


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
    assert facts_of(wrong) == facts_of(absent)


def test_unknown_fields_do_not_matter() -> None:
    assert facts_of(meta(of_the_future={"id": FOREIGN_ID}, model_config=1)) == facts_of(meta())


# -- sources --------------------------------------------------------------------------------


def test_a_spawned_thread_takes_its_lineage_from_its_source() -> None:
    spawn = {
        "parent_thread_id": FOREIGN_ID,
        "depth": 1,
        "agent_nickname": "n",
        "agent_role": "r",
        "agent_path": "/root/n",
    }
    source = {"subagent": {"thread_spawn": spawn}}
    facts = facts_of(meta(source=source))
    assert (facts.parent_thread_id, facts.agent_nickname) == (FOREIGN_ID, "n")
    assert (facts.agent_role, facts.agent_path) == ("r", "/root/n")
    assert json.loads(facts.source)["subagent"]["thread_spawn"]["depth"] == 1
    overlaid = facts_of(meta(source=source, agent_role="own", parent_thread_id=TURN_ID))
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
    assert facts_of(meta(source=source)).source == expected


def test_a_guardian_has_its_own_title_and_preview_wherever_it_is_shown() -> None:
    facts = facts_of(meta(source={"subagent": {"other": "guardian"}}), user("a"))
    assert (facts.title, facts.preview) == ("a", "a")
    shown = complete_metadata(facts)
    assert (shown.title, shown.preview) == ("Guardian review", "Approval review")
    assert shown.first_user_message == "a"
    assert facts.title == "a"


@pytest.mark.parametrize("source", ["cli", {"subagent": {"other": "x"}}, {"custom": "guardian"}])
def test_other_threads_are_shown_as_they_are(source: object) -> None:
    facts = facts_of(meta(source=source), user("a"))
    assert complete_metadata(facts) == facts


# -- turns and settings ---------------------------------------------------------------------


def test_the_last_turn_sets_model_effort_approval_and_sandbox() -> None:
    first = turn(model="a", effort="high", approval_policy="never")
    last = turn(
        model="b",
        effort="low",
        approval_policy="untrusted",
        permission_profile={"type": "managed"},
    )
    facts = facts_of(meta(), first, last)
    assert (facts.model, facts.reasoning_effort) == ("b", "low")
    assert (facts.approval_mode, facts.sandbox_policy) == ("untrusted", '{"type":"managed"}')


def test_without_a_turn_the_defaults_hold() -> None:
    facts = facts_of(meta())
    assert (facts.model, facts.reasoning_effort, facts.approval_mode) == (None, None, "on-request")
    assert json.loads(facts.sandbox_policy)["type"] == "managed"


def test_a_turn_without_effort_resets_it() -> None:
    line = turn()
    del line["payload"]["effort"]
    assert facts_of(turn(effort="high"), line).reasoning_effort is None


def test_a_turn_gives_the_folder_only_where_there_is_none() -> None:
    assert facts_of(meta(), turn(cwd="/turn")).cwd == "/work/demo"
    assert facts_of(meta(cwd=""), turn(cwd="/a"), turn(cwd="/b")).cwd == "/a"
    assert facts_of(turn(cwd="/turn"), meta()).cwd == "/work/demo"


@pytest.mark.parametrize(("cwd", "expected"), [("/a/", "/a"), ("/", "/"), ("//", "/"), ("", "")])
def test_a_folder_is_stored_without_a_slash_at_its_end(cwd: str, expected: str) -> None:
    assert facts_of(meta(cwd=cwd)).cwd == expected


def test_settings_override_the_turn_until_the_next_one() -> None:
    applied = settings_applied(
        cwd="/settings",
        model="s",
        model_provider_id="p",
        reasoning_effort="low",
        approval_policy="untrusted",
        permission_profile={"type": "managed"},
    )
    facts = facts_of(meta(), turn(), applied)
    assert (facts.cwd, facts.model, facts.model_provider) == ("/settings", "s", "p")
    assert (facts.reasoning_effort, facts.approval_mode) == ("low", "untrusted")
    assert facts.sandbox_policy == '{"type":"managed"}'
    later = facts_of(meta(), turn(), applied, turn(cwd="/turn"))
    assert (later.cwd, later.model, later.model_provider) == ("/settings", "gpt-5.2-codex", "p")
    assert later.approval_mode == "never"


def test_settings_of_a_foreign_thread_count() -> None:
    """A legacy fork copies such lines, and Codex heeds them."""
    line = settings_applied(model="s")
    line["payload"]["thread_id"] = FOREIGN_ID
    assert facts_of(meta(), turn(), line).model == "s"


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
    assert facts_of(meta(), turn(approval_policy=policy)).approval_mode == expected


@pytest.mark.parametrize("key", ["type", "mode"])
def test_an_old_sandbox_policy_becomes_a_permission_profile(key: str) -> None:
    def profile(**policy: object) -> Any:
        line = turn(sandbox_policy=policy)
        del line["payload"]["permission_profile"]
        return json.loads(facts_of(meta(), line).sandbox_policy)

    assert profile(**{key: "danger-full-access"}) == {"type": "disabled"}
    assert profile(**{key: "read-only"}) == json.loads(facts_of(meta()).sandbox_policy)
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
    facts = facts_of(meta(), turn(), unknown)
    assert (facts.sandbox_policy, facts.model) == ('{"type":"disabled"}', "m")


def test_a_permission_profile_beats_an_old_policy_beside_it() -> None:
    line = turn(permission_profile={"type": "disabled"}, sandbox_policy={"type": "read-only"})
    assert facts_of(meta(), line).sandbox_policy == '{"type":"disabled"}'


# -- prompts and previews -------------------------------------------------------------------


def prompts(*lines: RolloutLine) -> tuple[str, str, str]:
    facts = facts_of(meta(), *lines)
    return facts.first_user_message, facts.title, facts.preview


def as_item(message: str, **pictures: object) -> dict[str, Any]:
    """The same prompt as paginated files have it."""
    more = [{"type": "image", "image_url": "x"}] if pictures.get("images") else []
    more += [{"type": "local_image", "path": "x"}] if pictures.get("local_images") else []
    return item("UserMessage", text_part(message), *more)


@pytest.mark.parametrize("prompt", [user, as_item])
def test_the_first_prompt_is_first_message_title_and_preview(prompt: Any) -> None:
    assert prompts(prompt(" hello\n"), prompt("again")) == ("hello", "hello", "hello")


@pytest.mark.parametrize("prompt", [user, as_item])
def test_only_what_follows_the_first_marker_is_the_prompt(prompt: Any) -> None:
    assert prompts(prompt(MARKED))[0] == "rename it"
    twice = "a## My request for Codex:b## My request for Codex:c"
    assert prompts(prompt(twice))[0] == "b## My request for Codex:c"


@pytest.mark.parametrize("prompt", [user, as_item])
@pytest.mark.parametrize("blank", ["", " \n\t", "## My request for Codex:", "\u00a0\u2003"])
def test_a_blank_prompt_is_passed_over(prompt: Any, blank: str) -> None:
    assert prompts(prompt(blank), prompt("a")) == ("a", "a", "a")


@pytest.mark.parametrize("prompt", [user, as_item])
@pytest.mark.parametrize("kind", ["images", "local_images"])
def test_a_picture_alone_is_shown_but_gives_no_title(prompt: Any, kind: str) -> None:
    assert prompts(prompt("", **{kind: ["x"]})) == ("[Image]", "", "[Image]")
    assert prompts(prompt("", **{kind: ["x"]}), prompt("a")) == ("[Image]", "a", "[Image]")
    assert prompts(prompt("a", **{kind: ["x"]})) == ("a", "a", "a")


def test_the_texts_of_an_item_are_put_together() -> None:
    line = item("UserMessage", text_part("a "), {"type": "mention"}, text_part("b"))
    assert prompts(line) == ("a b", "a b", "a b")


def test_a_goal_gives_the_preview_only_if_nothing_came_before() -> None:
    assert prompts(goal("ship"), user("a")) == ("a", "a", "ship")
    assert prompts(user("a"), goal("ship")) == ("a", "a", "a")
    assert prompts(goal(""), goal("first"), goal("second")) == ("", "", "first")


def test_what_only_looks_like_a_prompt_is_none() -> None:
    assert prompts(
        response("x", role="user"),
        envelope("response_item", strategies.BAIT),
        envelope("compacted", {"replacement_history": [strategies.BAIT]}),
        event("of_the_future", item=strategies.BAIT, message="bait"),
        item("Reasoning", text_part("bait")),
        event("agent_reasoning", text=encode(user("bait")).decode()),
    ) == ("", "", "")


def test_a_rollback_undoes_nothing_here() -> None:
    assert prompts(user("a"), event("thread_rolled_back", num_turns=1), user("b"))[0] == "a"


def test_without_a_prompt_the_first_message_of_the_agent_is_the_fallback() -> None:
    for said in (agent, lambda text: item("AgentMessage", {"type": "Text", "text": text})):
        facts = facts_of(meta(), said(" "), said(" first "), said("second"))
        assert (facts.fallback_preview, facts.preview) == ("first", "")


@pytest.mark.parametrize(
    "line",
    [
        user("", audio=["x"]),
        user("", local_audio=["x"]),
        item("UserMessage", {"type": "audio"}),
        item("UserMessage", {"type": "skill"}),
        item("UserMessage", {"type": "mention"}),
    ],
)
def test_without_a_text_an_attachment_is_the_fallback(line: dict[str, Any]) -> None:
    facts = facts_of(meta(), line, agent("later"))
    assert (facts.fallback_preview, facts.preview) == ("[Attachment]", "")


def test_a_text_is_cut_to_what_is_kept_of_it() -> None:
    facts = facts_of(meta(), user("ä" * (LONGEST_TEXT + 5)))
    assert facts.preview == facts.title == facts.first_user_message == "ä" * LONGEST_TEXT


@pytest.mark.parametrize(
    "line",
    [
        user(5),
        user(["x"]),
        user(None),
        event("user_message"),
        item("UserMessage"),
        item("UserMessage", content="text"),
        event("item_completed", item="x"),
        event("item_completed"),
        goal(5),
        event("thread_goal_updated", goal="x"),
        agent(["x"]),
        event("thread_settings_applied", thread_settings=[]),
        event("token_count", info="x"),
    ],
)
def test_a_prompt_of_the_wrong_type_changes_nothing(line: dict[str, Any]) -> None:
    assert facts_of(meta(), line) == facts_of(meta())


# -- tokens ---------------------------------------------------------------------------------


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
    assert facts_of(meta(), tokens(total)).tokens_used == expected


@pytest.mark.parametrize("total", [2**53 + 1, 2**62 + 1])
def test_a_large_total_is_stored_exactly(total: int) -> None:
    assert facts_of(meta(), tokens(total)).tokens_used == total


def test_the_last_usable_total_counts_even_if_it_is_lower() -> None:
    assert facts_of(meta(), tokens(9), tokens(5)).tokens_used == 5
    useless = [tokens("?"), tokens(None), tokens({}), event("token_count", info=None)]
    assert facts_of(meta(), tokens(9), *useless).tokens_used == 9
    assert facts_of(meta(), envelope("token_usage_record", {"total_tokens": 9})).tokens_used == 0


# -- dynamic tools --------------------------------------------------------------------------


def test_dynamic_tools_are_those_of_the_first_session_meta() -> None:
    tool = {
        "type": "function",
        "name": "look",
        "description": "d",
        "inputSchema": {"b": 1, "a": 2},
        "deferLoading": True,
    }
    fold = fold_lines(meta(dynamic_tools=[tool]), meta(dynamic_tools=[{"name": "later"}]))
    assert fold.tools == [ToolMetadata(None, "look", "d", '{"b":1,"a":2}', True)]


def test_a_namespace_gives_its_name_to_the_tools_in_it() -> None:
    space = {"type": "namespace", "name": "space", "tools": [{"name": "a"}, {"name": "b"}]}
    fold = fold_lines(meta(dynamic_tools=[space, {"name": "c", "namespace": "own"}]))
    assert [(tool.namespace, tool.name) for tool in fold.tools or []] == [
        ("space", "a"),
        ("space", "b"),
        ("own", "c"),
    ]


def test_tools_that_cannot_be_read_leave_the_others() -> None:
    tools = [5, {}, {"name": ""}, {"name": 5}, {"name": "a", "description": 5}, "x"]
    fold = fold_lines(meta(dynamic_tools=tools))
    assert fold.tools == [ToolMetadata(None, "a", "", "null", False)]


# -- the bare era ---------------------------------------------------------------------------

BARE_META = {
    "id": FOREIGN_ID,
    "timestamp": "2025-08-10T09:00:00.123Z",
    "instructions": None,
    "git": {"commit_hash": "abc", "branch": "main"},
}


def bare(text: str, role: str = "user") -> dict[str, Any]:
    parts = [{"type": "input_text", "text": text}]
    return {"type": "message", "id": None, "role": role, "content": parts}


def test_a_rollout_of_the_bare_era_is_read() -> None:
    fold = fold_lines(
        BARE_META,
        {"record_type": "state"},
        bare("<user_instructions>\nbe kind</user_instructions>"),
        bare("<environment_context>\n<cwd>/old/home</cwd>\n</environment_context>"),
        bare("hello", role="assistant"),
        bare("count the files"),
        bare("again"),
    )
    facts = fold.metadata
    assert (facts.id, facts.created_at_ms) == (FOREIGN_ID, 1_754_816_400_123)
    assert (facts.git_sha, facts.git_branch, facts.cwd) == ("abc", "main", "/old/home")
    assert (facts.title, facts.preview) == ("count the files", "count the files")
    assert (facts.source, facts.history_mode, fold.bad_lines) == ("vscode", "legacy", 0)


def test_a_picture_of_the_bare_era_is_shown() -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
    assert facts_of(BARE_META, message).preview == "[Image]"


def test_bare_lines_among_enveloped_ones_are_bad() -> None:
    fold = fold_lines(meta(), BARE_META, bare("x"), {"record_type": "state"})
    assert (fold.metadata, fold.bad_lines) == (facts_of(meta()), 3)


# -- lines that are no use, and going on ----------------------------------------------------


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
def test_the_first_bad_line_is_told_with_place_and_reason(line: RolloutLine, reason: str) -> None:
    fold = fold_lines(b"", line, line, meta())
    assert fold.bad_lines == 2
    assert fold.first_bad is not None
    assert fold.first_bad.offset == 1
    assert fold.first_bad.reason.startswith(reason)
    assert (fold.usable_lines, fold.metadata) == (1, facts_of(meta()))


@pytest.mark.parametrize(
    "line", [envelope("of_the_future", None), event("of_the_future"), response("x"), event("")]
)
def test_unknown_and_needless_lines_are_usable(line: dict[str, Any]) -> None:
    fold = fold_lines(line)
    assert (fold.usable_lines, fold.bad_lines) == (1, 0)


@pytest.mark.parametrize("blank", [b"", b" \t", b"\0\0\0", b"\r"])
def test_a_blank_line_is_neither_usable_nor_bad(blank: bytes) -> None:
    fold = fold_lines(blank)
    assert (fold.usable_lines, fold.bad_lines) == (0, 0)


def test_a_bad_line_from_the_reader_is_counted() -> None:
    fold = fold_lines(meta())
    assert not fold.apply(BadLine(9, "too long"))
    assert (fold.bad_lines, fold.first_bad) == (1, BadLine(9, "too long"))


@CASES
@given(st.lists(strategies.lines, max_size=8), st.integers(0, 8))
def test_a_fold_goes_on_from_the_facts_of_an_earlier_one(pieces: list[bytes], cut: int) -> None:
    lines = [b"", *pieces]
    first = fold_lines(*lines[:cut])
    second = MetadataReducer(replace(first.metadata))
    for line in lines[cut:]:
        second.apply(Line(0, line))
    assert second.metadata == facts_of(*lines)


@CASES
@given(st.lists(strategies.lines, max_size=5))
def test_a_line_applied_twice_in_a_row_changes_nothing(lines: list[bytes]) -> None:
    assert facts_of(*lines) == facts_of(*[line for line in lines for _ in range(2)])


@CASES
@given(st.lists(strategies.lines, max_size=5))
def test_facts_come_through_a_pickle(lines: list[bytes]) -> None:
    facts = facts_of(*lines)
    assert pickle.loads(pickle.dumps(facts)) == facts


@CASES
@given(st.lists(strategies.lines, max_size=6))
def test_facts_are_of_the_kind_that_a_database_takes(lines: list[bytes]) -> None:
    for value in metadata_values(facts_of(*lines)):
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
    facts = complete_metadata(facts_of(meta(), *lines))
    return (facts.recency_at_ms - facts.created_at_ms) // 1000


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
    agree(skipped(tmp_path, content(meta(), *lines)), fold_lines(meta(), *lines))


def test_a_fold_that_goes_on_knows_the_same_recency() -> None:
    lines = [meta(), at(user("a"), 2), at(STARTED, 40), at(user("b"), 50)]
    first = complete_metadata(facts_of(*lines[:2]))
    fold = MetadataReducer(first)
    for number, line in enumerate(lines[2:]):
        fold.apply(Line(number, encode(line)))
    assert complete_metadata(fold.metadata) == complete_metadata(facts_of(*lines))


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
def test_the_latest_name_in_the_file_is_told(lines: list[dict[str, Any]], name: str | None) -> None:
    facts = facts_of(meta(), *lines)
    assert facts.rollout_name == name
    assert facts.rollout_name_ms == (0 if name is None else time_ms(lines[0]["timestamp"]))


def prompt(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return envelope("response_item", {"type": "message", "role": role, "content": list(parts)})


def typed(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([prompt(typed("<environment_context>\n")), prompt(typed("do it"))], ("", "do it")),
        (
            [prompt(typed("x"), role="developer"), prompt(typed("# AGENTS.md instructions"))],
            ("", ""),
        ),
        ([prompt(typed("<turn_aborted>"), typed("x")), prompt(typed(" <b>"))], ("", "<b>")),
        (
            [prompt(typed(" <turn_aborted>")), prompt(typed("a <turn_aborted>"))],
            ("", "a <turn_aborted>"),
        ),
        ([prompt(typed(" ")), prompt({"type": "input_image", "image_url": "u"})], ("", "[Image]")),
        ([prompt(typed("a")), agent("b"), prompt(typed("c"))], ("", "a")),
        ([prompt(typed("alone"), role="assistant")], ("", "alone")),
        ([prompt(typed("a")), user("b")], ("b", "")),
        ([prompt(typed("a")), goal("g")], ("g", "")),
        ([user("b"), prompt(typed("a"))], ("b", "")),
        (
            [envelope("response_item", "x"), envelope("response_item", {"type": "message"})],
            ("", ""),
        ),
    ],
)
def test_prompts_of_response_items_stand_in_where_no_event_has_one(
    tmp_path: Path, lines: list[dict[str, Any]], shown: tuple[str, str]
) -> None:
    fold = fold_lines(meta(), *lines)
    assert (fold.metadata.preview, fold.metadata.fallback_preview) == shown
    agree(skipped(tmp_path, content(meta(), *lines)), fold)


def test_response_items_of_a_paginated_thread_are_not_shown() -> None:
    facts = facts_of(meta(history_mode="paginated"), prompt(typed("do it")))
    assert (facts.preview, facts.fallback_preview) == ("", "")


def numbered(*ordinals: int | None) -> list[dict[str, Any]]:
    """A paginated file whose lines have these ordinals; kinds that are parsed, passed over, and
    set apart."""
    kinds = [turn(), response("x"), tokens(1), event("agent_reasoning", text="r"), STARTED]
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
    fold = fold_lines(*lines)
    assert fold.left_out == left_out
    agree(skipped(tmp_path, content(*lines), buffer_bytes), fold)
    legacy = [meta(), *lines[1:]]
    assert fold_lines(*legacy).left_out == 0
