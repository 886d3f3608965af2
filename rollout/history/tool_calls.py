"""The tool calls and messages in a stretch of a rollout, for people to read.

Legacy threads keep no item of a command: only the call that the model made and the output that it
was given. Paginated ones keep none of a plan, of a tool that is searched for or of a script. Files
of the first versions keep nothing else at all, and files of 2025 may have a command in events
alone. What is made of them here are no items of Codex: its responses do not have them.

*record*: all lines about one call: the call itself, the outputs that name it, and the events of its
beginning and end, in any order; some may be missing.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from rollout.items.line_events import STARTED, parse_event
from rollout.items.thread_item import UNKNOWN
from rollout.jsonl.parse import Item, object_of
from rollout.jsonl.reader import LineReader, Skipping
from rollout.schema import kinds
from rollout.schema.strict import Fields, Unfit, duration_ms
from rollout.turns.bare import bare_item, bare_payload
from rollout.turns.item_reader import LineFile
from rollout.turns.item_refs import ItemRefs, Position, key_of

TOOL_CALL: Final = "toolCall"
"""The type of an entry that is a call of a tool, with its output."""

_BUFFER_BYTES: Final = 64 * 1024  # most turns are short
_EVENT_TOOLS: Final = {
    "exec_command": "exec_command",
    "patch_apply": "apply_patch",
    "mcp_tool_call": "",  # its own
    "web_search": "web_search",
    "image_generation": "image_generation",
    "collab_agent_spawn": "spawn_agent",
    "collab_agent_interaction": "send_input",
    "collab_waiting": "wait",
    "collab_close": "close_agent",
    "collab_resume": "resume_agent",
}
"""The tools whose calls have events: ``…_begin`` and ``…_end``."""
BEGIN_TOOLS: Final = {f"{name}_begin": tool for name, tool in _EVENT_TOOLS.items()} | {
    "dynamic_tool_call_request": ""
}
END_TOOLS: Final = {f"{name}_end": tool for name, tool in _EVENT_TOOLS.items()} | {
    "dynamic_tool_call_response": "",
    "view_image_tool_call": "view_image",
}


CALL_LINES: Final = Skipping(
    kinds.line_pattern(
        kinds.any_of(*kinds.passed_by(kinds.Reader.CALLS, kinds.Level.LINE))
        + "|"
        + kinds.payload_type(
            "response_item",
            kinds.any_of(*kinds.passed_by(kinds.Reader.CALLS, kinds.Level.RESPONSE)),
        )
        + "|"
        + kinds.payload_type(
            "event_msg",
            kinds.none_of(*kinds.read_by(kinds.Reader.CALLS, kinds.Level.EVENT)) + '[a-z_]+"',
        ),
        kinds.PLAIN,
    )
)
"""All but calls, outputs and the beginning of a turn."""


class CallRecord(NamedTuple):
    """Where the lines about a call begin, or that of a message; -1 if there is none."""

    offset: int
    """Of the first of them."""
    call: int
    """That of the call itself, or of the message."""
    begun: int
    ended: int
    outputs: tuple[int, ...] = ()


_OFFSET, _CALL, _BEGUN, _ENDED, _OUTPUT = range(5)
_NO_ID: Final = 0


class CallRecords:
    """Groups the lines about the same call. A call that stands twice is two. Of each record a few
    words are kept, as a turn may have a hundred thousand."""

    def __init__(self, has_item: Callable[[str], bool]) -> None:
        """``has_item`` says whether the call with an id has an item."""
        self._has_item = has_item
        self._known = bytearray()  # of each record, whether it has an item
        self._lines = array("q")
        self._ids = ItemRefs()
        self._again: defaultdict[int, list[int]] = defaultdict(list)
        """The other records of the id that a record is the first of."""
        self._outputs: defaultdict[int, list[int]] = defaultdict(list)
        """The outputs of records that have several, behind the first."""

    def alone(self) -> Iterator[int]:
        """The numbers of messages, and of calls without an item, for :meth:`at`; in the order of
        their first lines."""
        return (at for at, known in enumerate(self._known) if not known)

    def named(self, call_id: str) -> CallRecord | None:
        """The last record of a call."""
        found = self._of(key_of(call_id))
        return self.at(found[-1]) if found else None

    def message(self, offset: int) -> None:
        self._record(offset, "", _CALL)

    def take(self, offset: int, kind: str, call_id: str) -> bool:
        """Add a line about a call; False for a line of another kind."""
        if kind in BEGIN_TOOLS:
            self._record(offset, call_id, _BEGUN)
        elif kind in END_TOOLS:
            self._record(offset, call_id, _ENDED)
        elif _is_call(kind):
            self._record(offset, call_id, _CALL)
        elif kind.endswith("_output"):
            self._record(offset, call_id, _OUTPUT)
        else:
            return False
        return True

    def _record(self, offset: int, call_id: str, word: int) -> None:
        """Add a line to the first record of its call that lacks one of this kind, or to a new one;
        an output that was given twice to the last one."""
        key = key_of(call_id) if call_id else _NO_ID
        known = self._of(key) if key else []
        for at in known:
            if self._lines[at * 5 + word] < 0:
                self._lines[at * 5 + word] = offset
                return
        if known and word == _OUTPUT:
            self._outputs[known[-1]].append(offset)
            return
        at = self._ids.add(UNKNOWN, Position(0, offset, 0), 0, key=key)
        if known:
            self._again[known[0]].append(at)
        self._known.append(bool(call_id) and self._has_item(call_id))
        self._lines.extend(offset if each in (_OFFSET, word) else -1 for each in range(5))

    def _of(self, key: int) -> list[int]:
        first = self._ids.find(key)
        return [] if first < 0 else [first, *self._again.get(first, ())]

    def at(self, at: int) -> CallRecord:
        """The record with this number."""
        offset, call, begun, ended, output = self._lines[at * 5 : at * 5 + 5]
        outputs = () if output < 0 else (output, *self._outputs.get(at, ()))
        return CallRecord(offset, call, begun, ended, outputs)


def _is_call(kind: str) -> bool:
    return kind.endswith("_call")


def _call_id(payload: Fields) -> str:
    for name in ("call_id", "callId"):
        if isinstance(found := payload.get(name), str) and found:
            return found
    # A function's own id is another one, and its output never names it.
    own = None if payload.get("type") in _NAMED else payload.get("id")
    return own if isinstance(own, str) else ""


_NAMED: Final = {"function_call": "arguments", "custom_tool_call": "input"}


def calls_between(
    file: LineFile,
    start: int,
    end: int | None,
    *,
    has_item: Callable[[str], bool],
    end_ordinal: int | None = None,
    own: Callable[[int], bool] | None = None,
) -> CallRecords:
    """The calls in the lines that begin at ``start`` or after it, before ``end`` and before
    ``end_ordinal``. With ``own`` they end before a turn begins: what follows until ``end`` was
    taken back; it says whether a message of a user at an offset belongs to this turn."""
    lines = LineReader(_BUFFER_BYTES).lines(file.stream(start, end), start, CALL_LINES)
    objects = ((line.offset, item) for line in lines if (item := object_of(line)) is not None)
    return calls_among(objects, start, has_item=has_item, end_ordinal=end_ordinal, own=own)


def calls_among(
    lines: Iterable[tuple[int, Item]],
    start: int,
    *,
    has_item: Callable[[str], bool],
    end_ordinal: int | None = None,
    own: Callable[[int], bool] | None = None,
) -> CallRecords:
    """As :func:`calls_between`, of lines that were read, each with the byte where it begins."""
    found = CallRecords(has_item)
    for offset, item in lines:
        ordinal = item.get("ordinal")
        if end_ordinal is not None and isinstance(ordinal, int) and ordinal >= end_ordinal:
            break
        payload = _payload_of(item)
        if payload and found.take(offset, payload["type"], _call_id(payload)):
            continue
        if own and offset > start and begins_turn(item) and not own(offset):
            break
    return found


def _payload_of(line: Item) -> Fields | None:
    """The payload of a line that may be about a call: it has a type."""
    payload = line.get("payload") if line.get("type") == "event_msg" else bare_payload(line)
    found = isinstance(payload, dict) and isinstance(payload.get("type"), str)
    return payload if found else None


def begins_turn(line: Item) -> bool:
    """Whether a turn of a legacy thread may begin with a line."""
    payload = line.get("payload")
    if not isinstance(payload, dict) or payload.get("type") not in _BEGINNINGS:
        return False  # most lines are about calls
    read = parse_event(line)
    return read is not None and read.kind in (STARTED[0], "user_message")


_BEGINNINGS: Final = (*STARTED, "user_message")


def records_between(file: LineFile, start: int, end: int | None) -> CallRecords:
    """The calls and messages in a stretch of a rollout that has no events of messages."""
    lines = LineReader(_BUFFER_BYTES).lines(file.stream(start, end), start)
    return records_among((line.offset, item) for line in lines if (item := object_of(line)))


def records_among(lines: Iterable[tuple[int, Item]]) -> CallRecords:
    """As :func:`records_between`, of lines that were read."""
    found = CallRecords(lambda _: False)
    for offset, item in lines:
        payload = _payload_of(item)
        if payload is None or found.take(offset, payload["type"], _call_id(payload)):
            continue
        if bare_payload(item):
            found.message(offset)
    return found


def entry(file: LineFile, record: CallRecord) -> Fields | None:
    """The message as an item, or the call as a :data:`TOOL_CALL`; None for what is not for
    people."""
    call = _payload(file, record.call)
    kind = str(call.get("type"))
    if call and not _is_call(kind):
        return bare_item(call, record.call)
    outputs = [payload for at in record.outputs if (payload := _payload(file, at))]
    begun, ended = _payload(file, record.begun), _payload(file, record.ended)
    if not (call or outputs or begun or ended):
        return None
    event = begun | ended
    # An output that answers no call may have a name of its own: context that a client gave.
    alone = {} if call or event or not outputs else outputs[0]
    name = call.get("name") or (kind if call else None) or _event_tool(event) or alone.get("name")
    namespace = (call or alone).get("namespace") or _invocation(event).get("server")
    output = _joined([each.get("output", each.get("tools")) for each in outputs])
    if output is None:
        output = _picture(call) or _event_output(ended)
    return {
        "type": TOOL_CALL,
        "id": _call_id(call or (*outputs, event)[0]) or f"at-{record.offset}",
        "name": str(name or ""),
        "namespace": namespace if isinstance(namespace, str) else None,
        "arguments": _arguments(kind, call) if call else _event_arguments(event),
        "output": output,
    }


def _payload(file: LineFile, offset: int) -> Fields:
    line = file.read(offset) if offset >= 0 else None
    return (None if line is None else _payload_of(line)) or {}


_NO_ARGUMENTS: Final = frozenset(
    {
        *("type", "id", "call_id", "callId", "status", "name", "namespace", "execution", "result"),
        *("internal_chat_message_metadata_passthrough", "turn_id", "turnId", "invocation"),
    }
)


def _arguments(kind: str, call: Fields) -> Any:
    """What a call was given: other kinds than functions have it in a field of some other name."""
    named = _NAMED.get(kind)
    if named:
        return call.get(named)
    others = {
        name: value
        for name, value in call.items()
        if name not in _NO_ARGUMENTS and value is not None
    }
    return next(iter(others.values())) if len(others) == 1 else others or None


def _joined(outputs: list[Any]) -> Any:
    """The output of a call; the parts of all if it was given several that are not the same."""
    texts = dict.fromkeys(each for each in outputs if isinstance(each, str))
    given = [*texts, *(each for each in outputs if not isinstance(each, str | None))]
    if len(given) < 2:
        return given[0] if given else None
    parts: list[Any] = []
    for each in given:
        parts += each if isinstance(each, list) else [{"type": "input_text", "text": each}]
    return parts


_PICTURES: Final = (("iVBOR", "png"), ("/9j/", "jpeg"), ("UklGR", "webp"), ("R0lGOD", "gif"))


def image_format(encoded: str) -> str | None:
    """The format of an image in base64, by its first bytes."""
    return next((kind for front, kind in _PICTURES if encoded.startswith(front)), None)


def _picture(call: Fields) -> Any:
    result = call.get("result")
    if not isinstance(result, str) or not result:
        return None
    kind = image_format(result)
    where = f"data:image/{kind};base64,{result}" if kind else result[:200]
    return [{"type": "input_image", "image_url": where}]


def _event_tool(event: Fields) -> object:
    kind = str(event.get("type"))
    return (
        BEGIN_TOOLS.get(kind)
        or END_TOOLS.get(kind)
        or event.get("tool")
        or _invocation(event).get("tool")
    )


def _invocation(event: Fields) -> Fields:
    found = event.get("invocation")
    return found if isinstance(found, dict) else {}


def _event_arguments(event: Fields) -> Any:
    """The arguments of a call, as its events have them."""
    for holder in (_invocation(event), event):
        if "arguments" in holder:
            return holder["arguments"]
    return {
        name: value
        for name, value in event.items()
        if name not in _NO_ARGUMENTS and name not in _RESULTS and value is not None
    } or None


_RESULTS: Final = frozenset(
    {
        *("aggregated_output", "formatted_output", "stdout", "stderr", "exit_code", "duration"),
        *("success", "error", "content_items", "parsed_cmd", "source", "started_at_ms"),
        *("completed_at_ms", "process_id", "auto_approved", "tool", "results", "saved_path"),
        "statuses",
    }
)


def _event_output(event: Fields) -> Any:
    """The result of a call from its last event, in the shape of an output."""
    of_agents = str(event.get("type")).startswith("collab_")  # the agents' states
    for name in ("content_items", "result", "results", *("statuses", "status") * of_agents):
        if event.get(name):
            return event[name]
    streams = [event.get("stdout"), event.get("stderr")]
    text = event.get("aggregated_output") or event.get("formatted_output") or event.get("error")
    if not text:
        text = "\n".join(part for part in streams if isinstance(part, str) and part)
    if not isinstance(text, str):
        return text
    metadata = {"exit_code": event.get("exit_code"), "duration_seconds": _seconds(event)}
    known = {name: value for name, value in metadata.items() if value is not None}
    if known:
        return {"output": text, "metadata": known}
    return text or None


def _seconds(event: Fields) -> float | None:
    try:
        milliseconds = duration_ms(event.get("duration"))
    except Unfit:
        return None
    return None if milliseconds is None else milliseconds / 1000
