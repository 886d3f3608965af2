"""Which items reach a file: the table of the format, and what Codex wrote by it."""

import pytest

from rollout.jsonl.parse import Item
from rollout.jsonl.sources import FileSource, session_meta
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from rollout.writing.retention import LONGEST_OUTPUT, begins_history, persisted, without_middle
from tests.samples.rollouts import CORPUS, corpus_rollouts
from tests.samples.talk import event, message

BOTH = ["task_started", "task_complete", "turn_aborted", "token_count", "thread_goal_updated"]
BOTH += ["thread_rolled_back", "thread_settings_applied"]
LEGACY_ONLY = ["user_message", "agent_message", "agent_reasoning", "agent_reasoning_raw_content"]
LEGACY_ONLY += ["entered_review_mode", "exited_review_mode", "patch_apply_end", "web_search_end"]
LEGACY_ONLY += ["mcp_tool_call_end", "image_generation_end", "context_compacted"]
NEITHER = ["error", "warning", "agent_message_delta", "exec_command_begin", "exec_command_end"]
NEITHER += ["exec_approval_request", "stream_error", "shutdown_complete", "session_configured"]
EXTENDED = ["error", "guardian_assessment", "exec_command_end", "view_image_tool_call"]
EXTENDED += ["dynamic_tool_call_request", "dynamic_tool_call_response", "collab_agent_spawn_end"]


def completed(**item: object) -> Item:
    """An event for an item of a turn."""
    return event("item_completed", item=item)


@pytest.mark.parametrize("kind", [*BOTH, *LEGACY_ONLY, *NEITHER])
def test_events_by_the_table(kind: str) -> None:
    item = event(kind)
    assert (persisted(item, LEGACY) is item) == (kind in BOTH + LEGACY_ONLY)
    assert (persisted(item, PAGINATED) is item) == (kind in BOTH)


@pytest.mark.parametrize("kind", EXTENDED)
def test_events_that_only_the_extended_level_keeps(kind: str) -> None:
    assert persisted(event(kind), LEGACY) is None
    assert persisted(event(kind), LEGACY, extended=True) == event(kind)
    assert persisted(event(kind), PAGINATED, extended=True) is None


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_event_is_kept_and_so_is_what_is_not_known(mode: str) -> None:
    unknown: Item = {"type": "of_tomorrow", "payload": [1], "more": {"x": None}}
    for item in (message("user", "x"), unknown, event("of_tomorrow"), {"type": "event_msg"}):
        assert persisted(item, mode) is item


def test_items_of_turns_are_for_paginated_threads_with_four_exceptions() -> None:
    exceptions = [
        completed(type="FunctionCallOutput"),
        completed(type="Plan"),
        completed(type="Extension", kind="clock.sleep"),
        completed(type="SubAgentActivity", kind="completed"),
    ]
    others = [
        completed(type="UserMessage"),
        completed(type="Extension", kind="other"),
        completed(type="SubAgentActivity", kind="started"),
        completed(),
        event("item_completed", item=None),
    ]
    for item in exceptions:
        assert persisted(item, LEGACY) is persisted(item, PAGINATED) is item
    for item in others:
        assert persisted(item, LEGACY) is None
        assert persisted(item, PAGINATED) is item
    assert persisted({"type": "realtime_item", "payload": {}}, LEGACY) is None
    assert persisted({"type": "realtime_item", "payload": {}}, PAGINATED) is not None
    activity = event("sub_agent_activity", kind="started")
    assert persisted(activity, LEGACY) is activity
    assert persisted(event("sub_agent_activity", kind="completed"), LEGACY) is None


def test_the_corpus_has_no_line_that_we_would_not_have_written() -> None:
    lines = 0
    for path in corpus_rollouts():
        with FileSource(CORPUS / path) as source:
            meta = session_meta(source)
            payload = meta["payload"] if meta else {}
            if payload.get("cli_version") != "0.169.0":
                continue
            mode = payload.get("history_mode", LEGACY)
            assert mode in MODES, path
            for number, item in source.items():
                assert persisted(item, mode) is item, (path, number)
                lines += 1
    assert lines > 500


def test_a_users_message_begins_the_history() -> None:
    assert begins_history(event("user_message", message="hi"))
    assert begins_history(completed(type="UserMessage"))
    for item in (message("user", "hi"), completed(type="AgentMessage"), event("task_started")):
        assert not begins_history(item)
    assert not begins_history({"type": "event_msg", "payload": None})


@pytest.mark.parametrize("character", ["a", "ä", "€", "𝄞"])
def test_long_outputs_lose_their_middle(character: str) -> None:
    output = "begin" + character * 20_000 + "end"
    item = event("exec_command_end", aggregated_output=output, stdout="x", stderr="y", exit_code=0)
    kept = persisted(item, LEGACY, extended=True)
    assert kept is not None
    payload = kept["payload"]
    shown = payload["aggregated_output"]
    assert LONGEST_OUTPUT - 10 <= len(shown.encode()) <= LONGEST_OUTPUT
    assert shown.startswith("begin" + character)
    assert shown.endswith(character + "end")
    assert (payload["stdout"], payload["stderr"], payload["exit_code"]) == ("", "", 0)
    assert "formatted_output" not in payload
    assert item["payload"]["aggregated_output"] == output
    assert without_middle("ä" * 5000, LONGEST_OUTPUT) == "ä" * 5000
