"""Response items that a client injects: whether they are what Codex takes for such, in its words,
as a line that Codex could not read would be lost to it; and the lines that they make."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.server.protocol.messages import RpcError, invalid_request
from cli.server.protocol.serde_wording import describe
from rollout.items.line_events import RESPONSES
from rollout.jsonl.parse import Item

_TEXT: Final = "a string"
_LIST: Final = "a sequence"
_ANY: Final = ""
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
"""What items of a type must have, in the order in which Codex misses it, and of which JSON type."""
_RETENTIONS: Final = {"default": False, "always": True}
"""Whether an item outlives a compaction: how a client says it, and how a line does."""
_PARTS: Final = ("input_text", "input_image", "input_audio", "output_text")


def response_lines(items: Sequence[Any]) -> list[Item]:
    """The lines of what is to be injected: response items, or such with a ``retention`` around
    them. Items of unknown types are taken and make none, as with Codex.

    Raises:
        RpcError: there is nothing, or one of them is no response item.
    """
    if not items:
        raise _invalid("items must not be empty")
    lines: list[Item] = []
    for number, given in enumerate(items):
        wrapped = _wrapped(given)
        if fault := _fault(given) if wrapped is None else _wrapped_fault(wrapped):
            raise _invalid(f"items[{number}] is not a valid response item: {fault}")
        item = given if wrapped is None else wrapped["item"]
        if item["type"] in RESPONSES:
            line: Item = {"type": "response_item", "payload": item}
            if wrapped is not None:
                kept = _RETENTIONS[wrapped["retention"]]
                line["metadata"] = {"retain_across_windows": kept}
            lines.append(line)
    return lines


def _wrapped(given: Any) -> Mapping[str, Any] | None:
    """An item with what is said of it; None if it stands for itself."""
    if isinstance(given, list) and len(given) == 2:
        return {"item": given[0], "retention": given[1]}
    return given if isinstance(given, dict) and "type" not in given else None


def _wrapped_fault(wrapped: Mapping[str, Any]) -> str | None:
    for name, value in wrapped.items():
        if fault := {"item": _fault_of_item, "retention": _retention_fault}.get(name, _fine)(value):
            return fault
    missing = next((name for name in ("item", "retention") if name not in wrapped), None)
    return missing and f"missing field `{missing}`"


def _fine(_: Any) -> str | None:
    return None


def _retention_fault(value: Any) -> str | None:
    if isinstance(value, str):
        known = " or ".join(f"`{name}`" for name in _RETENTIONS)
        return None if value in _RETENTIONS else f"unknown variant `{value}`, expected {known}"
    return f"invalid type: {_vaguely(value)}, expected string or map"


def _vaguely(value: Any) -> str:
    """As Codex names a value that it has put aside for a while."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else describe(value)


def _invalid(text: str) -> RpcError:
    return invalid_request(text, "invalid_params")


def _fault(given: Any) -> str | None:
    if isinstance(given, list):
        return f"invalid length {len(given)}, expected struct WrappedItem with 2 elements"
    if not isinstance(given, dict):
        return f"invalid type: {_vaguely(given)}, expected struct WrappedItem"
    return _fault_of_item(given)


def _fault_of_item(item: Any) -> str | None:
    if not isinstance(item, dict):
        return _untagged(item, "ResponseItem")
    kind = item.get("type")
    if "type" not in item:
        return "missing field `type`"
    if not isinstance(kind, str):
        return f"invalid type: {_vaguely(kind)}, expected variant identifier"
    if kind not in RESPONSES:
        return None
    if fault := _misfit(item, _NEEDED.get(kind, {})):
        return fault
    if kind == "message":
        return _part_fault(item["content"])
    if kind == "reasoning":
        return _summary_fault(item["summary"])
    if kind == "configuration_update" and not isinstance(item["reasoning"], dict):
        given = describe(item["reasoning"])
        return f"invalid type: {given}, expected struct ConfigurationReasoning"
    return None


def _misfit(item: Mapping[str, Any], needed: Mapping[str, str]) -> str | None:
    for name, value in item.items():
        if name == "id" and value is not None and not isinstance(value, str):
            return f"invalid type: {describe(value)}, expected {_TEXT}"
        if (needed.get(name) == _TEXT and not isinstance(value, str)) or (
            needed.get(name) == _LIST and not isinstance(value, list)
        ):
            return f"invalid type: {describe(value)}, expected {needed[name]}"
    missing = next((name for name in needed if name not in item), None)
    return missing and f"missing field `{missing}`"


def _summary_fault(parts: Sequence[Any]) -> str | None:
    for part in parts:
        if not isinstance(part, dict):
            return _untagged(part, "ReasoningItemReasoningSummary")
        if "type" not in part:
            return "missing field `type`"
        if part["type"] != "summary_text":
            return f"unknown variant `{part['type']}`, expected `summary_text`"
        if fault := _misfit(part, {"text": _TEXT}):
            return fault
    return None


def _part_fault(parts: Sequence[Any]) -> str | None:
    for part in parts:
        if not isinstance(part, dict):
            return _untagged(part, "ContentItem")
        if "type" not in part:
            return "missing field `type`"
        if part["type"] not in _PARTS:
            known = ", ".join(f"`{name}`" for name in _PARTS)
            return f"unknown variant `{part['type']}`, expected one of {known}"
        if part["type"].endswith("_text") and (fault := _misfit(part, {"text": _TEXT})):
            return fault
    return None


def _untagged(value: Any, of: str) -> str:
    if isinstance(value, list):
        return "missing field `type`"
    return f"invalid type: {describe(value)}, expected internally tagged enum {of}"
