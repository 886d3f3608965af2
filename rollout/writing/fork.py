"""A new thread that begins as a copy of another (docs/rollout-format.md#forks-and-reverts).

A legacy fork copies the lines of its source, byte for byte. A paginated one holds none of them:
it names the file and the byte up to which its history is another thread's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from rollout.errors import TurnNotFound, TurnUnfinished
from rollout.files.atomic import atomic_file
from rollout.files.cancellation import check_cancelled
from rollout.history.fork_points import ForkPoints, LegacyForkPoints, PaginatedForkPoints
from rollout.history.segments import Find, Part, history_parts, records
from rollout.items.line_events import ABORTED
from rollout.jsonl.parse import Item
from rollout.jsonl.reader import Skipping, open_rollout
from rollout.schema.kinds import lines_without
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.turns.item_refs import Position
from rollout.writing.appender import encoded, timestamp
from rollout.writing.new_thread import NewThread, first_line, new_id

_COPIED_BYTES: Final = 256 * 1024
_SETTINGS: Final = "thread_settings_applied"
_ABORTED_TEXT: Final = (
    "<turn_aborted>\nThe user interrupted the previous turn on purpose. Any running unified exec"
    " processes may still be running in the background. If any tools/commands were aborted, they"
    " may have partially executed.\n</turn_aborted>"
)


class ForkPoint(NamedTuple):
    """How much of the source a fork begins with: all, or as far as one of the two says."""

    through: str | None = None
    """The id of the last turn."""
    before: str | None = None
    """The id of the first turn that is left out."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork that is to be written: see :func:`plan_fork`."""

    thread: NewThread
    lines: tuple[Item, ...]
    """The lines that follow the first one, and the copied ones."""
    copied: Path | None
    """The file whose lines are copied."""
    copied_bytes: int = 0


def plan_fork(path: Path, thread: NewThread, point: ForkPoint, find: Find) -> Fork:
    """What the fork ``thread`` of the rollout at ``path`` is to hold. Its mode says how.

    Raises:
        DamagedCompression: a file that its history is in is damaged.
        HistoryIncomplete: a file that its history begins in is not here.
        OSError: a file cannot be read.
        TurnNotFound: the history has no turn of this id.
        TurnUnfinished: the turn that is to be the last has not ended.
    """
    if thread.history_mode == LEGACY:
        return _plan_copy(path, thread, point)
    return _plan_reference(path, thread, point, find)


def _plan_copy(path: Path, thread: NewThread, point: ForkPoint) -> Fork:
    turns = LegacyForkPoints()
    end = Position(0, 0, 0)
    for item, start, after in records(path):
        end = Position(0, after, 0)
        turns.take(item, Position(0, start, 0), end)
    position = _position(turns, point, end)
    return Fork(thread, tuple(_interruption(turns, position)), path, position.offset)


def _plan_reference(path: Path, thread: NewThread, point: ForkPoint, find: Find) -> Fork:
    parts = history_parts(path, find)
    turns = PaginatedForkPoints()
    end = Position(0, 0, 0)
    empty = True
    for item, before, after in _numbered(parts):
        empty = empty and item.get("type") == "session_meta"
        end = after
        turns.take(item, before, after)
    position = _position(turns, point, end)
    if empty or (point.before is not None and not any(t.start < position for t in turns.turns)):
        # It starts empty and does not need its source, which can then be deleted.
        return Fork(thread, _settings(parts, end), None)
    base = {
        "thread_id": parts[position.file].rollout_id,
        "end_ordinal_exclusive": position.ordinal,
        "end_byte_offset": position.offset,
    }
    thread = replace(thread, history_base=base, forked_from_ordinal_exclusive=position.ordinal)
    lines = (*_settings(parts, position), *_interruption(turns, position))
    return Fork(thread, lines, None)


def _position(turns: ForkPoints, point: ForkPoint, end: Position) -> Position:
    wanted = point.before if point.through is None else point.through
    if wanted is None:
        return end
    turn = next((turn for turn in reversed(turns.turns) if turn.id == wanted), None)
    if turn is None:
        raise TurnNotFound(wanted, [turn.id for turn in turns.turns])
    if point.before is not None:
        return turn.start
    if turn.explicit and turn.end is None:
        raise TurnUnfinished(wanted)
    return turns.end_of(turn) or end


def _interruption(turns: ForkPoints, position: Position) -> Iterator[Item]:
    """The lines that end a turn which the fork interrupts."""
    inside = [turn for turn in turns.turns if turn.explicit and turn.start < position]
    if not inside:
        return
    last = max(inside, key=attrgetter("start"))
    if last.end is not None and last.end <= position:
        return
    part = {"type": "input_text", "text": _ABORTED_TEXT}
    message: Item = {"type": "message", "id": f"msg_{new_id()}", "role": "user", "content": [part]}
    kinds = {"content_item_kinds": ["generic.turn_aborted"]}
    message["internal_chat_message_metadata_passthrough"] = kinds
    yield {"type": "response_item", "payload": message}
    facts = {"root_turn_id": last.root_id, "turn_id": last.id, "started_at": last.started_at}
    known = {name: value for name, value in facts.items() if value is not None}
    yield {"type": "event_msg", "payload": {"type": ABORTED, **known, "reason": "interrupted"}}


def _numbered(parts: list[Part]) -> Iterator[tuple[Item, Position, Position]]:
    """The lines of a paginated history that count, each with its positions."""
    last = Position(0, 0, 0)
    for number, part in enumerate(parts):
        for item, _, after in records(part.path):
            ordinal = item.get("ordinal")
            if not isinstance(ordinal, int) or isinstance(ordinal, bool) or ordinal < last.ordinal:
                continue
            if part.end_ordinal is not None and ordinal >= part.end_ordinal:
                break
            before, last = last, Position(number, after, ordinal + 1)
            yield item, before, last


def _settings(parts: list[Part], position: Position) -> tuple[Item, ...]:
    """The settings in force at ``position``, if its history has any."""
    for number in range(position.file, -1, -1):
        held: Item | None = None
        for item, _, after in records(parts[number].path, Skipping(lines_without(_SETTINGS))):
            if number == position.file and after > position.offset:
                break
            payload = item.get("payload")
            if isinstance(payload, dict) and payload.get("type") == _SETTINGS:
                held = item
        if held:
            return (held,)
    return ()


def write_fork(fork: Fork, target: Path, git: dict[str, str] | None) -> None:
    """Write the fork to ``target`` durably, all of it or nothing. Hold its writer lock. Raises as
    :func:`rollout.files.atomic.atomic_file`; and DamagedCompression, if what is copied is."""
    with atomic_file(target) as file:
        write_lines(fork, file, git)


def write_lines(fork: Fork, file: BinaryIO, git: dict[str, str] | None) -> None:
    """Write all lines of the fork. What is copied may be damaged: see :func:`write_fork`."""
    stamp = timestamp()
    base = fork.thread.forked_from_ordinal_exclusive or 0
    number = base if fork.thread.history_mode == PAGINATED else None
    file.write(encoded(first_line(fork.thread, stamp, git), stamp, number))
    if fork.copied:
        _copy(fork.copied, fork.copied_bytes, file)
    for item in fork.lines:
        number = None if number is None else number + 1
        file.write(encoded(_about(item, fork.thread.id), stamp, number))


def _about(item: Item, thread_id: str) -> Item:
    """A line with the id of the thread that it is written for."""
    payload = item["payload"]
    if "thread_id" not in payload:
        return item
    return {**item, "payload": {**payload, "thread_id": thread_id}}


def _copy(path: Path, count: int, file: BinaryIO) -> None:
    """The first ``count`` bytes of a rollout's content, and a newline where they end in none."""
    buffer = bytearray(_COPIED_BYTES)
    view = memoryview(buffer)
    last = b"\n"
    with open_rollout(path) as stream:
        while count and (got := stream.readinto(view[:count])):
            check_cancelled()
            file.write(view[:got])
            last = bytes(view[got - 1 : got])
            count -= got
    if last != b"\n":
        file.write(b"\n")
