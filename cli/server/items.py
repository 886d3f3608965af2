"""Whether response items are what Codex takes for such, in its words: a line that Codex could not
read would be lost to it. Items of an unknown type are taken, as Codex does."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.server.messages import Fault, invalid_request
from cli.server.wording import described

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
    "tool_search_output": {"status": _ANY},
    "image_generation_call": {"status": _ANY, "result": _ANY},
    "compaction": {"encrypted_content": _ANY},
    "compaction_summary": {"encrypted_content": _ANY},
    "additional_tools": {"role": _ANY},
}
"""What items of a type must have, in the order in which Codex misses it, and of which JSON type."""
_PARTS: Final = ("input_text", "input_image", "input_audio", "output_text")


def check_items(items: Sequence[Any]) -> None:
    """Refuse what is to be injected if it is not all response items.

    Raises:
        Fault: there is nothing, or one of them is none.
    """
    if not items:
        raise _invalid("items must not be empty")
    for number, item in enumerate(items):
        if fault := _fault(item):
            raise _invalid(f"items[{number}] is not a valid response item: {fault}")


def _invalid(text: str) -> Fault:
    return invalid_request(text, "invalid_params")


def _fault(item: Any) -> str | None:
    if not isinstance(item, dict):
        return _untagged(item, "ResponseItem")
    kind = item.get("type")
    if "type" not in item:
        return "missing field `type`"
    if not isinstance(kind, str):
        given = "number" if isinstance(kind, int | float) else described(kind)
        return f"invalid type: {given}, expected variant identifier"
    return _misfit(item, _NEEDED.get(kind, {})) or (
        _part_fault(item["content"]) if kind == "message" else None
    )


def _misfit(item: Mapping[str, Any], needed: Mapping[str, str]) -> str | None:
    for name, value in item.items():
        if (needed.get(name) == _TEXT and not isinstance(value, str)) or (
            needed.get(name) == _LIST and not isinstance(value, list)
        ):
            return f"invalid type: {described(value)}, expected {needed[name]}"
    missing = next((name for name in needed if name not in item), None)
    return missing and f"missing field `{missing}`"


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
    return f"invalid type: {described(value)}, expected internally tagged enum {of}"
