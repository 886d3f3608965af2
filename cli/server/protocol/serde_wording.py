"""What is wrong with the parameters of a request, in the words that Codex uses."""

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
"""Numbers of 64 bits."""
_FIELDS: Final = {
    "InitializeParams": 2,
    "ClientInfo": 3,
    "InitializeCapabilities": 0,
    "ThreadListParams": 20,
    "ThreadReadParams": 2,
    "ThreadSearchParams": 9,
    "ThreadRealtimeListParams": 11,
    "ThreadSearchCancelParams": 1,
    "ThreadSearchOccurrencesParams": 4,
    "ThreadLoadedListParams": 2,
    "ThreadStartParams": 27,
    "ThreadResumeParams": 18,
    "ThreadForkParams": 23,
    "ThreadSetNameParams": 2,
    "ThreadMetadataGitInfoUpdateParams": 0,
    "ThreadMetadataUpdateParams": 4,
    "ThreadMemoryModeSetParams": 2,
    "ThreadArchiveParams": 1,
    "ThreadUnarchiveParams": 1,
    "ThreadDeleteParams": 1,
    "ThreadUnsubscribeParams": 1,
    "ThreadResumeInitialTurnsPageParams": 3,
    "ThreadTurnsListParams": 5,
    "ThreadItemsListParams": 6,
    "ThreadItemsReadParams": 3,
    "ThreadItemOutputDeferral": 2,
    "ThreadInjectItemsParams": 2,
}
"""How many fields Codex has in the types of :mod:`cli.server.protocol.params` (0: not known). It
accepts a sequence of that length for an object."""


def invalid_params(error: ValidationError) -> str:
    """The first thing that is wrong."""
    return f"Invalid request: {_text(error.errors()[0])}"


def bare_uuid(text: str) -> str:
    """A UUID without what it may be written with."""
    return text.removeprefix("urn:uuid:").removeprefix("{").removesuffix("}")


def invalid_uuid(text: str) -> str:
    """Why a text is no UUID."""
    allowed = "an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-]"
    for place, letter in enumerate(text, 1):
        if letter not in "0123456789abcdefABCDEF-":
            return f"invalid character: expected {allowed}, found `{letter}` at {place}"
    length = len(text.replace("-", ""))
    return f"invalid length: expected length 32 for simple format, found {length}"


def _text(error: ErrorDetails) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["loc"][:2] == ("cursor", "str"):  # or else it would be an anchor
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
        known = str(context.get("expected", "")).replace(" or ", ", ").replace("'", "`").split(", ")
        return f"unknown variant `{given}`, expected {_choice(known)}"
    if kind in ("model_type", "model_attributes_type"):
        return _no_struct(given, str(context.get("class_name")))
    # The first of two things that it may be
    if error["loc"] == ("cwd", "str"):
        return "data did not match any variant of untagged enum ThreadListCwdFilter"
    return f"invalid type: {describe(given)}, expected {_EXPECTED.get(kind, error['msg'])}"


def _no_struct(given: Any, name: str) -> str:
    fields = _FIELDS.get(name, 0)
    if isinstance(given, list) and fields:
        elements = f"{fields} element{'s' * (fields > 1)}"
        return f"invalid length {len(given)}, expected struct {name} with {elements}"
    return f"invalid type: {describe(given)}, expected struct {name}"


def _choice(known: list[str]) -> str:
    return " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}"


def describe(value: Any) -> str:
    """A JSON value as Codex's errors name it."""
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
