"""Texts of Codex's (serde's) errors for parameters that are invalid."""

from collections.abc import Callable, Sequence
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
}
_LONG: Final = ("afterPosition", "snapshotEnd", "requiredThroughPosition")
"""Names of 64-bit numbers."""
Length = Callable[[str], int]
"""How many fields a type of Codex's has, by its name: Codex accepts a sequence of that length for
an object of the type. 0 if it does not."""


def invalid_params(error: ValidationError, length: Length) -> str:
    """The text for the first error of several."""
    return f"Invalid request: {_text(error.errors()[0], length)}"


def bare_uuid(text: str) -> str:
    """A UUID without the prefix or braces it may have."""
    return text.removeprefix("urn:uuid:").removeprefix("{").removesuffix("}")


def invalid_uuid(text: str) -> str:
    """Why a text is no UUID."""
    allowed = "an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-]"
    for position, letter in enumerate(text, 1):
        if letter not in "0123456789abcdefABCDEF-":
            return f"invalid character: expected {allowed}, found `{letter}` at {position}"
    length = len(text.replace("-", ""))
    return f"invalid length: expected length 32 for simple format, found {length}"


def _text(error: ErrorDetails, length: Length) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["loc"][:2] == ("cursor", "str"):  # tried before the anchor
        return "data did not match any variant of untagged enum ThreadItemsListCursor"
    if error["loc"][:1] == ("requestId",) and kind != "missing":
        return "data did not match any variant of untagged enum RequestId"
    if kind == "missing":
        return f"missing field `{name}`"
    if kind in ("greater_than_equal", "less_than"):
        expected = "u64" if name in _LONG else "u32"
        return f"invalid value: {describe(given)}, expected {expected}"
    if kind == "literal_error":
        if not isinstance(given, str):
            return f"invalid type: {describe(given)}, expected string or map"
        known = str(context.get("expected", "")).replace(" or ", ", ").replace("'", "").split(", ")
        return unknown_variant(given, known)
    if kind in ("model_type", "model_attributes_type"):
        name = str(context.get("class_name"))
        return _no_struct(given, name, length(name))
    # The first of the two types that it may have
    if error["loc"] == ("cwd", "str"):
        return "data did not match any variant of untagged enum ThreadListCwdFilter"
    return f"invalid type: {describe(given)}, expected {_EXPECTED.get(kind, error['msg'])}"


def _no_struct(given: Any, name: str, fields: int) -> str:
    if isinstance(given, list) and fields:
        elements = f"{fields} element{'s' * (fields > 1)}"
        return f"invalid length {len(given)}, expected struct {name} with {elements}"
    return f"invalid type: {describe(given)}, expected struct {name}"


def unknown_variant(given: Any, variants: Sequence[str]) -> str:
    """The text for a value that is none of the variants of an enum."""
    known = [f"`{name}`" for name in variants]
    expected = f"one of {', '.join(known)}" if len(known) > 2 else " or ".join(known)
    return f"unknown variant `{given}`, expected {expected}"


def describe(value: Any) -> str:
    """A JSON value as serde's errors name it."""
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
