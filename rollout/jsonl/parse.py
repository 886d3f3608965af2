"""Parses a line of a rollout leniently: what is wrong with a line is data, not an exception."""

import json
import math
import re
from typing import Any, Final, NamedTuple

import orjson

from rollout.files.text import storable_text


class Line(NamedTuple):
    """One line without its newline; ``offset`` is in bytes from the start of the content."""

    offset: int
    data: bytes | bytearray
    ended: bool = True


class BadLine(NamedTuple):
    """A line that cannot be used, where it begins, and why."""

    offset: int
    reason: str
    ended: bool = True


Item = dict[str, Any]

BLANK: Final = b" \t\r\n\0"
_LONG_TEXT: Final = 2**20
_MOST_VALUES: Final = 2 * 2**20
"""The most values that a line may hold: 128 MB of ``{"a":1},`` are 6 GB of objects."""
_LONGEST_INTEGER: Final = 20
_DATA_URL: Final = re.compile(rb'"(data:[a-zA-Z0-9.+/;=_-]{1,200},)[^"\\]{1024,}"')
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_JSON_KINDS: Final[dict[type, str]] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "array",
    type(None): "null",
}


def parse_line(line: Line, *, images: bool = False) -> dict[str, Any] | BadLine | None:
    """The JSON object in a line; None if it is blank (white space and NULs only). ``images``: keep
    the inline images of very long lines, too.

    More lenient than Codex: it accepts a byte order mark, NULs around the object and bytes that
    are not UTF-8. Never raises for bad content.
    """
    data: bytes | bytearray = line.data
    if not data:
        return None
    if len(data) < _LONG_TEXT:
        try:
            value = orjson.loads(data)
        except ValueError:
            pass
        else:
            return value if isinstance(value, dict) else _no_object(line, value)
    data = data.strip(BLANK)
    if not data:
        return None
    if len(data) >= _LONG_TEXT and not images:
        # The usual reason for such a line is an inline image, which nobody needs.
        data = _DATA_URL.sub(rb'"\1"', data)
    if _values(data) > _MOST_VALUES:
        return BadLine(line.offset, f"more than {_MOST_VALUES:,} values")
    try:
        value = _parse_leniently(data)
    except RecursionError:
        return BadLine(line.offset, "nested too deeply")
    except ValueError as error:
        return BadLine(line.offset, f"not valid JSON: {error}")
    return value if isinstance(value, dict) else _no_object(line, value)


def object_of(line: Line | BadLine) -> Item | None:
    """The JSON object in a line; None if there is none that can be used."""
    item = parse_line(line) if isinstance(line, Line) else None
    return None if isinstance(item, BadLine) else item


def _values(data: bytes | bytearray) -> int:
    """About how many values a JSON text has, counted until they are too many."""
    count = _count_marks(data)
    if count <= _MOST_VALUES:
        return count
    # The marks may be inside strings, such as the JSON output of a tool.
    bare, strings = _STRING.subn(b"", data, _MOST_VALUES)
    return max(strings, _count_marks(bare))


def _count_marks(data: bytes | bytearray) -> int:
    return 0 if len(data) < _MOST_VALUES else sum(map(data.count, (b",", b"[", b"{")))


def _no_object(line: Line, value: object) -> BadLine:
    return BadLine(line.offset, f"a JSON {_JSON_KINDS[type(value)]}, not an object")


def _parse_leniently(data: bytes | bytearray) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
        return storable(_LENIENT.decode(text))


def _number(text: str) -> int | float | None:
    """A number as orjson gives it: an integer of up to 64 bits, else a float. None for ``NaN``,
    ``Infinity`` and what is too large for a float."""
    if len(text) <= _LONGEST_INTEGER and text.lstrip("-").isdigit():
        whole = int(text)
        if -(2**63) <= whole < 2**64:
            return whole
    value = float(text)
    return value if math.isfinite(value) else None


_LENIENT: Final = json.JSONDecoder(
    strict=False, parse_int=_number, parse_float=_number, parse_constant=_number
)


def storable(value: Any) -> Any:
    """``value`` with all its texts as :func:`rollout.files.text.storable_text` makes them."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def compact_json(value: object) -> str | None:
    """``value`` as Codex writes it; None if it is nested too deeply."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer over 64 bits, or too deep for orjson
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            return None
