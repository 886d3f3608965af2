"""What a model and its tools said to each other in a stretch of a rollout, for people to read.

Legacy threads keep no item of a command: only the call that the model made and the output that it
was given (rollout-format §7). Files of the first versions keep nothing else at all (§8.1). What is
made of them here are no items of Codex: its answers do not have them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rollout.bare import bare_item, bare_payload
from rollout.lines import BadLine, Line, LineReader, parse_line
from rollout.persistence import Item
from rollout.shapes import Fields
from rollout.thread_items import LineFile
from rollout.understood import STARTED, understand

TOOL_CALL: Final = "toolCall"
"""The type of an entry that is a call of a tool, with its output."""

_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_LOCAL_SHELL: Final = "local_shell_call"
_STAMP: Final = rb'\{"timestamp":"[^{]{24}",(?:"ordinal":\d{1,19},)?"type":"(?:'


class _Talk:
    """Passes over lines that are neither calls, outputs nor the beginning of a turn."""

    skip = re.compile(
        _STAMP + rb'response_item","payload":\{"type":"(?:message|reasoning|ghost_snapshot)"'
        rb'|event_msg","payload":\{"type":"(?!task_started|turn_started|user_message)[a-z_]+"'
        rb'|(?:turn_context|world_state|token_usage_record|session_meta|compacted)")'
    )


@dataclass(slots=True)
class Said:
    """Where something was said: a call and its output, if it has one, or a message."""

    offset: int
    call_id: str = ""
    output: int = -1
    """Where the line of its output begins; -1 if it has none."""


def calls_between(
    file: LineFile, start: int, end: int | None, *, own: Callable[[int], bool]
) -> list[Said]:
    """The calls in the lines that begin at ``start`` or after it, before ``end``. They end before
    a turn begins: what follows until ``end`` was taken back. ``own`` tells whether a message of a
    user at an offset belongs to this turn."""
    found: dict[str, Said] = {}
    for offset, line in _lines(file, start, end, _Talk()):
        payload = bare_payload(line)
        if payload is None:
            if offset > start and _begins(line) and not own(offset):
                break
            continue
        kind, call_id = payload.get("type"), _call_id(payload)
        if kind in _CALLS or kind == _LOCAL_SHELL:
            found.setdefault(call_id or f"@{offset}", Said(offset, call_id))
        elif kind in _OUTPUTS and call_id in found:
            found[call_id].output = offset
    return [*found.values()]


def _begins(line: Item) -> bool:
    read = understand(line)
    return read is not None and read.kind in (STARTED[0], "user_message")


def talk_between(file: LineFile, start: int, end: int | None) -> list[Said]:
    """All that was said in a stretch of a rollout that has no events: messages too."""
    found: list[Said] = []
    calls: dict[str, Said] = {}
    for offset, line in _lines(file, start, end):
        payload = bare_payload(line)
        if payload is None:
            continue
        call_id = _call_id(payload)
        if payload.get("type") in _OUTPUTS:
            if call_id in calls:
                calls[call_id].output = offset
            continue
        said = Said(offset, call_id)
        found.append(said)
        if payload.get("type") in _CALLS:
            calls.setdefault(call_id, said)
    return found


def _call_id(payload: Fields) -> str:
    call_id = payload.get("call_id")
    return call_id if isinstance(call_id, str) else ""


def _lines(
    file: LineFile, start: int, end: int | None, needs: _Talk | None = None
) -> Iterator[tuple[int, Item]]:
    for line in LineReader().lines(file.stream(start), start, needs):
        if end is not None and line.offset >= end:
            return
        item = parse_line(line) if isinstance(line, Line) else None
        if item is not None and not isinstance(item, BadLine):
            yield line.offset, item


def entry(file: LineFile, said: Said) -> Fields | None:
    """What was said, in the shape of an item, or as a :data:`TOOL_CALL`; None for what is not
    for people."""
    payload = _payload(file, said.offset)
    if payload is None:
        return None
    kind = payload.get("type")
    own: Fields = {"id": said.call_id or f"at-{said.offset}"}
    if kind in _CALLS:
        output = _payload(file, said.output) if said.output >= 0 else None
        return {
            "type": TOOL_CALL,
            **own,
            "name": str(payload.get("name") or ""),
            "namespace": _text_or_none(payload.get("namespace")),
            "arguments": payload.get(_CALLS[str(kind)]),
            "output": None if output is None else output.get("output"),
        }
    if kind == _LOCAL_SHELL:
        return {
            "type": TOOL_CALL,
            **own,
            "name": kind,
            "namespace": None,
            "arguments": payload.get("action"),
            "output": None,
        }
    return bare_item(payload, said.offset)


def _payload(file: LineFile, offset: int) -> Fields | None:
    line = file.read(offset)
    return None if line is None else bare_payload(line)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
