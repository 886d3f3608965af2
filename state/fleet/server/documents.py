"""The documents of threads in a fleet: some messages each, and a text to find them by.

The text is what the index of each machine has, normalized, and spelled so that PostgreSQL sees its
trigrams: it makes none of symbols and vowel signs.
"""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

import zstandard

from rollout.files.digest import blake2b

VERSION: Final = 1
"""Of the rules by which documents are made: when it changes, all are sent again."""
NAME: Final = "name"
"""Instead of the kind of a message: a part of the header of a thread."""
_LEVEL: Final = 3
MOST_BYTES: Final = 64 * 2**20
"""No messages are longer."""
_PLAIN: Final = b"["
"""What is too short to become shorter begins so."""


class BadDocument(Exception):
    """A document is not as it was written, or a newer version has written it."""


class Said(NamedTuple):
    """A message, or a part of the header of a thread."""

    kind: str
    turn_id: str
    item_id: str
    text: str


class _Spelled(dict[int, str]):
    def __missing__(self, code: int) -> str:
        letter = chr(code)
        shown = letter if letter.isascii() or letter.isalnum() else f"ux{code:x}"
        self[code] = shown
        return shown


_SPELLED: Final = _Spelled()


def spelled(normalized: str) -> str:
    """A normalized text, or a piece of it, for PostgreSQL: what is in a text is in its spelling."""
    return normalized if normalized.isascii() else normalized.translate(_SPELLED)


def plain(messages: Sequence[Said]) -> bytes:
    """The messages of a document, as JSON."""
    return json.dumps(messages, separators=(",", ":")).encode()


def packed(plain: bytes) -> bytes:
    """The same as it is stored."""
    return min(plain, zstandard.ZstdCompressor(_LEVEL).compress(plain), key=len)


def digest(plain: bytes) -> str:
    """By which two documents are compared."""
    return blake2b(b"%d%b" % (VERSION, plain), digest_size=12).hexdigest()


def decoded(data: bytes, most: int = MOST_BYTES) -> list[Said]:
    """The messages of a document that is stored as ``data``. Raises BadDocument, also if they are
    longer than so many bytes."""
    try:
        text = data
        if not data.startswith(_PLAIN):
            if not 0 <= zstandard.frame_content_size(data) <= most:
                raise BadDocument("they are larger than any")
            text = zstandard.ZstdDecompressor().decompress(data)
        found = [Said(*each) for each in json.loads(text)]
    except (ValueError, TypeError, RecursionError, zstandard.ZstdError) as error:
        raise BadDocument(str(error)) from error
    if not all(isinstance(value, str) for each in found for value in each):
        raise BadDocument("a field is no text")
    return found
