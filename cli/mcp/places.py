"""Where the reading of a thread continues: a place in a turn, as a cursor."""

import base64
import binascii
import json
from typing import Final, NamedTuple

from cli.turns.heads import Key, TurnKey
from state.errors import InvalidCursor

_VERSION: Final = 1
_LONGEST: Final = 1_000


class Place(NamedTuple):
    """A place in a turn."""

    turn: TurnKey
    chunk: int = 0
    """A part of the turn."""
    block: Key = (0, 0)
    offset: int = 0
    """Where in the text of the block, in characters."""

    def encode(self) -> str:
        """The cursor for it."""
        fields = [_VERSION, *self.turn, self.chunk, *self.block, self.offset]
        text = json.dumps(fields, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(cursor: str) -> Place:
    """The place that a cursor means. Raises InvalidCursor if it means none."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match json.loads(base64.b64decode(padded, b"-_", validate=True)):
            case [1, str(id_), int(file), int(at), int(chunk), int(entry), int(number), int(to)]:
                if min(chunk, entry, number, to) >= 0:
                    return Place((id_, file, at), chunk, (entry, number), to)
    except (ValueError, RecursionError, binascii.Error):  # not ours
        pass
    raise InvalidCursor(cursor[:100], "not one of threadkeep's")
