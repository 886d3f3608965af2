"""Which items of a live thread are written to its rollout
(docs/rollout-format.md#what-is-written).

An item is a line without its ``timestamp`` and ``ordinal``: ``{"type": …, "payload": …}``. Kinds
that this version does not know are written as they are: they may matter to another version.
"""

from typing import Final

from rollout.jsonl.parse import Item
from rollout.schema.kinds import Kept, Level, is_legacy_item, kept_as
from rollout.schema.modes import PAGINATED

LONGEST_OUTPUT: Final = 10_000
"""Bytes kept of a command's output in an extended ``exec_command_end``."""

_LINES: Final = kept_as(Level.LINE)
_EVENTS: Final = kept_as(Level.EVENT)
_NEVER_KEPT: Final = ("_begin", "_delta", "_request", "_requests")
"""How the names of events end that Codex never writes, unknown ones too."""


def persisted(item: Item, mode: str, *, extended: bool = False) -> Item | None:
    """``item`` as it is written in a thread of ``mode``; None if it is not.

    ``extended`` is the older level of a legacy thread that keeps commands and tool calls too.
    """
    kind, payload = item.get("type"), item.get("payload")
    if kind != "event_msg" or not isinstance(payload, dict):
        alone = _LINES.get(str(kind)) is Kept.PAGINATED
        return None if alone and mode != PAGINATED else item
    event = str(payload.get("type"))
    if event == "item_completed":
        return item if mode == PAGINATED or is_legacy_item(payload.get("item")) else None
    match _EVENTS.get(event):
        case Kept.ALWAYS:
            return item
        case Kept.LEGACY:
            ended = event == "sub_agent_activity" and payload.get("kind") == "completed"
            return None if mode == PAGINATED or ended else item
        case Kept.EXTENDED if extended and mode != PAGINATED:
            return _shortened(item) if event == "exec_command_end" else item
        case None:
            return None if event.endswith(_NEVER_KEPT) else item
    return None


def fault_of(item: object) -> str | None:
    """Why ``item`` cannot be recorded: no reader could use its line; None if it can."""
    if not isinstance(item, dict):
        return f"an item is an object, not {type(item).__name__}"
    kind = item.get("type")
    if not isinstance(kind, str) or not kind:
        return "an item has a type"
    if kind == "session_meta":
        return "a thread has one session_meta, which is written when it begins"
    if not isinstance(item.get("payload"), dict):
        return f"the payload of an item is an object, that of this {kind} is not"
    return None


def begins_history(item: Item) -> bool:
    """Whether ``item`` is a user's message: with the first one a thread gets its file."""
    payload = item.get("payload")
    if item.get("type") != "event_msg" or not isinstance(payload, dict):
        return False
    if payload.get("type") == "user_message":
        return True
    completed = payload.get("item") if payload.get("type") == "item_completed" else None
    return isinstance(completed, dict) and completed.get("type") == "UserMessage"


def _shortened(item: Item) -> Item:
    payload = dict(item["payload"])
    for name in ("stdout", "stderr", "formatted_output"):
        if name in payload:
            payload[name] = ""
    output = payload.get("aggregated_output")
    if isinstance(output, str):
        payload["aggregated_output"] = without_middle(output, LONGEST_OUTPUT)
    return {**item, "payload": payload}


def without_middle(text: str, most: int) -> str:
    """``text`` if it has at most ``most`` bytes of UTF-8, else its beginning and its end with a
    note between them on what was left out; whole characters, at most ``most`` bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text
    word = f"…{len(data)} bytes, cut in the middle…"
    half = (most - len(word.encode())) // 2
    front = data[:half].decode("utf-8", "ignore")
    back = data[-half:].decode("utf-8", "ignore")
    return f"{front}{word}{back}"
