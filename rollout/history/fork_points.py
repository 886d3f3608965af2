"""Where a fork of a thread can begin: between its turns."""

from rollout.jsonl.parse import Item
from rollout.turns.item_refs import Position
from rollout.turns.legacy import LegacyReducer, skip_pattern
from rollout.turns.paginated import PaginatedReducer
from rollout.turns.turn import Turn


class LegacyForkPoints(LegacyReducer):
    """Fork points of a legacy thread: what was sent with a message stands before it, and belongs
    to the turn that begins with it."""

    skip = skip_pattern('assistant"')  # others may be sent with a message

    def __init__(self) -> None:
        super().__init__()
        self._starts: list[Position] = []
        """Of all turns there ever were."""
        self._prompt: Position | None = None
        """Where the lines begin that belong to the user's message behind them."""

    def pass_over(self, count: int, highest: int) -> None:
        super().pass_over(count, highest)
        if count:
            self._prompt = None

    def take(self, item: Item, before: Position, after: Position) -> None:
        count = self._index
        super().take(item, before, after)
        if self._index == count:
            return
        kind, payload = item["type"], item["payload"]
        sent = kind == "response_item" and payload.get("role") in ("user", "developer")
        if sent or kind == "turn_context":
            self._prompt = self._prompt or before
        else:
            self._prompt = None

    def end_of(self, turn: Turn) -> Position | None:
        """Where a history that ends with ``turn`` ends; None if that is the end of the thread."""
        return next((start for start in self._starts if start > turn.start), None)

    def _open(self, turn: Turn) -> None:
        if not turn.explicit and self._prompt:
            turn.start = self._prompt
        self._starts.append(turn.start)
        super()._open(turn)


class PaginatedForkPoints(PaginatedReducer):
    """Fork points of a paginated thread: a turn lasts until its end is written."""

    def end_of(self, turn: Turn) -> Position | None:
        """Where a history that ends with ``turn`` ends."""
        return turn.end


ForkPoints = LegacyForkPoints | PaginatedForkPoints
