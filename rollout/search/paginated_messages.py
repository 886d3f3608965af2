"""The messages of a paginated thread, from its lines as they are: each has its turn and its id."""

from collections.abc import Iterable
from typing import Final

from rollout.items.line_events import parse_event
from rollout.items.thread_item import unknown_item
from rollout.jsonl.parse import Item
from rollout.schema import kinds
from rollout.schema.modes import PAGINATED
from rollout.schema.strict import Fields
from rollout.search.messages import Message, NeedsWholeFile, is_message, item_text
from rollout.turns.item_refs import Position, key_of

_EVENTS: Final = kinds.read_by(kinds.Reader.MESSAGES, kinds.Level.EVENT)
_TYPES: Final = kinds.read_by(kinds.Reader.MESSAGES, kinds.Level.ITEM)


class PaginatedMessages:
    """Reads messages from the lines of a paginated thread, and notices when other lines decide
    what is shown."""

    mode = PAGINATED
    skip = kinds.line_pattern(
        "(?:"
        + kinds.any_of(*kinds.passed_by(kinds.Reader.MESSAGES, kinds.Level.LINE))
        + "|"
        + kinds.payload_type("event_msg", kinds.none_of(*_EVENTS) + '[a-z_]{1,60}"')
        + ")"
    )
    """Matches all lines but messages and those that affect them."""
    goes_on = True
    """Whether a later pass may continue behind the last line."""

    def __init__(
        self, file: int, highest: int, keys: Iterable[int] = (), *, odd: bool = False
    ) -> None:
        """``odd``: it is known that other lines decide."""
        self._file = file
        self._highest = highest
        self._keys = set(keys)
        self._odd = odd
        self._messages: list[Message] = []
        self.end = 0
        """Where the last line ends that :meth:`take` was given."""

    def state(self) -> Fields:
        """What a later pass needs to continue."""
        return {"highest": self._highest}

    def messages(self) -> list[Message]:
        """The messages so far, in order."""
        return self._messages

    def pass_over(self, count: int, highest: int) -> None:
        self._highest = max(self._highest, highest)

    def take(self, line: Item, before: Position, after: Position) -> None:
        """Look at a line. Raises NeedsWholeFile if it decides what is shown, and is no message."""
        self.end = after.offset
        ordinal = line.get("ordinal")
        if not isinstance(ordinal, int) or isinstance(ordinal, bool):
            return
        if not self._highest < ordinal < ORDINAL_LIMIT:
            self._note_odd()
            return
        self._highest = ordinal
        match line.get("payload"):
            case {"type": "item_completed", "turn_id": str(turn_id), "item": {"id": str(id_)}}:
                pass
            case _:
                return
        if line["payload"]["item"].get("type") not in _TYPES:
            if message_key(turn_id, id_) in self._keys:
                self._note_odd()
            return
        read = parse_event(line)
        item = unknown_item(line["payload"]) if read is None else read.item
        key = message_key(turn_id, f"?{id_}" if read is None else id_)
        if key in self._keys:
            self._note_odd()
        if item is not None and is_message(item):
            self._keys.add(key)
            if text := item_text(item):
                place = self._file, before.offset
                self._messages.append(Message(*place, text, item["type"], turn_id, id_, key))

    def _note_odd(self) -> None:
        if not self._odd:
            raise NeedsWholeFile


def message_key(turn_id: str, item_id: str | None) -> int:
    """See :attr:`rollout.search.messages.Message.key`."""
    return key_of(f"{turn_id}\0{item_id}")


ORDINAL_LIMIT: Final = 2**63
"""SQLite's integers end before it."""
