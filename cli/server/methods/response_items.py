"""Validates the response items that a client injects, and makes lines of them.

Codex drops a line that it cannot read, so what it refuses is refused here, in its words. There are
no models of pydantic for them: serde reports the first wrong field in the order of the input, and
only then the first missing one in the order of the type.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.server.protocol.messages import invalid_request
from cli.server.protocol.serde_wording import describe, unknown_variant
from rollout.items.line_events import RESPONSES
from rollout.jsonl.parse import Item

_TEXT: Final = "a string"
_LIST: Final = "a sequence"
_ANY: Final = ""
_TYPES: Final = {_TEXT: str, _LIST: list, _ANY: object}
_NEEDED: Final[Mapping[str, Mapping[str, str]]] = {
    "message": {"role": _TEXT, "content": _LIST},
    "reasoning": {"summary": _LIST},
    "function_call": {"name": _TEXT, "arguments": _TEXT, "call_id": _TEXT},
    "function_call_output": {"output": _ANY},
    "custom_tool_call": {"call_id": _TEXT, "name": _TEXT, "input": _TEXT},
    "custom_tool_call_output": {"call_id": _TEXT, "output": _ANY},
    "local_shell_call": {"status": _ANY, "action": _ANY},
    "agent_message": {"author": _TEXT, "recipient": _TEXT, "content": _ANY},
    "tool_search_call": {"execution": _TEXT, "arguments": _ANY},
    "tool_search_output": {"status": _ANY, "execution": _ANY},
    "image_generation_call": {"status": _ANY, "result": _ANY},
    "compaction": {"encrypted_content": _ANY},
    "compaction_summary": {"encrypted_content": _ANY},
    "additional_tools": {"role": _ANY, "tools": _ANY},
    "configuration_update": {"reasoning": _ANY},
}
"""The fields that a type of item needs, in Codex's order, each with its JSON type."""
_PARTS: Final = {
    "content": ("ContentItem", ("input_text", "input_image", "input_audio", "output_text")),
    "summary": ("ReasoningItemReasoningSummary", ("summary_text",)),
}
"""The type of the parts in a list, and its variants."""
_RETENTIONS: Final = {"default": False, "always": True}
"""Whether an item outlives a compaction: as a client says it, and as a line does."""


def response_lines(items: Sequence[Any]) -> list[Item]:
    """The lines for items to inject: response items, or objects of an ``item`` and its
    ``retention``. Items of unknown types are accepted and make no line, as in Codex. Raises
    RpcError if there are none, or one of them is not a response item."""
    if not items:
        raise invalid_request("items must not be empty", "invalid_params")
    lines: list[Item] = []
    for number, given in enumerate(items):
        wrapped = _wrapped(given)
        if fault := _fault(given) if wrapped is None else _wrapped_fault(wrapped):
            text = f"items[{number}] is not a valid response item: {fault}"
            raise invalid_request(text, "invalid_params")
        item = given if wrapped is None else wrapped["item"]
        if item["type"] in RESPONSES:
            line: Item = {"type": "response_item", "payload": item}
            if wrapped is not None:
                kept = _RETENTIONS[wrapped["retention"]]
                line["metadata"] = {"retain_across_windows": kept}
            lines.append(line)
    return lines


def _wrapped(given: Any) -> Mapping[str, Any] | None:
    """An item with its retention; None if it has none."""
    if isinstance(given, list) and len(given) == 2:
        return {"item": given[0], "retention": given[1]}
    return given if isinstance(given, dict) and "type" not in given else None


def _wrapped_fault(wrapped: Mapping[str, Any]) -> str | None:
    checks = {"item": _item_fault, "retention": _retention_fault}
    for name, value in wrapped.items():
        if name in checks and (fault := checks[name](value)):
            return fault
    return _missing(wrapped, checks)


def _missing(given: Mapping[str, Any], needed: Mapping[str, Any]) -> str | None:
    return next((f"missing field `{name}`" for name in needed if name not in given), None)


def _retention_fault(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"invalid type: {_buffered(value)}, expected string or map"
    return None if value in _RETENTIONS else unknown_variant(value, [*_RETENTIONS])


def _buffered(value: Any) -> str:
    """A value as serde names it when it has buffered it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else describe(value)


def _fault(given: Any) -> str | None:
    if isinstance(given, list):
        return f"invalid length {len(given)}, expected struct WrappedItem with 2 elements"
    if not isinstance(given, dict):
        return f"invalid type: {_buffered(given)}, expected struct WrappedItem"
    return _item_fault(given)


def _item_fault(item: Any) -> str | None:
    if not isinstance(item, dict):
        return _untagged(item, "ResponseItem")
    kind = item.get("type")
    if "type" not in item:
        return "missing field `type`"
    if not isinstance(kind, str):
        return f"invalid type: {_buffered(kind)}, expected variant identifier"
    if kind not in RESPONSES:
        return None
    if fault := _misfit(item, _NEEDED.get(kind, {})):
        return fault
    if kind in ("message", "reasoning"):
        return _part_fault(item, "content" if kind == "message" else "summary")
    if kind == "configuration_update" and not isinstance(item["reasoning"], dict):
        given = describe(item["reasoning"])
        return f"invalid type: {given}, expected struct ConfigurationReasoning"
    return None


def _misfit(item: Mapping[str, Any], needed: Mapping[str, str]) -> str | None:
    for name, value in item.items():
        expected = needed.get(name, _ANY)
        if name == "id" and value is not None:
            expected = _TEXT
        if not isinstance(value, _TYPES[expected]):
            return f"invalid type: {describe(value)}, expected {expected}"
    return _missing(item, needed)


def _part_fault(item: Mapping[str, Any], field: str) -> str | None:
    enum, variants = _PARTS[field]
    for part in item[field]:
        if not isinstance(part, dict):
            return _untagged(part, enum)
        if "type" not in part:
            return "missing field `type`"
        if part["type"] not in variants:
            return unknown_variant(part["type"], variants)
        if part["type"].endswith("_text") and (fault := _misfit(part, {"text": _TEXT})):
            return fault
    return None


def _untagged(value: Any, enum: str) -> str:
    if isinstance(value, list):
        return "missing field `type`"
    return f"invalid type: {describe(value)}, expected internally tagged enum {enum}"
