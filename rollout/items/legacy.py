"""Items of legacy threads: events of the UI as ThreadItems
(docs/rollout-format.md#items-of-legacy-threads; required fields and enumerations
measured on Codex 0.171).

An item without an id of its own has ``id`` None here; the reducer, which counts the items, gives
it one.
"""

from collections.abc import Callable
from typing import Any, Final

from rollout.items import parts
from rollout.items.paginated import activity, picture, web_search
from rollout.items.tools import mcp_call
from rollout.schema import strict
from rollout.schema.strict import Fields, Unfit


def _user_message(event: Fields) -> Fields:
    message = strict.text(event.get("message"))
    content = [parts.text_input(message, event)]  # read even if it is not shown
    if not message.strip():
        content = []
    details = strict.default(event, "image_details", _details, [])
    for index, url in enumerate(strict.optional(event.get("images"), strict.texts) or ()):
        content.append(parts.image_input("url", url, _nth(details, index)))
    local_details = strict.default(event, "local_image_details", _details, [])
    for index, path in enumerate(strict.default(event, "local_images", strict.texts, [])):
        content.append(parts.local_image_input(path, _nth(local_details, index)))
    for url in strict.optional(event.get("audio"), strict.texts) or ():
        content.append({"type": "audio", "url": url})
    for path in strict.default(event, "local_audio", strict.texts, []):
        content.append({"type": "localAudio", "path": path})
    client = strict.optional(event.get("client_id"), strict.text)
    return {"type": "userMessage", "id": None, "clientId": client, "content": content}


def _details(value: object) -> list[str | None]:
    return [parts.image_detail(each) for each in strict.array(value)]


def _nth(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _agent_message(event: Fields) -> Fields:
    # A moderator knows the message by an id: it has that, instead of being counted.
    moderated = strict.optional(
        event.get("moderation"), lambda value: strict.text(strict.obj(value).get("item_id"))
    )
    return parts.agent_message(moderated, strict.text(event.get("message")), event)


def _reasoning(event: Fields) -> Fields:
    reasoning = strict.text(event.get("text"))
    summary = [] if event.get("type") == RAW_REASONING else [reasoning]
    content = [] if summary else [reasoning]
    return {"type": "reasoning", "id": None, "summary": summary, "content": content}


def _mcp_call(event: Fields) -> Fields:
    strict.text(event.get("turn_id", ""))
    outcome = strict.obj(event.get("result"))
    result, error = None, None
    if set(outcome) == {"Ok"}:
        result = parts.mcp_result(outcome["Ok"])
        failed = outcome["Ok"].get("isError") is True
    elif set(outcome) == {"Err"}:
        error, failed = {"message": strict.text(outcome["Err"])}, True
    else:
        raise Unfit
    call_id, call = strict.text(event.get("call_id")), strict.obj(event.get("invocation"))
    return {
        **mcp_call(call_id, event, call, str),
        "status": "failed" if failed else "completed",
        "pluginId": strict.optional(event.get("plugin_id"), strict.text),
        "readOnlyHint": strict.optional(event.get("read_only_hint"), strict.flag),
        "result": result,
        "error": error,
        "durationMs": strict.duration_ms(event.get("duration")),
    }


def _patch(event: Fields) -> Fields:
    strict.text(event.get("stdout"))
    strict.text(event.get("stderr"))
    strict.flag(event.get("success"))
    strict.text(event.get("turn_id", ""))
    changes = strict.default(event, "changes", parts.file_changes, [])
    status = strict.member(event.get("status"), parts.PATCH_STATUS)
    call_id = strict.text(event.get("call_id"))
    return {"type": "fileChange", "id": call_id, "changes": changes, "status": status}


def _compaction(event: Fields) -> Fields:
    for name in event.keys() - {"type"}:  # the one event in which Codex takes no other field
        strict.no_value(event[name])
    return {"type": "contextCompaction", "id": None}


def _entered_review(event: Fields) -> Fields:
    parts.review_target(event.get("target"))
    hint = strict.optional(event.get("user_facing_hint"), strict.text)
    review = "Review requested." if hint is None else hint
    return {"type": "enteredReviewMode", "id": _own_id(event), "review": review}


def _exited_review(event: Fields) -> Fields:
    review = parts.review_text(event.get("review_output"))
    return {"type": "exitedReviewMode", "id": _own_id(event), "review": review}


def _own_id(event: Fields) -> str | None:
    strict.optional(event.get("turn_id"), strict.text)
    found: str | None = strict.optional(event.get("item_id"), strict.text)
    return found


def _activity(event: Fields) -> Fields:
    at = strict.default(event, "occurred_at_ms", strict.integer, None)
    shown = activity(strict.text(event.get("event_id")), event)
    return {**shown, "startedAtMs": None, "completedAtMs": at}


RAW_REASONING: Final = "agent_reasoning_raw_content"

EVENT_BUILDERS: Final[dict[str, Callable[[Fields], Fields]]] = {
    "user_message": _user_message,
    "agent_message": _agent_message,
    "agent_reasoning": _reasoning,
    RAW_REASONING: _reasoning,
    "mcp_tool_call_end": _mcp_call,
    "patch_apply_end": _patch,
    "web_search_end": lambda event: web_search(strict.text(event.get("call_id")), event),
    "image_generation_end": lambda event: picture(strict.text(event.get("call_id")), event),
    "context_compacted": _compaction,
    "entered_review_mode": _entered_review,
    "exited_review_mode": _exited_review,
    "sub_agent_activity": _activity,
}
"""Builds the ThreadItem of each event that is one."""
