"""Read the messages of a thread for the full-text index, whole or from where a pass ended.

Lines that are no message and affect none are skipped. Where other lines matter, such as the earlier
file of a reverted thread or an item that replaces another, all turns are rebuilt. The part of the
history that belongs to another thread is indexed with that thread.
"""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from rollout.errors import HistoryIncomplete
from rollout.files.layout import parse_name
from rollout.files.stamp import FileStamp
from rollout.history.item_refs import key_of
from rollout.history.segments import Find, meta_in, source_meta
from rollout.history.thread import ThreadTurns, bare_if_empty, outline, reduce_parts, reduce_stream
from rollout.items.line_events import parse_event
from rollout.items.thread_item import unknown_item
from rollout.jsonl.parse import BadLine, Item, Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, Skipping, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.schema import kinds
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from rollout.search.legacy_messages import LegacyMessages, NeedsWholeFile
from rollout.search.messages import Message, history_messages, is_message, item_text

_EVENTS: Final = kinds.read_by(kinds.Reader.MESSAGES, kinds.Level.EVENT)
_TYPES: Final = kinds.read_by(kinds.Reader.MESSAGES, kinds.Level.ITEM)


MESSAGE_LINES: Final = Skipping(
    kinds.line_pattern(
        "(?:"
        + kinds.any_of(*kinds.passed_by(kinds.Reader.MESSAGES, kinds.Level.LINE))
        + "|"
        + kinds.payload_type("event_msg", kinds.none_of(*_EVENTS) + '[a-z_]{1,60}"')
        + ")"
    )
)
"""Skips all lines but messages and those that affect them."""


@cache
def _reader_of(thread: int) -> LineReader:
    return LineReader()


def _reader() -> LineReader:
    """One for each thread of the process: its buffer costs more than a small file does."""
    return _reader_of(threading.get_ident())


class ThreadMessages(NamedTuple):
    """The messages in the files of a thread, and how to continue when they have grown."""

    path: str
    """The thread's file, relative to the home."""
    resume: ResumePoint
    """Of the thread's own file."""
    mode: str
    files: tuple[str, ...]
    """All files of the thread, relative to the home, its own last."""
    messages: list[Message]
    state: Fields
    """What a later pass needs to continue, besides ``resume``: JSON."""
    added: bool = False
    """Whether these are only the messages that follow those of an earlier pass."""


class EarlierMessages(NamedTuple):
    """How far a file was read by an earlier pass."""

    resume: ResumePoint
    mode: str
    files: tuple[str, ...]
    state: Fields
    keys: frozenset[int]
    digest: int
    """Of the messages."""


def read_thread_messages(
    home: Path, path: str, find: Find, earlier: EarlierMessages | None = None
) -> ThreadMessages:
    """The messages of the thread whose file is at ``path``, relative to the home, as far as it
    reads; those after ``earlier`` alone, if the file has only grown since and nothing before them
    has changed.

    Raises:
        HistoryUnknown: it has no history that can be shown.
        OSError: a file cannot be read.
    """
    full = home / path
    if earlier is not None and earlier.resume.guard:
        with suppress(NeedsWholeFile):
            return _read_on(full, path, earlier)
    with suppress(NeedsWholeFile, HistoryIncomplete):  # no meta: as files of the first versions
        return _read_whole(full, path)
    return rebuilt_messages(home, path, find)


def _read_whole(full: Path, path: str) -> ThreadMessages:
    """Raises HistoryIncomplete if there is no ``session_meta``."""
    with open_rollout(full, []) as stream:
        stamp = FileStamp.of(os.fstat(stream.fileno()))
        meta = meta_in(stream, full, _reader())
        mode = meta.get("history_mode", LEGACY)
        simple = mode in (LEGACY, PAGINATED) and meta.get("subagent_history_start_ordinal") is None
        if not simple or (meta.get("history_base") is not None and _may_have_earlier(full)):
            raise NeedsWholeFile
        stream.seek(0)
        if mode == LEGACY:
            return _legacy(stream, path, stamp)
        lines = _PaginatedLines(0, _inherited(meta))
        lines.take(stream)
        return lines.done(stream, path, stamp, (path,))


def _may_have_earlier(path: Path) -> bool:
    """Whether the history of a file may begin in an earlier one of the same thread: its first one
    has no other id."""
    name = parse_name(path.name)
    return not (name and name.thread_id and name.rollout_id == name.thread_id)


def _inherited(meta: Fields) -> int:
    """The highest ordinal of what a file continues; -1 if it begins by itself."""
    base = meta.get("history_base")
    if meta.get("attached_thread") is True or not isinstance(base, dict):
        return -1
    end = base.get("end_ordinal_exclusive")
    return end - 1 if isinstance(end, int) and -1 < end < _ORDINAL_LIMIT else -1


def _own(path: Path, find: Find) -> Find:
    """A locator of the files of the same thread alone: other files are indexed with their own
    threads, and a chain of forks is not read again for each fork."""
    name = parse_name(path.name)

    def found(rollout_id: str) -> Path | None:
        base = find(rollout_id) if _may_have_earlier(path) else None
        other = parse_name(base.name) if base else None
        return base if name and other and other.thread_id == name.thread_id else None

    return found


def _read_on(full: Path, path: str, earlier: EarlierMessages) -> ThreadMessages:
    with open_rollout(full) as stream:
        stamp = FileStamp.of(os.fstat(stream.fileno()))
        if not earlier.resume.holds(stream, stamp):
            raise NeedsWholeFile
        stream.seek(earlier.resume.end)
        if earlier.mode == LEGACY:
            return _legacy(stream, path, stamp, earlier)
        highest = earlier.state.get("highest")
        if not isinstance(highest, int):
            raise NeedsWholeFile
        lines = _PaginatedLines(len(earlier.files) - 1, highest, earlier.keys)
        lines.take(stream, earlier.resume.end)
        return lines.done(stream, path, stamp, earlier.files, added=True)


def _legacy(
    stream: RolloutStream, path: str, stamp: FileStamp, earlier: EarlierMessages | None = None
) -> ThreadMessages:
    """Raises :class:`NeedsWholeFile` if there is no turn: response items may then be its
    only messages."""
    reducer = LegacyMessages(None if earlier is None else earlier.state)
    start = 0 if earlier is None else earlier.resume.end
    end = reduce_stream(stream, reducer, _reader(), offset=start)
    if earlier is None and not reducer.turns:
        raise NeedsWholeFile
    torn = reducer.end > end  # its last line has no newline yet
    goes_on = not torn and not reducer.has_ids
    resume = ResumePoint.at(stream, path, stamp, end, resumable=goes_on)
    messages, added = reducer.messages(), earlier is not None
    return ThreadMessages(path, resume, LEGACY, (path,), messages, reducer.state(), added)


def rebuilt_messages(home: Path, path: str, find: Find) -> ThreadMessages:
    full = home / path
    with open_rollout(full, []) as stream:
        stamp = FileStamp.of(
            os.fstat(stream.fileno())
        )  # before it is read: what is written meanwhile is seen later
    known = outline(full, _own(full, find))
    reducer = known.new_reducer()
    if known.mode == PAGINATED:
        reducer.pass_over(0, _inherited(source_meta(known.parts[0].path)))
    reduce_parts(known.parts, reducer, [])
    orphans = [*reducer.orphans.values()]
    all_turns = ThreadTurns(known.mode, known.parts, reducer.turns, orphans, known.missing)
    history = bare_if_empty(all_turns)
    own = own_files(history, full)
    messages = [
        Message(
            own[ref.file],
            ref.offsets[0],
            text,
            item["type"],
            turn.id,
            item["id"],
            _key(turn.id, item["id"]) if history.mode == PAGINATED else 0,
        )
        for turn, ref, item in history_messages(history)
        if ref.file in own and (text := item_text(item))
    ]
    files = tuple(os.path.relpath(history.parts[number].path, home) for number in own)
    if history.mode != PAGINATED:
        # What is added may be a session_meta or the first turn, which changes all.
        resume = ResumePoint(stamp, 0, "")
        return ThreadMessages(path, resume, history.mode, files, messages, {})
    with open_rollout(full, []) as stream:
        lines = _PaginatedLines(len(files) - 1, -1, odd=True)
        lines.take(stream)
        return lines.done(stream, path, stamp, files)._replace(messages=messages)


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


class _PaginatedLines:
    """Reads messages from the lines of a paginated thread, and notices when other lines decide
    what is shown."""

    def __init__(
        self, file: int, highest: int, keys: Iterable[int] = (), *, odd: bool = False
    ) -> None:
        """``odd``: it is known that other lines decide."""
        self._file = file
        self._highest = highest
        self._keys = set(keys)
        self._odd = odd
        self._torn = False
        self._end = 0
        self._messages: list[Message] = []

    def take(self, stream: RolloutStream, offset: int = 0) -> None:
        """Read the rest of a file. Raises NeedsWholeFile if other lines decide what is shown."""
        reader = _reader()
        for line in reader.lines(stream, offset, MESSAGE_LINES):
            self._highest = max(self._highest, reader.highest)
            item = parse_line(line) if isinstance(line, Line) else None
            if item is None or isinstance(item, BadLine):
                continue
            self._torn = not line.ended
            self._take(item, line.offset)
        self._highest = max(self._highest, reader.highest)
        self._end = reader.end_offset

    def _take(self, line: Item, offset: int) -> None:
        ordinal = line.get("ordinal")
        if not isinstance(ordinal, int) or isinstance(ordinal, bool):
            return
        if not self._highest < ordinal < _ORDINAL_LIMIT:
            self._note_odd()
            return
        self._highest = ordinal
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
        if item is not None and is_message(item):
            self._keys.add(key)
            if text := item_text(item):
                kind = item["type"]
                self._messages.append(Message(self._file, offset, text, kind, turn_id, id_, key))

    def _note_odd(self) -> None:
        if not self._odd:
            raise NeedsWholeFile

    def done(
        self,
        stream: RolloutStream,
        path: str,
        stamp: FileStamp,
        files: tuple[str, ...],
        *,
        added: bool = False,
    ) -> ThreadMessages:
        """What was read of the file at ``path``, which is still open."""
        resume = ResumePoint.at(stream, path, stamp, self._end, resumable=not self._torn)
        state = {"highest": self._highest}
        return ThreadMessages(path, resume, PAGINATED, files, self._messages, state, added)


def _key(turn_id: str, item_id: str | None) -> int:
    return key_of(f"{turn_id}\0{item_id}")


_ORDINAL_LIMIT: Final = 2**63
"""SQLite's integers end before it."""
