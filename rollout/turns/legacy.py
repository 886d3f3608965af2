"""Turns of legacy threads, with Codex's ids
(docs/rollout-format.md#turns-of-legacy-threads)."""

from collections.abc import Iterable
from functools import lru_cache
from re import Pattern
from typing import Any, Final

from rollout.items import line_events
from rollout.items.paginated import ITEM_BUILDERS
from rollout.items.thread_item import UNKNOWN, has_times, hook_item, may_be_hook, unknown_item
from rollout.jsonl.parse import Item
from rollout.schema import kinds
from rollout.schema.strict import Fields
from rollout.turns.item_refs import NUMBERED, Position, key_of
from rollout.turns.turn import COMPLETED, FAILED, IN_PROGRESS, INTERRUPTED, Turn

_KEPT: Final = (kinds.Kept.ALWAYS, kinds.Kept.LEGACY)


def skip_pattern(roles: str) -> Pattern[bytes]:
    """Matches lines that begin no turn and are no item, messages whose role, and what follows it,
    match ``roles`` among them."""
    responses = kinds.any_of(*kinds.passed_by(kinds.Reader.LEGACY, kinds.Level.RESPONSE, *_KEPT))
    message = rf'message",(?:"id":(?:"[^"\\]*"|null),)?"role":"(?:{roles})'
    lines = kinds.any_of(*kinds.passed_by(kinds.Reader.LEGACY, kinds.Level.LINE, *_KEPT))
    response = kinds.payload_type("response_item", f"(?:{responses}|{message})")
    return kinds.line_pattern(
        f"(?:{response}|{lines}|{kinds.TOKEN_COUNT})(?P<counted>)", kinds.PLAIN
    )


# A message of a user may be the prompt of a hook: that begins with a tag that has attributes.
_NO_HOOK: Final = r'\[\{"type":"input_text","text":"(?:[!#-;=-\[\]-~]|<[a-z_]+>)'
_SKIP: Final = skip_pattern(rf'(?:assistant|developer|system)"|user","content":{_NO_HOOK}')
_COUNTED: Final = frozenset(
    name
    for level in (kinds.Level.LINE, kinds.Level.EVENT)
    for name, kept in kinds.kept_as(level).items()
    if kept in _KEPT
)
_EMPTY_IF: Final = {"agent_message": "message", "agent_reasoning": "text"} | {
    "agent_reasoning_raw_content": "text"
}
_NAMED: Final = frozenset({"patch_apply_end", "mcp_tool_call_end"})
_ALWAYS_NEW: Final = frozenset(
    {"userMessage", "agentMessage", "reasoning", "contextCompaction", "hookPrompt"}
)
"""Items that never take the place of another one, whatever their id."""
_REVIEWS: Final = frozenset({"entered_review_mode", "exited_review_mode"})


class LegacyReducer:
    """Finds the turns of a legacy thread."""

    skip = _SKIP

    def __init__(
        self,
        state: Fields | None = None,
        turns: Iterable[Turn] = (),
        orphans: Iterable[Turn] = (),
        *,
        before: int = 0,
    ) -> None:
        """Start from scratch, or resume from the ``dump`` of an earlier reducer, its turns and its
        orphans. ``before`` takes the place of the number of lines and items before the first one,
        where that is not known: see :data:`rollout.turns.item_refs.UNCOUNTED`."""
        state = state or {}
        self._before = before
        self.turns = list(turns)
        self.orphans = {turn.id: turn for turn in orphans}
        """Items that Codex cannot read, from before the first turn."""
        self._first: dict[str, Turn] = {}
        for turn in self.turns:
            self._first.setdefault(turn.id, turn)
        self._current = self.turns[-1] if state.get("open") else None
        self._compacted = bool(state.get("compacted"))
        """Whether the history was compacted in the current turn."""
        self._made_up = bool(state.get("made_up"))
        """Whether the id of the current turn is."""
        self._index = int(state.get("index", before - 1))
        self._next_number = int(state.get("number", before + 1))
        self.end = 0
        """Where the last line ends that :meth:`take` was given."""
        self.looked_back = 0
        """Where the last one ends that depends on more than the current turn and the numbers of
        its items: it names another turn, or an item by a number."""

    def dump(self) -> Fields:
        return {
            "open": self._current is not None,
            "compacted": self._compacted,
            "made_up": self._made_up,
            "index": self._index,
            "number": self._next_number,
        }

    def pass_over(self, count: int, highest: int) -> None:
        self._index += count

    def take(self, item: Item, before: Position, after: Position) -> None:
        self.end = after.offset
        read = line_events.parse_event(item)
        if read is None:
            self._unknown(item, before)
            return
        if not _counts(read):
            return
        self._index += 1
        kind = read.kind
        if read.turn:
            self._turn(kind, read.turn, before, after)
        elif kind == "response_item":
            hook = hook_item(read.payload) if may_be_hook(read.payload) else None
            if hook:
                self._put(self._open_turn(before), hook, before)
        elif kind == "compacted":
            self._open_turn(before)
            self._compacted = True
        elif kind == line_events.ROLLED_BACK:
            self._roll_back(read.payload["num_turns"])
        elif kind == "user_message":
            self._user_message(read, before)
        elif read.item:
            self._item(read, read.item, before)

    def _turn(
        self, kind: str, event: line_events.TurnEvent, before: Position, after: Position
    ) -> None:
        if kind == line_events.STARTED[0]:
            turn = Turn(str(event.turn_id), before, True, event.root_id, event.started_at)
            self._open(turn)
            return
        found = self._named(event.turn_id)
        current = self._current
        if found is None and current is not None:
            # Codex takes an end that names no turn of this thread for that of the current one,
            # but for the interruption of another than the one that was opened.
            strange = (
                kind == line_events.ABORTED and event.turn_id is not None and not self._made_up
            )
            found = None if strange else current
        if found is None:
            return
        if kind == line_events.ABORTED:
            found.status, found.error = INTERRUPTED, event.error
        elif event.error:
            found.status, found.error = FAILED, event.error
        elif found.status == IN_PROGRESS:
            found.status = COMPLETED
        found.completed_at = event.completed_at
        found.duration_ms = event.duration_ms
        found.end = found.end or after
        if found is self._current:
            self._close()

    def _named(self, turn_id: str | None) -> Turn | None:
        current = self._current
        if current is not None and current.id == turn_id:
            return current
        if turn_id is None:
            return None
        self.looked_back = self.end
        return self._first.get(turn_id)

    def _open(self, turn: Turn) -> None:
        self._close()
        self._current = turn
        self.turns.append(turn)
        self._first.setdefault(turn.id, turn)

    def _open_turn(self, before: Position, turn_id: str | None = None) -> Turn:
        """The current turn; if there is none, an implicit one is opened."""
        if self._current is None:
            name = f"rollout-{self._index}" if turn_id is None else turn_id
            self._open(Turn(name, before, False, status=COMPLETED))
            self._made_up = turn_id is None
        assert self._current is not None
        return self._current

    def _close(self) -> None:
        self._current = None
        self._compacted = self._made_up = False

    def _roll_back(self, count: int) -> None:
        self._close()
        if count:
            del self.turns[-count:]
        self._first.clear()
        for turn in self.turns:
            self._first.setdefault(turn.id, turn)
        self._next_number = self._before + sum(len(turn.items) for turn in self.turns) + 1

    def _user_message(self, read: line_events.ParsedEvent, before: Position) -> None:
        current = self._current
        if current is not None and not current.explicit and (current.items or not self._compacted):
            self._close()
        assert read.item is not None
        self._put(self._open_turn(before), read.item, before)

    def _item(self, read: line_events.ParsedEvent, item: Fields, before: Position) -> None:
        kind, payload = read.kind, read.payload
        if kind in _EMPTY_IF and not payload[_EMPTY_IF[kind]]:
            return
        turn_id = payload.get("turn_id")
        if kind == line_events.ITEM:
            turn = self._named(turn_id)
            if item["type"] == "plan" and not item["text"]:
                return
        elif kind in _NAMED and turn_id:
            turn = self._named(turn_id)
        elif kind in _REVIEWS and turn_id is not None:
            turn = self._named(turn_id)
            if turn is None:
                self._close()
                turn = self._open_turn(before, turn_id)
        else:
            turn = self._open_turn(before)
        if turn is not None:
            self._put(turn, item, before)

    def _put(self, turn: Turn, item: Fields, before: Position) -> None:
        kind, items = item["type"], turn.items
        if kind == "reasoning" and items.last_kind() == kind:
            items.continue_last(before, self._index)
            return
        number, key = 0, 0
        if kind == "agentMessage" or (item["id"] is None and kind != "hookPrompt"):
            number = self._next_number  # also of a message that has another id
            self._next_number += 1
            key = _key_of_number(number)
        if item["id"] is not None:
            number, key = 0, key_of(item["id"])
            if item["id"].startswith(NUMBERED):
                self.looked_back = self.end
        record = -1 if kind in _ALWAYS_NEW else items.find(key)
        if record >= 0:
            items.replace(record, kind, before, number=number, timed=has_times(item))
            if record in (turn.first_user, turn.final_agent):
                turn.first_user = items.first("userMessage")
                turn.final_agent = items.last("agentMessage")
        else:
            record = items.add(
                kind, before, self._index, number=number, key=key, timed=has_times(item)
            )
        if kind == "agentMessage":
            turn.final_agent = record
        elif kind == "userMessage" and turn.first_user < 0:
            turn.first_user = record

    def _unknown(self, line: Item, before: Position) -> None:
        """Keep what Codex cannot read, such as an item of a newer version's type; nothing depends
        on it."""
        payload = line.get("payload")
        if line.get("type") != "event_msg" or not isinstance(payload, dict):
            return
        kind, item = payload.get("type"), payload.get("item")
        if kind == line_events.ITEM and _has_events(item):
            return
        found = unknown_item(payload)
        if found is None or (kind in _EMPTY_IF and not payload[_EMPTY_IF[str(kind)]]):
            return
        turn_id = payload.get("turn_id")
        if kind == line_events.ITEM:
            turn = self._named(turn_id) if isinstance(turn_id, str) else None
        else:
            turn = self._last(before)
        if turn is None:
            return
        key = key_of(f"?{before.offset if found['id'] is None else found['id']}")
        if turn.items.find(key) < 0:
            turn.items.add(UNKNOWN, before, self._index + 1, key=key)

    def _last(self, before: Position) -> Turn:
        """The current turn, or the last one; an orphan if there is none."""
        if self.turns:
            return self.turns[-1]
        return self.orphans.setdefault("", Turn("", before, False, status=COMPLETED))


@lru_cache(1024)
def _key_of_number(number: int) -> int:
    return key_of(f"{NUMBERED}{number}")


def _counts(read: line_events.ParsedEvent) -> bool:
    """Whether a line is one of a legacy thread: Codex ignores what it would not write there
    today, and does not count it."""
    kind = read.kind
    if kind == line_events.ITEM:
        return kinds.is_legacy_item(read.payload["item"])
    if kind == "sub_agent_activity":
        return bool(read.payload["kind"] != "completed")
    return kind in _COUNTED


def _has_events(item: Any) -> bool:
    """Whether an unreadable item is of a type that also has events."""
    kind = item.get("type") if isinstance(item, dict) else None
    known = isinstance(kind, str) and kind in ITEM_BUILDERS and kind != "Extension"
    return known and not kinds.is_legacy_item(item)
