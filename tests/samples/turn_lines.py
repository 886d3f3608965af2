"""Hypothesis strategies: lines that begin, fill and end turns, in any order."""

from typing import Any

from hypothesis import strategies as st

from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from tests.samples.histories import first_line, numbered
from tests.samples.rollouts import THREAD_ID, envelope, event, response, user
from tests.support.effort import examples

MODES = (LEGACY, PAGINATED)
TURNS = ("A", "B", "C", "rollout-2")
IDS = ("call", "item-2", "item-3")

turn_ids = st.sampled_from(TURNS)
item_ids = st.sampled_from(IDS)
said = st.sampled_from(["", "one", "two"])


def completed(turn_id: str, item: Fields, **fields: Any) -> Fields:
    return event("item_completed", thread_id=THREAD_ID, turn_id=turn_id, item=item, **fields)


def hook(text: str) -> Fields:
    part = {"type": "input_text", "text": f'<hook_prompt hook_run_id="r">{text}</hook_prompt>'}
    return envelope("response_item", {"type": "message", "role": "user", "content": [part]})


ends = st.builds(
    lambda kind, turn_id, fields: event(kind, turn_id=turn_id, **fields),
    st.sampled_from(["task_complete", "turn_complete"]),
    turn_ids,
    st.sampled_from([{}, {"error": {"message": "e"}}, {"completed_at": 5, "started_at": 2}]),
)
aborts = st.builds(
    lambda fields: event("turn_aborted", reason="interrupted", **fields),
    st.sampled_from([{}, {"turn_id": "A"}, {"turn_id": "B"}, {"turn_id": "none"}]),
)
starts = st.builds(
    lambda turn_id, at: event("task_started", turn_id=turn_id, started_at=at),
    turn_ids,
    st.sampled_from([None, 7]),
)
turn_items = st.builds(
    lambda turn_id, item_id, fields, at: completed(
        turn_id, {"id": item_id, **fields}, started_at_ms=at
    ),
    turn_ids,
    item_ids,
    st.sampled_from(
        [
            {"type": "Plan", "text": "p"},
            {"type": "UserMessage", "content": [{"type": "text", "text": "u"}]},
            {"type": "AgentMessage", "content": [{"type": "Text", "text": "a"}]},
            {"type": "AgentMessage", "content": [], "phase": "final_answer"},
            {"type": "AgentMessage", "content": [{"type": "Text", "text": "b"}], "delivery": "?"},
            {"type": "UserMessage", "content": [{"type": "new", "text": "v"}]},
            {"type": "FunctionCallOutput", "name": "n", "output": "o"},
            {"type": "OfTheFuture", "more": 1},
        ]
    ),
    st.sampled_from([None, 3]),
)
events = st.one_of(
    st.builds(user, said),
    st.builds(lambda text: event("agent_message", message=text), said),
    st.builds(lambda text: event("agent_message", message=text, delivery="?"), said),
    st.builds(lambda text: event("user_message", message=text, client_id=7), said),
    st.builds(
        lambda item_id: event(
            "agent_message", message="m", moderation={"item_id": item_id, "moderated": True}
        ),
        item_ids,
    ),
    st.builds(lambda text: event("agent_reasoning", text=text), said),
    st.builds(lambda text: event("agent_reasoning_raw_content", text=text), said),
    st.builds(
        lambda item_id: event(
            "web_search_end", call_id=item_id, query="q", action={"type": "search"}
        ),
        item_ids,
    ),
    st.builds(
        lambda item_id, turn_id: event(
            "patch_apply_end",
            call_id=item_id,
            turn_id=turn_id,
            stdout="",
            stderr="",
            success=True,
            status="completed",
            changes={},
        ),
        item_ids,
        turn_ids,
    ),
    st.builds(lambda turn_id: event("exited_review_mode", turn_id=turn_id), turn_ids),
    st.builds(lambda count: event("thread_rolled_back", num_turns=count), st.integers(0, 3)),
    st.builds(hook, st.sampled_from(["x", ""])),
    st.sampled_from(
        [
            event("context_compacted"),
            event("token_count", info=None),
            envelope("compacted", {"message": "m", "replacement_history": []}),
            envelope("world_state", {"full": True, "state": {}}),
            response("text"),
            envelope("response_item", {"type": "function_call_output", "output": "o"}),
            envelope("response_item", {"type": "ghost_snapshot"}),
            event("of_the_future"),
        ]
    ),
)
line_lists = st.lists(st.one_of(starts, ends, aborts, turn_items, events), max_size=25)
rollouts = st.builds(
    lambda mode, lines: (mode, with_head(mode, lines)), st.sampled_from(MODES), line_lists
)
quickly = examples(150)


def with_head(mode: str, lines: list[Fields]) -> list[Fields]:
    lines = [first_line(mode), *lines]
    return numbered(lines) if mode == PAGINATED else lines
