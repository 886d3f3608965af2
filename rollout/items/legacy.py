"""Items of legacy threads: events of the UI as ThreadItems
(docs/rollout-format.md#items-of-legacy-threads; required fields and enumerations
measured on Codex 0.171).

An item without an id of its own has ``id`` None here; the reducer, which counts the items, gives
it one.
"""

from collections.abc import Callable
from typing import Any, Final

from rollout.items.paginated import activity, picture, picture_made, web_search
from rollout.items.parts import (
    PATCH_STATUS,
    absolute_path,
    agent_message,
    app_ui,
    file_changes,
    image_detail,
    image_input,
    input_images,
    local_image_input,
    mcp_result,
    picture_failure,
    review_target,
    review_text,
    text_input,
)
from rollout.items.tools import mcp_call
from rollout.schema.strict import (
    Fields,
    Unfit,
    array,
    default,
    duration_ms,
    flag,
    integer,
    member,
    no_value,
    obj,
    optional,
    text,
    texts,
)


def _user_message(event: Fields) -> Fields:
    message = text(event.get("message"))
    content = [text_input(message, event)]  # read even if it is not shown
    if not message.strip():
        content = []
    details = default(event, "image_details", _details, [])
    for index, url in enumerate(optional(event.get("images"), texts) or ()):
        content.append(image_input("url", url, _nth(details, index)))
    local_details = default(event, "local_image_details", _details, [])
    for index, path in enumerate(default(event, "local_images", texts, [])):
        content.append(local_image_input(path, _nth(local_details, index)))
    for url in optional(event.get("audio"), texts) or ():
        content.append({"type": "audio", "url": url})
    for path in default(event, "local_audio", texts, []):
        content.append({"type": "localAudio", "path": path})
    client = optional(event.get("client_id"), text)
    return {"type": "userMessage", "id": None, "clientId": client, "content": content}


def _details(value: object) -> list[str | None]:
    return [image_detail(each) for each in array(value)]


def _nth(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _agent_message(event: Fields) -> Fields:
    # A moderator knows the message by an id: it has that, instead of being counted.
    moderated = optional(event.get("moderation"), lambda value: text(obj(value).get("item_id")))
    return agent_message(moderated, text(event.get("message")), event)


def _reasoning(event: Fields) -> Fields:
    reasoning = text(event.get("text"))
    summary = [] if event.get("type") == RAW_REASONING else [reasoning]
    content = [] if summary else [reasoning]
    return {"type": "reasoning", "id": None, "summary": summary, "content": content}


def _mcp_call(event: Fields) -> Fields:
    app = {
        name: optional(event.get(field), text)
        for name, field in (
            ("connectorId", "connector_id"),
            ("linkId", "link_id"),
            ("appName", "app_name"),
            ("actionName", "action_name"),
            ("mcpAppResourceUri", "mcp_app_resource_uri"),
        )
    }
    text(event.get("turn_id", ""))
    outcome = obj(event.get("result"))
    result, error = None, None
    if set(outcome) == {"Ok"}:
        result = mcp_result(outcome["Ok"])
        failed = outcome["Ok"].get("isError") is True
    elif set(outcome) == {"Err"}:
        error, failed = {"message": text(outcome["Err"])}, True
    else:
        raise Unfit
    ui = optional(event.get("mcp_app_ui"), app_ui)
    call_id, call = text(event.get("call_id")), obj(event.get("invocation"))
    environment = optional(call.get("environment_id"), text)
    return {
        **mcp_call(call_id, call, app, environment, ui),
        "status": "failed" if failed else "completed",
        "pluginId": optional(event.get("plugin_id"), text),
        "readOnlyHint": optional(event.get("read_only_hint"), flag),
        "result": result,
        "error": error,
        "durationMs": duration_ms(event.get("duration")),
    }


def _patch(event: Fields) -> Fields:
    text(event.get("stdout"))
    text(event.get("stderr"))
    flag(event.get("success"))
    text(event.get("turn_id", ""))
    changes = default(event, "changes", file_changes, [])
    status = member(event.get("status"), PATCH_STATUS)
    call_id = text(event.get("call_id"))
    return {"type": "fileChange", "id": call_id, "changes": changes, "status": status}


def _web_search(event: Fields) -> Fields:
    return web_search(text(event.get("call_id")), event)


def _image(event: Fields) -> Fields:
    return picture(
        text(event.get("call_id")),
        event,
        picture_made(event),
        prompt=optional(event.get("revised_prompt"), text),
        path=optional(event.get("saved_path"), absolute_path),
        transparent=optional(event.get("transparent_background"), flag),
        generation=optional(event.get("generation_id"), text),
        failure=optional(event.get("failure"), picture_failure),
        inputs=default(event, "input_images", input_images, []),
    )


def _compaction(event: Fields) -> Fields:
    for name in event.keys() - {"type"}:  # the one event in which Codex takes no other field
        no_value(event[name])
    return {"type": "contextCompaction", "id": None}


def _entered_review(event: Fields) -> Fields:
    review_target(event.get("target"))
    hint = optional(event.get("user_facing_hint"), text)
    return {
        "type": "enteredReviewMode",
        "id": _own_id(event),
        "review": "Review requested." if hint is None else hint,
    }


def _exited_review(event: Fields) -> Fields:
    review = review_text(event.get("review_output"))
    return {"type": "exitedReviewMode", "id": _own_id(event), "review": review}


def _own_id(event: Fields) -> str | None:
    optional(event.get("turn_id"), text)
    found: str | None = optional(event.get("item_id"), text)
    return found


def _activity(event: Fields) -> Fields:
    at = default(event, "occurred_at_ms", integer, None)
    return {
        **activity(text(event.get("event_id")), event),
        "startedAtMs": None,
        "completedAtMs": at,
    }


RAW_REASONING: Final = "agent_reasoning_raw_content"

EVENT_BUILDERS: Final[dict[str, Callable[[Fields], Fields]]] = {
    "user_message": _user_message,
    "agent_message": _agent_message,
    "agent_reasoning": _reasoning,
    RAW_REASONING: _reasoning,
    "mcp_tool_call_end": _mcp_call,
    "patch_apply_end": _patch,
    "web_search_end": _web_search,
    "image_generation_end": _image,
    "context_compacted": _compaction,
    "entered_review_mode": _entered_review,
    "exited_review_mode": _exited_review,
    "sub_agent_activity": _activity,
}
"""Builds the ThreadItem of each event that is one."""
