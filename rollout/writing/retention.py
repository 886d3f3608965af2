"""Which items of a live thread are written to its rollout
(docs/rollout-format.md#what-is-written).

An item is a line without its ``timestamp`` and ``ordinal``: ``{"type": …, "payload": …}``. Kinds
that this version does not know are written as they are: what they are worth is not for us to say.
"""

import re
from typing import Any, Final

from rollout.jsonl.parse import Item
from rollout.schema.modes import PAGINATED

LONGEST_OUTPUT: Final = 10_000
"""Bytes kept of a command's output in an extended ``exec_command_end``."""

_ALWAYS: Final = frozenset(
    {
        *("task_started", "turn_started", "task_complete", "turn_complete", "turn_aborted"),
        *("token_count", "thread_goal_updated", "thread_rolled_back", "thread_settings_applied"),
    }
)
_LEGACY: Final = _ALWAYS | {
    *("user_message", "agent_message", "agent_reasoning", "agent_reasoning_raw_content"),
    *("entered_review_mode", "exited_review_mode", "patch_apply_end", "mcp_tool_call_end"),
    *("web_search_end", "image_generation_end", "context_compacted", "sub_agent_activity"),
    *("thread_name_updated", "undo_completed"),
}
_EXTENDED: Final = _LEGACY | {
    *("error", "guardian_assessment", "exec_command_end", "view_image_tool_call"),
    *("dynamic_tool_call_request", "dynamic_tool_call_response"),
}
_TRANSIENT: Final = re.compile(
    r"(?:.*_(?:begin|delta|request|requests)|error|warning|guardian_\w+|auth_recovery_\w+"
    r"|realtime_conversation_\w+|model_(?:reroute|verification)|turn_moderation_metadata"
    r"|safety_buffering|session_configured|environment_\w+|thread_queue_changed|mcp_startup_\w+"
    r"|exec_command_end|terminal_interaction|view_image_tool_call|request_\w+|dynamic_tool_call_\w+"
    r"|elicitation_\w+|deprecation_notice|stream_error|patch_apply_\w+|turn_diff|plan_update"
    r"|shutdown_complete|raw_response_\w+|item_started|hook_\w+|agent_reasoning_section_break"
    r"|collab_\w+|undo_\w+|background_event)"
)
"""Events that are never written, where no rule above says that they are."""
_LEGACY_ITEMS: Final = frozenset({"FunctionCallOutput", "Plan"})


def persisted(item: Item, mode: str, *, extended: bool = False) -> Item | None:
    """``item`` as it is written in a thread of ``mode``; None if it is not.

    ``extended`` is the older level of a legacy thread that keeps commands and tool calls too.
    """
    kind = item.get("type")
    if kind == "realtime_item":
        return item if mode == PAGINATED else None
    payload = item.get("payload")
    if kind != "event_msg" or not isinstance(payload, dict):
        return item
    event = str(payload.get("type"))
    if event == "item_completed":
        return item if mode == PAGINATED or _is_legacy_item(payload.get("item")) else None
    if event in _ALWAYS:
        return item
    if mode == PAGINATED:
        return None if event in _LEGACY or _TRANSIENT.fullmatch(event) else item
    if event == "sub_agent_activity":
        return None if payload.get("kind") == "completed" else item
    if event in _LEGACY:
        return item
    if extended and (event in _EXTENDED or re.fullmatch(r"collab_\w+_end", event)):
        return _shortened(item) if event == "exec_command_end" else item
    return None if _TRANSIENT.fullmatch(event) else item


def fault_of(item: object) -> str | None:
    """Why ``item`` cannot be recorded: no reader could use its line; None if it can."""
    if not isinstance(item, dict):
        return f"an item is an object, not {type(item).__name__}"
    kind = item.get("type")
    if not isinstance(kind, str) or not kind:
        return "an item has a type"
    if kind == "session_meta":
        return "a thread has one session_meta, which is written when it begins"
    if not isinstance(item.get("payload"), dict):
        return f"the payload of an item is an object, that of this {kind} is not"
    return None


def begins_history(item: Item) -> bool:
    """Whether ``item`` is a user's message: with the first one a thread gets its file."""
    payload = item.get("payload")
    if item.get("type") != "event_msg" or not isinstance(payload, dict):
        return False
    if payload.get("type") == "user_message":
        return True
    completed = payload.get("item") if payload.get("type") == "item_completed" else None
    return isinstance(completed, dict) and completed.get("type") == "UserMessage"


def _is_legacy_item(item: Any) -> bool:
    match item:
        case {"type": "Extension", "kind": "clock.sleep"}:
            return True
        case {"type": "SubAgentActivity", "kind": "completed"}:
            return True
        case {"type": str(kind)}:
            return kind in _LEGACY_ITEMS
    return False


def _shortened(item: Item) -> Item:
    payload = dict(item["payload"])
    for name in ("stdout", "stderr", "formatted_output"):
        if name in payload:
            payload[name] = ""
    output = payload.get("aggregated_output")
    if isinstance(output, str):
        payload["aggregated_output"] = without_middle(output, LONGEST_OUTPUT)
    return {**item, "payload": payload}


def without_middle(text: str, most: int) -> str:
    """``text`` if it has at most ``most`` bytes of UTF-8, else its beginning and its end with a
    word between them about what was left out; whole characters, at most ``most`` bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text
    word = f"…{len(data)} bytes, cut in the middle…"
    half = (most - len(word.encode())) // 2
    front = data[:half].decode("utf-8", "ignore")
    back = data[-half:].decode("utf-8", "ignore")
    return f"{front}{word}{back}"
