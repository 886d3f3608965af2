"""Lines of rollouts in the shape of Codex's answers: items, turns and their errors
(rollout-format §16.1, §16.2).

A line whose fields do not fit gives None: Codex does not read it (§2.1). What Codex does not know
can still be shown: see :func:`unknown_item`.
"""

from collections.abc import Sequence
from typing import Any, Final

from rollout.event_items import EVENT_BUILDS
from rollout.hooks import MARK, prompt_fragments
from rollout.persistence import Item
from rollout.shapes import (
    U16,
    Fields,
    Unfit,
    absent,
    camel,
    camel_case,
    integer,
    member,
    obj,
    same,
    text,
    uuid,
)
from rollout.turn_items import BUILDS

UNKNOWN: Final = "unknown"
"""The kind of an item that Codex 0.169 cannot read."""
KINDS: Final = (
    *(UNKNOWN, "userMessage", "hookPrompt", "agentMessage", "functionCallOutput", "plan"),
    *("reasoning", "commandExecution", "fileChange", "mcpToolCall", "dynamicToolCall"),
    *("collabAgentToolCall", "subAgentActivity", "webSearch", "imageView", "sleep"),
    *("imageGeneration", "enteredReviewMode", "exitedReviewMode", "contextCompaction"),
)
"""The kinds of items: ``type`` of a ThreadItem, and :data:`UNKNOWN`. New ones go to the end:
their places are stored."""


def completed_item(payload: Fields) -> Fields | None:
    """The item of an ``item_completed``; None if Codex does not read the line (§7)."""
    try:
        uuid(payload.get("thread_id"))
        text(payload.get("turn_id"))
        item = obj(payload.get("item"))
        build = BUILDS.get(text(item.get("type")))
        if build is None:
            return None
        return {**build(text(item.get("id")), item), **_times(payload)}
    except Unfit:
        return None


def event_item(payload: Fields) -> Fields | None:
    """The item of an event of a legacy thread; None if Codex does not read the line, or it is
    none (§14.5). Its id is None if it has no own one."""
    build = EVENT_BUILDS.get(str(payload.get("type")))
    try:
        return None if build is None else {**_NO_TIMES, **build(payload)}
    except Unfit:
        return None


def hook_item(payload: Fields) -> Fields | None:
    """The item of a response item that is the prompt of a hook, in a legacy thread (§14.6)."""
    fragments = prompt_fragments(payload)
    if not fragments:
        return None
    own = payload.get("id")
    item_id = own if isinstance(own, str) else None
    return {"type": "hookPrompt", "id": item_id, "fragments": fragments, **_NO_TIMES}


def may_be_hook(payload: Fields) -> bool:
    """Whether a response item is worth looking at: few are a user's."""
    return payload.get("role") == "user" and MARK in str(payload.get("content"))


def unknown_item(payload: Fields) -> Fields | None:
    """An ``item_completed`` that Codex cannot read, marked by its ``raw`` content: of a newer
    version's type, or of one with other fields. None if it has no type and id."""
    match payload.get("item"):
        case {"type": str(kind), "id": str(item_id)} as item:
            try:
                times = _times(payload)
            except Unfit:
                times = dict(_NO_TIMES)
            return {"type": camel_case(kind), "id": item_id, "raw": item, **times}
    return None


_NO_TIMES: Final = {"startedAtMs": None, "completedAtMs": None}


def has_times(item: Fields) -> bool:
    """Whether it is known when an item was begun, or completed."""
    return item["startedAtMs"] is not None or item["completedAtMs"] is not None


def _times(payload: Fields) -> dict[str, int | None]:
    return {
        "startedAtMs": absent(payload.get("started_at_ms"), integer),
        "completedAtMs": absent(payload.get("completed_at_ms"), integer),
    }


def item_of(lines: Sequence[Item], own_id: str | None = None) -> Fields | None:
    """The item that lines make, several of them if it is a coalesced reasoning of a legacy
    thread; ``own_id`` is the id that an item gets that has none. None if they make none."""
    found: Fields | None = None
    for line in lines:
        payload = line["payload"]
        if line["type"] == "response_item":
            item = hook_item(payload)
        elif payload.get("type") == "item_completed":
            item = completed_item(payload) or unknown_item(payload)
        else:
            item = event_item(payload)
        if found is None or item is None:
            found = found or item
        else:
            found["summary"] += item["summary"]
            found["content"] += item["content"]
    if found is not None and found["id"] is None:
        found["id"] = own_id
    return found


_ERROR_NAMES: Final = camel(
    *("context_window_exceeded", "session_budget_exceeded", "usage_limit_exceeded"),
    *("rate_limit_exceeded", "flex_unavailable", "server_overloaded", "model_not_found"),
    *("policy_capacity_unavailable", "cyber_policy", "misalignment_policy_violation"),
    *("too_many_denials", "internal_server_error", "unauthorized", "bad_request"),
    *("thread_rollback_failed", "sandbox_error", "inference_hook_denied", "other"),
)
_HTTP_ERRORS: Final = camel(
    *("http_connection_failed", "response_stream_connection_failed"),
    *("response_stream_disconnected", "response_too_many_failed_attempts"),
)
_NOT_STEERABLE: Final = "active_turn_not_steerable"
_TURN_KINDS: Final = same("review", "compact")


def turn_error(value: object) -> Fields:
    """Why a turn failed, from the ``error`` of the event that ended it (§6.1, §16.2).

    Raises:
        Unfit: Codex cannot read it.
    """
    error = obj(value)
    return {
        "message": text(error.get("message")),
        "codexErrorInfo": absent(error.get("codex_error_info"), _error_info),
        "additionalDetails": None,
        "misalignment": None,
    }


def _error_info(value: object) -> str | Fields:
    match value:
        case str(name) if name not in _HTTP_ERRORS and name != _NOT_STEERABLE:
            return _ERROR_NAMES.get(name, "other")
        case dict() if len(value) == 1:
            [(name, fields)] = value.items()
            if name in _HTTP_ERRORS:
                status = absent(obj(fields).get("http_status_code"), _status_code)
                return {_HTTP_ERRORS[name]: {"httpStatusCode": status}}
            if name == _NOT_STEERABLE:
                kind = member(obj(fields).get("turn_kind"), _TURN_KINDS)
                return {"activeTurnNotSteerable": {"turnKind": kind}}
            if name not in _ERROR_NAMES:
                return "other"
            if fields is None:
                return _ERROR_NAMES[name]
    raise Unfit


def _status_code(value: object) -> Any:
    return integer(value, U16)
