"""Lines of rollouts in the shape of Codex's responses: items, turns and their errors
(docs/rollout-format.md#turns-and-items-in-answers).

A line whose fields do not fit gives None, as Codex does not read it. It can still be shown: see
:func:`unknown_item`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from rollout.items.hooks import MARK, prompt_fragments
from rollout.items.legacy import EVENT_BUILDERS
from rollout.items.paginated import ITEM_BUILDERS
from rollout.items.parts import user_input
from rollout.jsonl.parse import Item
from rollout.schema import strict
from rollout.schema.strict import Fields, Unfit

UNKNOWN: Final = "unknown"
"""The kind of an item that Codex 0.171 cannot read."""
KINDS: Final = (
    *(UNKNOWN, "userMessage", "hookPrompt", "agentMessage", "functionCallOutput", "plan"),
    *("reasoning", "commandExecution", "fileChange", "mcpToolCall", "dynamicToolCall"),
    *("collabAgentToolCall", "subAgentActivity", "webSearch", "imageView", "sleep"),
    *("imageGeneration", "enteredReviewMode", "exitedReviewMode", "contextCompaction"),
)
"""The kinds of items: ``type`` of a ThreadItem, and :data:`UNKNOWN`. New ones go to the end:
their positions are stored."""


def completed_item(payload: Fields) -> Fields | None:
    """The item of an ``item_completed``; None if Codex does not read the line."""
    try:
        strict.uuid(payload.get("thread_id"))
        strict.text(payload.get("turn_id"))
        item = strict.obj(payload.get("item"))
        build = ITEM_BUILDERS.get(strict.text(item.get("type")))
        if build is None:
            return None
        return {**build(strict.text(item.get("id")), item), **_times(payload)}
    except Unfit:
        return None


def event_item(payload: Fields) -> Fields | None:
    """The item of an event of a legacy thread; None if Codex does not read the line, or it is
    none. Its id is None if it has none of its own."""
    build = EVENT_BUILDERS.get(str(payload.get("type")))
    try:
        return None if build is None else {**_NO_TIMES, **build(payload)}
    except Unfit:
        return None


def hook_item(payload: Fields) -> Fields | None:
    """The item of a response item that is the prompt of a hook, in a legacy thread."""
    fragments = prompt_fragments(payload)
    if not fragments:
        return None
    own = payload.get("id")
    item_id = own if isinstance(own, str) else None
    return {"type": "hookPrompt", "id": item_id, "fragments": fragments, **_NO_TIMES}


def may_be_hook(payload: Fields) -> bool:
    """Whether a response item may be a hook's prompt, by a quick check."""
    return payload.get("role") == "user" and MARK in str(payload.get("content"))


def unknown_item(payload: Fields) -> Fields | None:
    """What Codex cannot read in an ``item_completed`` or an event of a legacy thread, marked by its
    ``raw`` content: of a newer version's type, or of one with other fields. As much of it as fits
    is there besides; None if it is no item, or an event of which not even that much fits."""
    if payload.get("type") != "item_completed":
        kind = str(payload.get("type"))
        build = EVENT_BUILDERS.get(kind)
        fitting = None if build is None else _fitting(build, _with_words(kind, payload))
        return None if fitting is None else {**_NO_TIMES, **fitting, "raw": payload}
    item: Any = payload.get("item")
    match item:
        case {"type": str(kind), "id": str(item_id)}:
            try:
                times = _times(payload)
            except Unfit:
                times = dict(_NO_TIMES)
            shown: Fields = {"type": strict.camel_case(kind), "id": item_id}
            if of_item := ITEM_BUILDERS.get(kind):
                words = _with_words(kind, item)
                shown = _fitting(lambda fields: of_item(item_id, fields), words) or shown
            return {**shown, "raw": item, **times}
    return None


def has_text(item: Fields) -> bool:
    """Whether the text of an item could be read."""
    return "raw" not in item or "text" in item or "content" in item


class _Watched(dict[str, Any]):
    """Fields that know which of them was looked at last: that one does not fit, if one does not."""

    last = ""

    def get(self, key: str, default: Any = None) -> Any:
        self.last = key
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.last = key
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.last = str(key)
        return super().__contains__(key)


def _fitting(build: Callable[[Fields], Fields], fields: Fields) -> Fields | None:
    """What ``build`` makes of those fields that fit; None if it needs one that does not."""
    left = _Watched(fields)
    while True:
        try:
            return build(left)
        except Unfit:
            if left.pop(left.last, _MISSING) is _MISSING:
                return None


_MISSING: Final = object()


def _with_words(kind: str, fields: Fields) -> Fields:
    """A message with those parts of its content that fit, and the words of others; anything else
    as it is."""
    content = fields.get("content")
    if kind not in ("UserMessage", "AgentMessage") or not isinstance(content, list | str):
        return fields
    parts = [content] if isinstance(content, str) else content
    return {**fields, "content": [*filter(None, (_with_text(kind, part) for part in parts))]}


def _with_text(kind: str, part: object) -> object:
    if kind == "UserMessage":
        try:
            user_input(part)
        except Unfit:
            pass
        else:
            return part
    words = part.get("text") if isinstance(part, dict) else part
    named = "text" if kind == "UserMessage" else "Text"
    return {"type": named, "text": words} if isinstance(words, str) else None


_NO_TIMES: Final = {"startedAtMs": None, "completedAtMs": None}


def has_times(item: Fields) -> bool:
    """Whether it is known when an item was begun, or completed."""
    return item["startedAtMs"] is not None or item["completedAtMs"] is not None


def _times(payload: Fields) -> dict[str, int | None]:
    return {
        "startedAtMs": strict.optional(payload.get("started_at_ms"), strict.integer),
        "completedAtMs": strict.optional(payload.get("completed_at_ms"), strict.integer),
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
            item = event_item(payload) or unknown_item(payload)
        if found is None or item is None:
            found = found or item
        else:
            found["summary"] += item["summary"]
            found["content"] += item["content"]
    if found is not None and found["id"] is None:
        found["id"] = own_id
    return found


_ERROR_NAMES: Final = strict.camel(
    *("context_window_exceeded", "session_budget_exceeded", "usage_limit_exceeded"),
    *("rate_limit_exceeded", "flex_unavailable", "server_overloaded", "model_not_found"),
    *("policy_capacity_unavailable", "cyber_policy", "bio_policy", "misalignment_policy_violation"),
    *("too_many_denials", "internal_server_error", "unauthorized", "bad_request"),
    *("thread_rollback_failed", "sandbox_error", "inference_hook_denied", "other"),
)
_HTTP_ERRORS: Final = strict.camel(
    *("http_connection_failed", "response_stream_connection_failed"),
    *("response_stream_disconnected", "response_too_many_failed_attempts"),
)
_NOT_STEERABLE: Final = "active_turn_not_steerable"
_TURN_KINDS: Final = strict.same("review", "compact")


def turn_error(value: object) -> Fields:
    """Why a turn failed, from the ``error`` of the event that ended it. Raises Unfit if Codex
    cannot read it."""
    error = strict.obj(value)
    return {
        "message": strict.text(error.get("message")),
        "codexErrorInfo": strict.optional(error.get("codex_error_info"), _error_info),
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
                status = strict.optional(strict.obj(fields).get("http_status_code"), _status_code)
                return {_HTTP_ERRORS[name]: {"httpStatusCode": status}}
            if name == _NOT_STEERABLE:
                kind = strict.member(strict.obj(fields).get("turn_kind"), _TURN_KINDS)
                return {"activeTurnNotSteerable": {"turnKind": kind}}
            if name not in _ERROR_NAMES:
                return "other"
            if fields is None:
                return _ERROR_NAMES[name]
    raise Unfit


def _status_code(value: object) -> Any:
    return strict.integer(value, strict.U16)
