"""Opaque, versioned list cursors, bound to the sort, direction and filters they came from.

Codex's are accepted, too: a time, or a time and an id (docs/differences.md#lists).
"""

import binascii
import json
import re
from typing import Final, NamedTuple

from rollout.files.layout import name_time_ms, parse_uuid
from rollout.schema.times import time_ms
from state.db.steps import LAST_TEXT
from state.errors import InvalidCursor

_VERSION: Final = 1
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_LONGEST: Final = 512
_RFC3339: Final = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)"


class Cursor(NamedTuple):
    """A position in a list: strictly after ``(key_ms, thread_id)`` in its direction.

    An empty ``thread_id`` is after every thread of that millisecond.
    """

    sort_key: str
    descending: bool
    filters: str
    """Digest of the filters."""
    key_ms: int
    thread_id: str

    def encode(self) -> str:
        """The cursor as text for a client to hand back."""
        direction = "desc" if self.descending else "asc"
        fields = [_VERSION, self.sort_key, direction, self.filters, self.key_ms, self.thread_id]
        text = json.dumps(fields, separators=(",", ":"))
        coded = binascii.b2a_base64(text.encode(), newline=False)
        return coded.translate(_TO_URL).decode().rstrip("=")


def decode(text: str, sort_key: str, descending: bool, filters: str) -> Cursor:
    """The cursor in ``text``. Raises InvalidCursor if it is malformed, from another version, or
    from another list."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    if len(text) > _LONGEST:
        raise InvalidCursor(shown, "too long")
    if (theirs := _codex_position(text, descending)) is not None:
        return Cursor(sort_key, descending, filters, *theirs)
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        fields = json.loads(binascii.a2b_base64(padded.translate(_FROM_URL), strict_mode=True))
        json.dumps(fields, ensure_ascii=False).encode()  # SQLite takes no lone surrogates
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidCursor(shown, "not one of threadkeep's") from None
    if not isinstance(fields, list) or not fields:
        raise InvalidCursor(shown, "not one of threadkeep's")
    if fields[0] != _VERSION:
        raise InvalidCursor(shown, "from another version of threadkeep")
    match fields[1:]:
        case [str(key), "asc" | "desc" as direction, str(digest), int(key_ms), str(thread_id)] if (
            not isinstance(key_ms, bool) and -(2**63) <= key_ms < 2**63
        ):
            cursor = Cursor(key, direction == "desc", digest, key_ms, thread_id)
        case _:
            raise InvalidCursor(shown, "not one of threadkeep's")
    if cursor.sort_key != sort_key:
        raise InvalidCursor(shown, f"it belongs to a list sorted by {cursor.sort_key}")
    if cursor.descending != descending:
        raise InvalidCursor(shown, "it belongs to a list in the other direction")
    if cursor.filters != filters:
        raise InvalidCursor(shown, "it belongs to a list with other filters")
    return cursor


def _codex_position(text: str, descending: bool) -> tuple[int, str] | None:
    """The position in a cursor of Codex's: after a thread, or after all threads of a moment."""
    time, bar, given = text.partition("|")
    key_ms = time_ms(time) if re.fullmatch(_RFC3339, time, re.ASCII) else name_time_ms(time)
    if key_ms is None:
        return None
    if not bar:
        return key_ms, "" if descending else LAST_TEXT
    thread_id = parse_uuid(given)
    return None if thread_id is None else (key_ms, thread_id)
