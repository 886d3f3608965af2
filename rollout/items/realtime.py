"""The voice sessions of a paginated thread: its ``realtime_item`` lines, in the shape of Codex's
responses (measured on 0.171)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout.jsonl.parse import Item, object_of
from rollout.jsonl.reader import LineReader, Skipping, open_rollout
from rollout.schema.kinds import NUMBERED, Level, Reader, line_pattern, none_of, read_by
from rollout.schema.strict import (
    U64,
    Fields,
    Unfit,
    camel,
    integer,
    member,
    obj,
    optional,
    same,
    text,
    texts,
)

_ROLES: Final = same("user", "assistant")
_OUTCOMES: Final = same("ended", "failed")
_MODES: Final = same("start", "steer")
_PRESENTATIONS: Final = camel("whole_item", "inline_markdown", "inline_visualization")
_INDEX: Final = (0, 2**32 - 1)
SEGMENT: Final = "transcriptSegment"
"""The type that 0.169 wrote for speech. 0.171 reads it, but does not list it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One item of a voice session."""

    position: int
    """The ordinal of its line."""
    observed_at_ms: int | None
    """When it was heard; None for one that is not listed."""
    item: Fields


@dataclass(frozen=True, slots=True)
class Sessions:
    """The voice sessions of one file."""

    events: list[Event]
    """In order, each id once."""
    end: int
    """The first position that no line has yet."""


_REALTIME: Final = Skipping(line_pattern(none_of(*read_by(Reader.REALTIME, Level.LINE)), NUMBERED))


def read_sessions(path: Path) -> Sessions:
    """The voice sessions in a rollout, as far as it reads. Of a fork only its own file has any.
    Raises OSError if it cannot be read."""
    found: dict[str, Event] = {}
    highest = -1
    with open_rollout(path, []) as stream:
        reader = LineReader()
        for line in reader.lines(stream, needs=_REALTIME):
            highest = max(highest, reader.highest)
            item = object_of(line)
            if item is None:
                continue
            position = _ordinal(item)
            if position is None or position <= highest:
                continue
            event = _event(item, position)
            if item.get("type") != "realtime_item" or event is not None:
                highest = position
            if event is not None:
                found.setdefault(event.item["id"], event)
        highest = max(highest, reader.highest)
    return Sessions([*found.values()], highest + 1)


def _ordinal(line: Item) -> int | None:
    try:
        return integer(line.get("ordinal"), U64)
    except Unfit:
        return None


def _event(line: Item, position: int) -> Event | None:
    """The item in a line; None if Codex reads none."""
    if line.get("type") != "realtime_item":
        return None
    try:
        payload = obj(line.get("payload"))
        build = _BUILDERS.get(text(payload.get("type")))
        if build is None:
            return None
        own, session = text(payload.get("id")), text(payload.get("realtime_session_id"))
        at = optional(payload.get("observed_at_ms"), integer)
        item = {"id": own, "realtimeSessionId": session, "observedAtMs": at, **build(payload)}
    except Unfit:
        return None
    return Event(position, None if item["type"] == SEGMENT else at, item)


def _words(fields: Fields) -> Fields:
    return {"role": member(fields.get("role"), _ROLES), "text": text(fields.get("text"))}


def _frame(payload: Fields) -> Fields:
    transcript = _words(obj(obj(payload.get("channels")).get("voice_transcript")))
    return {"type": "frame", "channels": {"voice_transcript": transcript}}


def _promoted(payload: Fields) -> Fields:
    shown = obj(payload.get("presentation"))
    presentation: Fields = {"type": member(shown.get("type"), _PRESENTATIONS)}
    if presentation["type"] == "inlineVisualization":
        presentation["index"] = integer(shown.get("index"), _INDEX)
    return {
        "type": "bemItemPromoted",
        "turnId": text(payload.get("turn_id")),
        "itemId": text(payload.get("item_id")),
        "presentation": presentation,
    }


def _closed(payload: Fields) -> Fields:
    return {"type": "realtimeSessionClosed", "outcome": member(payload.get("outcome"), _OUTCOMES)}


def _accepted(payload: Fields) -> Fields:
    return {
        "type": "turnInputAccepted",
        "handoffId": text(payload.get("handoff_id")),
        "turnId": text(payload.get("turn_id")),
        "mode": member(payload.get("mode"), _MODES),
        **_input(payload),
    }


def _input(payload: Fields) -> Fields:
    return {
        "sourceEventIds": texts(payload.get("source_event_ids")),
        "inputItemId": text(payload.get("input_item_id")),
        "input": text(payload.get("input")),
    }


_BUILDERS: Final[dict[str, Callable[[Fields], Fields]]] = {
    "realtime_session_started": lambda _: {"type": "realtimeSessionStarted"},
    "frame": _frame,
    "transcript_segment": lambda payload: {"type": SEGMENT, **_words(payload)},
    "bem_item_promoted": _promoted,
    "realtime_session_closed": _closed,
    "turn_input_accepted": _accepted,
    "session_end_input_saved": lambda payload: {"type": "sessionEndInputSaved", **_input(payload)},
}
"""Builds the item of each type of ``realtime_item``."""
