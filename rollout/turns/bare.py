"""Threads without a ``session_meta``: those of the first versions (docs/rollout-format.md#versions)
and such whose first lines are lost. They have response items and none of Codex's turns: each
message of a user begins a turn, and messages and reasoning are its items."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rollout.items.parts import agent_message
from rollout.jsonl.parse import Item
from rollout.schema.kinds import is_typed
from rollout.schema.strict import Fields
from rollout.turns.item_refs import Position, key_of
from rollout.turns.turn import COMPLETED, Turn

BARE: Final = "bare"
"""Their history mode here: the files name none."""
_ANSWERS: Final = ("message", "function_call", "custom_tool_call")


class BareReducer:
    """Finds the turns of a thread that has none of Codex's; they are named like those that Codex
    makes up. The ordinals of items are the numbers of their lines, from 1."""

    skip = re.compile(rb"(?!)")

    def __init__(self, state: Fields | None = None, turns: Iterable[Turn] = ()) -> None:
        """Start from scratch, or resume from the ``dump`` of an earlier reducer and its turns."""
        self.turns = list(turns)
        self.orphans: dict[str, Turn] = {}
        self._index = int((state or {}).get("index", -1))

    def dump(self) -> Fields:
        return {"index": self._index}

    def pass_over(self, count: int, highest: int) -> None:
        self._index += count

    def take(self, item: Item, before: Position, after: Position) -> None:
        self._index += 1
        payload = bare_payload(item)
        if payload is None:
            return
        answers = payload.get("type") in _ANSWERS and payload.get("role") in ("assistant", None)
        if starts_turn(payload) or (answers and not self.turns):
            self.turns.append(Turn(f"rollout-{self._index}", before, False, status=COMPLETED))
        if not self.turns:
            return
        found = bare_item(payload, before.offset)
        if found is None:
            return
        turn = self.turns[-1]
        record = turn.items.add(found["type"], before, self._index + 1, key=key_of(found["id"]))
        if found["type"] == "agentMessage":
            turn.final_agent = record
        elif found["type"] == "userMessage" and turn.first_user < 0:
            turn.first_user = record


def bare_payload(line: Item) -> Fields | None:
    """The response item in a line, of whatever time; None if it is another line."""
    if line.get("type") == "response_item":
        payload = line.get("payload")
        return payload if isinstance(payload, dict) else None
    return line if isinstance(line.get("type"), str) and "payload" not in line else None


def starts_turn(payload: Fields) -> bool:
    """Whether a response item is a message that a user has typed."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return False
    return is_typed(message_text(payload))


def message_text(payload: Fields) -> str:
    """The texts in the content of a message."""
    return "".join(_texts(payload.get("content")))


def _texts(parts: object) -> Iterator[str]:
    for part in parts if isinstance(parts, list) else ():
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            yield text


def bare_item(payload: Fields, offset: int) -> Fields | None:
    """The item that a response item in the line at ``offset`` makes; None if it is no message and
    no reasoning, or not for people."""
    kind, id_ = payload.get("type"), f"at-{offset}"
    times = {"startedAtMs": None, "completedAtMs": None}
    if kind == "message" and payload.get("role") == "assistant":
        return {**agent_message(id_, message_text(payload), {}), **times}
    if kind == "message" and starts_turn(payload):
        content = _inputs(payload)
        return {"type": "userMessage", "id": id_, "clientId": None, "content": content, **times}
    if kind == "reasoning":
        summary = [*_texts(payload.get("summary"))]
        item = {"type": "reasoning", "id": id_, "summary": summary, "content": []}
        return {**item, **times} if summary else None
    return None


def _inputs(payload: Fields) -> list[Any]:
    shown: list[Any] = []
    parts = payload.get("content")
    for part in parts if isinstance(parts, list) else ():
        match part:
            case {"text": str(text)}:
                shown.append({"type": "text", "text": text, "text_elements": []})
            case {"image_url": str(url)}:
                shown.append({"type": "image", "url": url, "detail": None})
    return shown
