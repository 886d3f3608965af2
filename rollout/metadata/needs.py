"""Which lines the reducers of metadata and usage still need, by their first bytes
(docs/rollout-format.md#what-can-be-skipped)."""

import re
from functools import cache
from typing import Final, NamedTuple

from rollout.jsonl.parse import compact_json
from rollout.jsonl.reader import Repeat
from rollout.schema import kinds

_TIME: Final = (
    r"[12]\d{3}-(?:(?:0[13-9]|1[0-2])-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
)
"""A time that can be read for certain; not all that can be are matched."""
_COUNTS_TAIL: Final = b'"type":"event_msg","payload":{"type":"token_count",'


class Needs(NamedTuple):
    """What a reducer still needs of a file, beside what it always does."""

    prompts: bool = True
    """Messages of users, or of an agent."""
    preview: bool = True
    fallback: bool = True
    """What response items say, in a file that may have nothing else."""
    starts: bool = True
    """``user_message`` events, as long as no event says where turns start."""
    ends: bool = True
    """How turns end, where that tells whether a response was used."""
    numbered: bool = False
    """Lines without an ordinal, in a paginated file."""


def repeat_of(data: bytes | bytearray, value: object, *, numbered: bool) -> Repeat | None:
    """What tells repetitions of a ``token_count``, of which ``value`` was read; None if it is spelt
    unusually, so that something in the tail may stand for what is in the head."""
    head = _head_pattern(numbered)
    found = head.match(data)
    if found is None or (compact_json(value) or "").encode() != data:
        return None
    tail = bytes(data[found.end() :])
    return Repeat(head, tail) if tail.startswith(_COUNTS_TAIL) else None


@cache
def _head_pattern(numbered: bool) -> re.Pattern[bytes]:
    ordinal = r'(?:"ordinal":(0|[1-9]\d{0,17}),)' + "?" * (not numbered)
    return re.compile(rf'\{{"timestamp":"({_TIME})",{ordinal}'.encode())


_READERS: Final = kinds.Reader.METADATA | kinds.Reader.USAGE
_LINES: Final = kinds.passed_by(_READERS, kinds.Level.LINE)
_EVENTS: Final = kinds.passed_by(_READERS, kinds.Level.EVENT)
_OTHER_ITEM: Final = kinds.none_of(*kinds.read_by(kinds.Reader.METADATA, kinds.Level.ITEM))
_ITEM_START: Final = r'item_completed","thread_id":"[^"\\]*","turn_id":"[^"\\]*","item":\{"type":"'
_MESSAGE: Final = (
    r'message",(?:"id":"[^"\\]*",)?"role":"(?:(?!user"|assistant")[a-z]+"'
    rf'|user","content":\[\{{"type":"input_text","text":"(?:{kinds.PROMPTS_BY_PROGRAMS}))'
)


@cache
def skip_pattern(needs: Needs) -> re.Pattern[bytes]:
    """Matches lines that change nothing; must never be wrong about that, and need not find them
    all."""
    lines, events, items = _LINES, _EVENTS, ""
    response = ""
    if needs.fallback:
        responses = (
            kinds.none_of(*kinds.read_by(kinds.Reader.METADATA, kinds.Level.RESPONSE)) + '[a-z_]+"'
        )
        response = "|" + kinds.payload_type("response_item", f"(?:{responses}|{_MESSAGE})")
    else:
        lines = ("response_item", *lines)  # the most frequent one
    if needs.prompts:
        # The whole name is asked for, as the lookahead alone is content with an end inside of it.
        items = rf'|{_ITEM_START}{_OTHER_ITEM}[A-Za-z]+"'
    else:
        events += ("agent_message", "item_completed")
        events += () if needs.starts else ("user_message",)
    if not needs.ends:
        events += ("task_complete", "turn_complete", "turn_aborted")
    if not needs.preview:
        events += ("thread_goal_updated",)
    event = kinds.payload_type("event_msg", f"(?:{kinds.any_of(*events)}{items})")
    ordinal = r'(?:"ordinal":(?P<counted>\d{1,18}),)' + "?" * (not needs.numbered)
    return kinds.line_pattern(f"{kinds.any_of(*lines)},{response}|{event}", ordinal)
