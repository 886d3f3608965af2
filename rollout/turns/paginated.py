"""Turns of paginated threads (docs/rollout-format.md#turns-of-paginated-threads)."""

from collections.abc import Iterable
from re import Pattern
from typing import Final

from rollout.items.line_events import ABORTED, ITEM, STARTED, TurnEvent, parse_event
from rollout.items.thread_item import UNKNOWN, has_times, unknown_item
from rollout.jsonl.parse import Item
from rollout.schema import kinds
from rollout.schema.strict import U64, Fields
from rollout.turns.item_refs import Position, key_of
from rollout.turns.turn import COMPLETED, FAILED, INTERRUPTED, Turn


def paginated_skip(readers: kinds.Reader) -> Pattern[bytes]:
    """Matches lines that begin or end no turn and are no item, and into which no other of the
    ``readers`` looks."""
    kept = kinds.Kept.ALWAYS, kinds.Kept.PAGINATED
    responses = kinds.any_of(*kinds.passed_by(kinds.Reader.PAGINATED, kinds.Level.RESPONSE, *kept))
    lines = kinds.any_of(*kinds.passed_by(readers, kinds.Level.LINE, *kept))
    types = f"{kinds.payload_type('response_item', responses)}|{lines}|{kinds.TOKEN_COUNT}"
    return kinds.line_pattern(types, kinds.NUMBERED)


_SKIP: Final = paginated_skip(kinds.Reader.PAGINATED)


class PaginatedReducer:
    """Finds the turns of a paginated thread. It may begin at any line: the turns that begin
    there are as they would be."""

    skip = _SKIP

    def __init__(
        self,
        state: Fields | None = None,
        turns: Iterable[Turn] = (),
        orphans: Iterable[Turn] = (),
        *,
        shown_from: int = 0,
    ) -> None:
        """Start from scratch, or resume from the ``dump`` of an earlier reducer, its turns and its
        orphans. ``shown_from`` is the ``subagent_history_start_ordinal`` of the thread: lines
        before it are context, not its own."""
        state = state or {}
        self.turns = list(turns)
        self.orphans = {turn.id: turn for turn in orphans}
        self._known = {turn.id: turn for turn in self.turns} | self.orphans
        self._highest = int(state.get("highest", -1))
        self._shown_from = int(state.get("shown_from", shown_from))

    def dump(self) -> Fields:
        return {"highest": self._highest, "shown_from": self._shown_from}

    def pass_over(self, count: int, highest: int) -> None:
        self._highest = max(self._highest, highest)

    def end_part(self, end_ordinal: int) -> None:
        """The history leaves this file before this ordinal; the next file continues with it."""
        self._highest = min(self._highest, end_ordinal - 1)

    def take(self, item: Item, before: Position, after: Position) -> None:
        ordinal = item.get("ordinal")
        if not isinstance(ordinal, int) or isinstance(ordinal, bool):
            return
        if not self._highest < ordinal <= U64[1]:
            return
        read = parse_event(item)
        if read is not None:
            self._highest = ordinal
        if ordinal < self._shown_from:
            return
        if read is None:
            self._unknown(item, before, ordinal)
        elif read.turn:
            self._turn(read.kind, read.turn, before, after)
        elif read.kind == ITEM and read.item:
            self._item(read.payload["turn_id"], read.item, before, ordinal)

    def _turn(self, kind: str, event: TurnEvent, before: Position, after: Position) -> None:
        if event.turn_id is None:
            return  # an end in the form of 2025 names none
        turn = self._known.get(event.turn_id)
        started = kind == STARTED[0]
        if turn is None:
            turn = self._known[event.turn_id] = Turn(event.turn_id, before, started)
            self._begin(turn, event)
        elif event.turn_id in self.orphans:
            del self.orphans[event.turn_id]
            turn.start, turn.explicit = before, started
            self._begin(turn, event)
        if turn.end is not None:
            return
        turn.root_id = turn.root_id or event.root_id
        if started:
            turn.started_at = event.started_at
            return
        turn.status = INTERRUPTED if kind == ABORTED else FAILED if event.error else COMPLETED
        turn.error = event.error
        turn.started_at = event.started_at
        turn.completed_at = event.completed_at
        turn.duration_ms = event.duration_ms
        turn.end = after
        if turn.final_agent < 0:
            turn.final_agent = turn.last_agent

    def _begin(self, turn: Turn, event: TurnEvent) -> None:
        turn.root_id, turn.started_at = event.root_id, event.started_at
        self.turns.append(turn)

    def _item(self, turn_id: str, item: Fields, before: Position, ordinal: int) -> None:
        turn = self._turn_of(turn_id, before)
        key, kind = key_of(item["id"]), item["type"]
        timed = has_times(item)
        record = turn.items.find(key)
        if record >= 0:
            turn.items.replace(record, kind, before, timed=timed)
        else:
            record = turn.items.add(kind, before, ordinal, key=key, timed=timed)
        if turn.end is None:
            _summarise(turn, record, item)

    def _turn_of(self, turn_id: str, before: Position) -> Turn:
        turn = self._known.get(turn_id)
        if turn is None:
            turn = self._known[turn_id] = self.orphans[turn_id] = Turn(turn_id, before, False)
        return turn

    def _unknown(self, line: Item, before: Position, ordinal: int) -> None:
        """Keep an item that Codex cannot read, such as one of a newer version's type; nothing
        depends on it."""
        payload = line.get("payload")
        if not isinstance(payload, dict) or payload.get("type") != ITEM:
            return
        item, turn_id = unknown_item(payload), payload.get("turn_id")
        if item and isinstance(turn_id, str):
            items = self._turn_of(turn_id, before).items
            key = key_of(f"?{item['id']}")
            if items.find(key) < 0:
                items.add(UNKNOWN, before, ordinal, key=key)


def _summarise(turn: Turn, record: int, item: Fields) -> None:
    """Note an item of an open turn for the summary of that turn."""
    kind = item["type"]
    if kind == "userMessage":
        turn.first_user = record if turn.first_user < 0 else min(record, turn.first_user)
    elif kind == "agentMessage" and item["phase"] == "final_answer":
        turn.final_agent = record
    if kind == "agentMessage" and item["phase"] is None:
        turn.last_agent = record
    elif record == turn.last_agent:
        turn.last_agent = -1
