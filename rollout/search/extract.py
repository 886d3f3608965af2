"""Read the messages of a rollout that the full-text index holds, whole or from where a pass
ended."""

import os
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.errors import DamagedCompression, HistoryIncomplete
from rollout.files.layout import COMPRESSED_SUFFIX, parse_name
from rollout.files.stamp import FileStamp
from rollout.history.bare import BARE
from rollout.history.item_refs import key_of
from rollout.history.segments import Find, source_meta
from rollout.history.thread import ThreadTurns, outline, reduce_parts, with_talk
from rollout.items.line_events import ITEM, ROLLED_BACK, parse_event
from rollout.items.thread_item import unknown_item
from rollout.jsonl.parse import BadLine, Item, Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.schema.kinds import (
    Level,
    Reader,
    any_of,
    line_pattern,
    passed_by,
    payload_type,
    read_by,
)
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from rollout.search.messages import Message, _is_message, history_messages, said_in

_EVENTS: Final = read_by(Reader.MESSAGES, Level.EVENT)
_TYPES: Final = read_by(Reader.MESSAGES, Level.ITEM)


class _Messages:
    """Passes over lines that are no message and decide on none, by their first bytes."""

    skip = line_pattern(
        "(?:"
        + any_of(*passed_by(Reader.MESSAGES, Level.LINE))
        + "|"
        + payload_type("event_msg", f'(?!{any_of(*_EVENTS)})[a-z_]{{1,60}}"')
        + ')(?!,"call_id":"item-)'
    )


_MESSAGES: Final = _Messages()


@cache
def _reader_of(thread: int) -> LineReader:
    return LineReader()


def _reader() -> LineReader:
    """One for each thread of the process: its buffer costs more than a small file does."""
    return _reader_of(threading.get_ident())


class Spoken(NamedTuple):
    """What was said in the files of a thread, and how to go on when they have grown."""

    path: str
    """The thread's file, relative to the home."""
    resume: ResumePoint
    """Of the thread's own file."""
    mode: str
    files: tuple[str, ...]
    """All files that it is in, relative to the home, the thread's own last."""
    messages: list[Message]
    highest: int
    """The highest ordinal so far."""
    added: bool = False
    """Whether these are only the messages after those of an earlier time."""


class EarlierMessages(NamedTuple):
    """How far a file was read at an earlier time."""

    resume: ResumePoint
    mode: str
    files: tuple[str, ...]
    highest: int
    keys: frozenset[int]
    digest: int
    """Of the messages."""


class _Odd(Exception):
    """Messages alone do not tell what is shown."""


def read_spoken(
    home: Path, path: str, find: Find, earlier: EarlierMessages | None = None
) -> Spoken:
    """The messages of the thread whose file is at ``path``, relative to the home, as far as it
    reads; those after ``earlier`` alone, if the file has only grown since and nothing before them
    has changed.

    Raises:
        HistoryUnknown: it has no history that can be shown.
        OSError: a file cannot be read.
    """
    full = home / path
    if earlier is not None and earlier.resume.guard:
        try:
            return _read_on(full, path, earlier)
        except _Odd:
            pass
    try:
        meta = source_meta(full)
    except (DamagedCompression, HistoryIncomplete):  # as files of the first versions
        return _rebuilt(home, path, find)
    mode = meta.get("history_mode", LEGACY)
    plain = mode in (LEGACY, PAGINATED) and meta.get("subagent_history_start_ordinal") is None
    if plain and (meta.get("history_base") is None or not _may_have_earlier(full)):
        try:
            spoken = _read(full, path, mode, _inherited(meta) if mode == PAGINATED else -1)
        except _Odd:
            pass
        else:
            if spoken.messages or mode != LEGACY:
                return spoken
            # Response items may say what no event does.
    return _rebuilt(home, path, find)


def _may_have_earlier(path: Path) -> bool:
    """Whether the history of a file may begin in an earlier one of the same thread: its first one
    has no other id."""
    name = parse_name(path.name)
    return not (name and name.thread_id and name.rollout_id == name.thread_id)


def _inherited(meta: Fields) -> int:
    """The highest ordinal of what a file goes on from; -1 if it begins by itself."""
    base = meta.get("history_base")
    if meta.get("attached_thread") is True or not isinstance(base, dict):
        return -1
    end = base.get("end_ordinal_exclusive")
    return end - 1 if isinstance(end, int) and -1 < end < _MOST else -1


def _own(path: Path, find: Find) -> Find:
    """What finds the files of the same thread alone, as what others hold is said there: a chain
    of forks would be read from its beginning for each of them."""
    name = parse_name(path.name)

    def found(rollout_id: str) -> Path | None:
        base = find(rollout_id) if _may_have_earlier(path) else None
        other = parse_name(base.name) if base else None
        return base if name and other and other.thread_id == name.thread_id else None

    return found


def _read_on(full: Path, path: str, earlier: EarlierMessages) -> Spoken:
    with open_rollout(full) as stream:
        info = os.fstat(stream.fileno())
        start = earlier.resume.end
        if not earlier.resume.holds(stream, FileStamp.of(info)):
            raise _Odd
        stream.seek(start)
        reading = _Reading(earlier.mode, len(earlier.files) - 1, earlier.highest, earlier.keys)
        reading.take(stream, start)
        return reading.done(path, info, stream, earlier.files, added=True)


def _read(full: Path, path: str, mode: str, highest: int) -> Spoken:
    with open_rollout(full, []) as stream:
        info = _stat(full, stream)
        reading = _Reading(mode, 0, highest, ())
        reading.take(stream)
        return reading.done(path, info, stream, (path,))


def _rebuilt(home: Path, path: str, find: Find) -> Spoken:
    full = home / path
    with open_rollout(full, []) as stream:
        info = _stat(full, stream)  # before it is read: what is written meanwhile is seen later
    known = outline(full, _own(full, find))
    fold = known.new_reducer()
    if known.mode == PAGINATED:
        fold.pass_over(0, _inherited(source_meta(known.parts[0].path)))
    reduce_parts(known.parts, fold, [])
    strays = [*fold.strays.values()]
    told = ThreadTurns(known.mode, known.parts, fold.turns, strays, known.missing)
    history = with_talk(told)
    own = own_files(history, full)
    messages = [
        Message(own[anchor.file], anchor.offsets[0], said_in(item), _key(turn.id, item["id"]))
        for turn, anchor, item in history_messages(history)
        if anchor.file in own and said_in(item)
    ]
    files = tuple(os.path.relpath(history.parts[number].path, home) for number in own)
    with open_rollout(full, []) as stream:
        reading = _Reading(history.mode, len(files) - 1, -1, (), odd=True)
        reading.take(stream)
        return reading.done(path, info, stream, files)._replace(messages=messages)


def own_files(history: ThreadTurns, path: Path) -> dict[int, int]:
    """Which of the files that a history is in are of the thread itself, each with its number
    among those: reverts leave several."""
    name = parse_name(path.name)
    own: dict[int, int] = {}
    for number, part in enumerate(history.parts):
        other = parse_name(part.path.name)
        last = number == len(history.parts) - 1
        if last or (name and other and name.thread_id == other.thread_id):
            own[number] = len(own)
    return own


class _Reading:
    """Reads messages from lines, and notices when they alone do not tell what is shown."""

    def __init__(
        self, mode: str, file: int, highest: int, keys: Iterable[int], *, odd: bool = False
    ) -> None:
        """``odd``: it is known already that they do not."""
        self._mode = mode
        self._file = file
        self._odd = odd
        self._keys = set(keys)
        self._torn = False
        self._replaceable = False
        self._end = 0
        self.highest = highest
        self.messages: list[Message] = []

    def take(self, stream: RolloutStream, offset: int = 0) -> None:
        """Read the rest of a file.

        Raises:
            _Odd: messages alone do not tell.
        """
        reader = _reader()
        for line in reader.lines(stream, offset, _MESSAGES):
            self.highest = max(self.highest, reader.highest)
            item = parse_line(line) if isinstance(line, Line) else None
            if item is None or isinstance(item, BadLine):
                continue
            self._torn = not line.ended
            if self._mode == PAGINATED:
                self._paginated(item, line.offset)
            else:
                self._legacy(item, line.offset)
        self.highest = max(self.highest, reader.highest)
        self._end = reader.end_offset

    def _paginated(self, line: Item, offset: int) -> None:
        ordinal = line.get("ordinal")
        if not isinstance(ordinal, int) or isinstance(ordinal, bool):
            return
        if not self.highest < ordinal < _MOST:
            self._note_odd()
            return
        self.highest = ordinal
        match line.get("payload"):
            case {"type": "item_completed", "turn_id": str(turn_id), "item": {"id": str(id_)}}:
                pass
            case _:
                return
        if line["payload"]["item"].get("type") not in _TYPES:
            if _key(turn_id, id_) in self._keys:
                self._note_odd()
            return
        read = parse_event(line)
        item = unknown_item(line["payload"]) if read is None else read.item
        key = _key(turn_id, f"?{id_}" if read is None else id_)
        if key in self._keys:
            self._note_odd()
        if item is not None and _is_message(item):
            self._keys.add(key)
            self._add(item, offset, key)

    def _legacy(self, line: Item, offset: int) -> None:
        payload = line.get("payload")
        kind = payload.get("type") if isinstance(payload, dict) else None
        if line.get("type") != "event_msg":
            return
        if kind == ITEM or kind not in _EVENTS:
            if _has_made_up_id(payload):
                self._note_odd()
            return
        if kind == ROLLED_BACK:
            self._note_odd()
            return
        read = parse_event(line)
        item = unknown_item(line["payload"]) if read is None else read.item
        if item is None:
            return
        if read is not None and item["id"] is not None:
            self._replaceable = True  # by any item of this id
            self._note_odd()
        self._add(item, offset)

    def _add(self, item: Fields, offset: int, key: int = 0) -> None:
        text = said_in(item)
        if text:
            self.messages.append(Message(self._file, offset, text, key))

    def _note_odd(self) -> None:
        if not self._odd:
            raise _Odd

    def done(
        self,
        path: str,
        info: os.stat_result,
        stream: RolloutStream,
        files: tuple[str, ...],
        *,
        added: bool = False,
    ) -> Spoken:
        """What was read of the file at ``path``, which is still open."""
        # What is added to a bare one may be a session_meta, which changes all.
        plain = self._mode != BARE and not path.endswith(COMPRESSED_SUFFIX)
        goes_on = plain and not self._torn and not self._replaceable
        stamp = FileStamp.of(info)
        resume = (
            ResumePoint.at(stream, stamp, self._end)
            if goes_on
            else ResumePoint(stamp, self._end, "")
        )
        return Spoken(path, resume, self._mode, files, self.messages, self.highest, added)


def _has_made_up_id(payload: Any) -> bool:
    """Whether an item has an id such as messages are given: it takes their place then."""
    if not isinstance(payload, dict):
        return False
    item = payload.get("item")
    ids = (payload.get("call_id"), item.get("id") if isinstance(item, dict) else None)
    return any(isinstance(id_, str) and id_.startswith("item-") for id_ in ids)


def _stat(full: Path, stream: RolloutStream) -> os.stat_result:
    return os.stat(full) if full.name.endswith(COMPRESSED_SUFFIX) else os.fstat(stream.fileno())


def _key(turn_id: str, item_id: str | None) -> int:
    return key_of(f"{turn_id}\0{item_id}")


_MOST: Final = 2**63
"""SQLite's integers end before it; nobody writes so many lines."""
