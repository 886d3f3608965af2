"""A line of a rollout to an object, leniently: what is wrong with a line is data, not an
exception."""

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
    """A line that cannot be used, with its place and what is wrong with it."""

    offset: int
    reason: str
    ended: bool = True


_BLANK: Final = b" \t\r\n\0"


Item = dict[str, Any]


_LONG_TEXT: Final = 2**20


_MOST_VALUES: Final = 2 * 2**20
"""What a line may hold of them: 128 MB of ``{"a":1},`` are 6 GB of objects."""


_DATA_URL = re.compile(rb'"(data:[a-zA-Z0-9.+/;=_-]{1,200},)[^"\\]{1024,}"')


def parse_line(line: Line, *, images: bool = False) -> dict[str, Any] | BadLine | None:
    """The JSON object in a line; None when it is blank (white space and NULs only). ``images``:
    also the inline ones of very long lines.

    More lenient than Codex: a byte order mark, NULs around the object and bytes that are not
    UTF-8 are put up with. Never raises for bad content.
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
    data = data.strip(_BLANK)
    if not data:
        return None
    if len(data) >= _LONG_TEXT and not images:
        # An inline image is the usual reason for such a line and never needed whole.
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


def _values(data: bytes | bytearray) -> int:
    """About how many values are in a JSON text; no more than it takes to have too many."""
    count = _count_marks(data)
    if count <= _MOST_VALUES:
        return count
    # They may be within strings, as of a tool that gave JSON.
    bare, strings = _STRING.subn(b"", data, _MOST_VALUES)
    return max(strings, _count_marks(bare))


def _count_marks(data: bytes | bytearray) -> int:
    return 0 if len(data) < _MOST_VALUES else sum(map(data.count, (b",", b"[", b"{")))


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def _no_object(line: Line, value: object) -> BadLine:
    return BadLine(line.offset, f"a JSON {_JSON_KINDS[type(value)]}, not an object")


_JSON_KINDS: Final[dict[type, str]] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "array",
    type(None): "null",
}


def _parse_leniently(data: bytes | bytearray) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
        return storable(_LENIENT.decode(text))


def _number(text: str) -> int | float | None:
    """A number as the usual parser gives it: an integer of up to 64 bits, else a float. None for
    what nobody can count or print: ``NaN``, ``Infinity`` and what is beyond all floats."""
    if len(text) <= _LONGEST_INTEGER and text.lstrip("-").isdigit():
        whole = int(text)
        if -(2**63) <= whole < 2**64:
            return whole
    value = float(text)
    return value if math.isfinite(value) else None


_LONGEST_INTEGER: Final = 20


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
    """``value`` as Codex would write it; None if it is nested too deeply to be written."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer over 64 bits, or deeper than orjson goes
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            return None
