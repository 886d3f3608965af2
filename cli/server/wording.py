"""What is wrong with the parameters of a request, in the words that Codex uses (§6.1)."""

from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_EXPECTED: Final = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "int_type": "u32",
    "int_from_float": "u32",
    "list_type": "a sequence",
    "dict_type": "a map",
    "model_type": "a struct",
    "model_attributes_type": "a struct",
}


def invalid_params(error: ValidationError) -> str:
    """The first thing that is wrong."""
    return f"Invalid request: {_worded(error.errors()[0])}"


def invalid_uuid(text: str) -> str:
    """Why a text is no UUID."""
    allowed = "an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-]"
    for place, letter in enumerate(text, 1):
        if letter not in "0123456789abcdefABCDEF-":
            return f"invalid character: expected {allowed}, found `{letter}` at {place}"
    length = len(text.replace("-", ""))
    return f"invalid length: expected length 32 for simple format, found {length}"


def _worded(error: ErrorDetails) -> str:
    kind, given = error["type"], error["input"]
    name = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "missing":
        return f"missing field `{name}`"
    if kind in ("greater_than_equal", "less_than"):
        return f"invalid value: {_described(given)}, expected u32"
    if kind == "literal_error":
        if not isinstance(given, str):
            return f"invalid type: {_described(given)}, expected string or map"
        context = error.get("ctx", {})
        known = str(context.get("expected", "")).replace(" or ", ", ").replace("'", "`").split(", ")
        return f"unknown variant `{given}`, expected {_choice(known)}"
    return f"invalid type: {_described(given)}, expected {_EXPECTED.get(kind, error['msg'])}"


def _choice(known: list[str]) -> str:
    return " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}"


def _described(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
        case list():
            return "sequence"
    return "map"
