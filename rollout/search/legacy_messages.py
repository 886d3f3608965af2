"""The messages of a legacy thread with their turns and ids, which depend on its other events."""

from typing import Final

from rollout.items.thread_item import UNKNOWN, unknown_item
from rollout.jsonl.parse import Item
from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields
from rollout.search.messages import MESSAGES, Message, NeedsWholeFile, is_message, item_text
from rollout.turns.item_refs import Position
from rollout.turns.legacy import LegacyReducer
from rollout.turns.turn import Turn

_BEFORE: Final = Position(0, 0, 0)
"""Stands for all lines of an earlier pass; no message of a later one is there."""


class LegacyMessages(LegacyReducer):
    """Finds the turns of a legacy thread and keeps the texts of their messages."""

    mode = LEGACY

    def __init__(self, state: Fields | None = None) -> None:
        """With the ``state`` of an earlier pass it continues behind it: of the earlier turns, only
        the open one is known, and of its items only the kind of the last one. Raises NeedsWholeFile
        if ``state`` is not what :meth:`state` gave."""
        try:
            super().__init__(state, [] if state is None else _open_turn(state))
        except (KeyError, TypeError, ValueError):
            raise NeedsWholeFile from None
        self._resumed = state is not None
        self._texts: dict[int, tuple[str, str | None, str]] = {}
        self.goes_on = True
        """Whether a later pass may continue behind the last line: unless a message has an id of its
        own, so that a later item may take its place."""

    def state(self) -> Fields:
        """What a later pass needs to continue."""
        turn = self._current
        known = None if turn is None else [turn.id, turn.explicit, turn.items.last_kind()]
        return {**self.dump(), "turn": known}

    def messages(self) -> list[Message]:
        """The messages that the turns have, in order. Raises NeedsWholeFile if there is no turn:
        response items may then be the only messages."""
        if not self.turns and not self._resumed:
            raise NeedsWholeFile
        found = []
        for turn in (*self.orphans.values(), *self.turns):
            for ref in turn.items.of_kinds(*MESSAGES, UNKNOWN):
                offset = ref.offsets[0]
                if (known := self._texts.get(offset)) is not None:
                    kind, item_id, text = known
                    if item_id is None:
                        item_id = f"at-{offset}" if ref.kind == UNKNOWN else f"item-{ref.number}"
                    found.append(Message(0, offset, text, kind, turn.id, item_id))
        return found

    def _named(self, turn_id: str | None) -> Turn | None:
        found = super()._named(turn_id)
        if found is None and turn_id is not None and self._resumed:
            raise NeedsWholeFile
        return found

    def _roll_back(self, count: int) -> None:
        if self._resumed:
            raise NeedsWholeFile
        super()._roll_back(count)

    def _put(self, turn: Turn, item: Fields, before: Position) -> None:
        # It may take the place of a message that got this id, which an earlier pass has read.
        if self._resumed and item["id"] is not None and item["id"].startswith("item-"):
            raise NeedsWholeFile
        super()._put(turn, item, before)
        self._keep(item, before)

    def _unknown(self, line: Item, before: Position) -> None:
        super()._unknown(line, before)
        payload = line.get("payload")
        if line.get("type") == "event_msg" and isinstance(payload, dict):
            item = unknown_item(payload)
            if item is not None and self._keep(item, before, readable=False) and self._resumed:
                raise NeedsWholeFile  # it belongs to the last turn, which may have ended before

    def _keep(self, item: Fields, before: Position, *, readable: bool = True) -> bool:
        if not is_message(item) or not (text := item_text(item)):
            return False
        self._texts[before.offset] = (item["type"], item["id"], text)
        self.goes_on &= not readable or item["id"] is None
        return True


def _open_turn(state: Fields) -> list[Turn]:
    if not state["open"]:
        return []
    turn_id, explicit, last_kind = state["turn"]
    turn = Turn(str(turn_id), _BEFORE, bool(explicit))
    if last_kind is not None:
        turn.items.add(last_kind, _BEFORE, 0)
    return [turn]
