"""Read the messages of a thread for the full-text index, whole or from where a pass ended.

Lines that are no message and affect none are skipped. Where other lines matter, such as the earlier
file of a reverted thread or an item that replaces another, all turns are rebuilt. The part of the
history that belongs to another thread is indexed with that thread.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.errors import HistoryIncomplete
from rollout.files.layout import parse_name
from rollout.files.stamp import FileStamp
from rollout.history.segments import Find, meta_in, source_meta
from rollout.history.thread import ThreadTurns, bare_if_empty, outline, reduce_parts, reduce_stream
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from rollout.search.changed_files import Change, ChangedFiles, changes_in
from rollout.search.legacy_messages import LegacyMessages
from rollout.search.messages import Message, NeedsWholeFile, history_messages, item_text
from rollout.search.paginated_messages import ORDINAL_LIMIT, PaginatedMessages, message_key


@cache
def _reader_of(thread: int) -> LineReader:
    return LineReader()


def _reader() -> LineReader:
    """One for each thread of the process: its buffer costs more than a small file does."""
    return _reader_of(threading.get_ident())


MessageReducer = LegacyMessages | PaginatedMessages
_CHANGES: Final = "changes"
"""Where a state has that of the changes."""


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
    """Whether these are only the messages and changes that follow those of an earlier pass."""
    changes: Sequence[Change] = ()
    """The files that patches have changed, in the order of their lines."""


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
        reducer = reducer_of(path, meta)
        stream.seek(0)
        changed = ChangedFiles(full)
        changed.meta = meta
        return _read(stream, path, stamp, reducer, changed)


def reducer_of(path: str, meta: Any) -> MessageReducer:
    """Finds the messages in the lines of a file, whose first ``session_meta`` is ``meta``. Raises
    NeedsWholeFile if more than these lines decide what is shown."""
    if not isinstance(meta, dict):
        raise NeedsWholeFile
    mode = meta.get("history_mode", LEGACY)
    simple = mode in (LEGACY, PAGINATED) and meta.get("subagent_history_start_ordinal") is None
    if not simple or (meta.get("history_base") is not None and _may_have_earlier(path)):
        raise NeedsWholeFile
    return LegacyMessages() if mode == LEGACY else PaginatedMessages(0, _inherited(meta))


def _may_have_earlier(path: str) -> bool:
    """Whether the history of a file may begin in an earlier one of the same thread: its first one
    has no other id."""
    name = parse_name(path)
    return not (name and name.thread_id and name.rollout_id == name.thread_id)


def _inherited(meta: Fields) -> int:
    """The highest ordinal of what a file continues; -1 if it begins by itself."""
    base = meta.get("history_base")
    if meta.get("attached_thread") is True or not isinstance(base, dict):
        return -1
    end = base.get("end_ordinal_exclusive")
    return end - 1 if isinstance(end, int) and -1 < end < ORDINAL_LIMIT else -1


def _own(path: Path, find: Find) -> Find:
    """A locator of the files of the same thread alone: other files are indexed with their own
    threads, and a chain of forks is not read again for each fork."""
    name = parse_name(path.name)

    def found(rollout_id: str) -> Path | None:
        base = find(rollout_id) if _may_have_earlier(path.name) else None
        other = parse_name(base.name) if base else None
        return base if name and other and other.thread_id == name.thread_id else None

    return found


def _read_on(full: Path, path: str, earlier: EarlierMessages) -> ThreadMessages:
    with open_rollout(full) as stream:
        stamp = FileStamp.of(os.fstat(stream.fileno()))
        if not earlier.resume.holds(stream, stamp):
            raise NeedsWholeFile
        reducer: MessageReducer
        if earlier.mode == LEGACY:
            reducer = LegacyMessages(earlier.state)
        elif isinstance(highest := earlier.state.get("highest"), int):
            reducer = PaginatedMessages(len(earlier.files) - 1, highest, earlier.keys)
        else:
            raise NeedsWholeFile
        stream.seek(earlier.resume.end)
        file, state = len(earlier.files) - 1, earlier.state.get(_CHANGES)
        changed = ChangedFiles(full, file=file, state=state if isinstance(state, dict) else None)
        return _read(stream, path, stamp, reducer, changed, earlier)


def _read(
    stream: RolloutStream,
    path: str,
    stamp: FileStamp,
    reducer: MessageReducer,
    changed: ChangedFiles,
    earlier: EarlierMessages | None = None,
) -> ThreadMessages:
    start, reader = 0 if earlier is None else earlier.resume.end, _reader()
    reader.marked = changed.lines
    try:
        end = reduce_stream(stream, reducer, reader, offset=start)
    finally:
        reader.marked = None
    whole = reducer.end <= end  # its last line has a newline
    resume = ResumePoint.at(stream, path, stamp, end, resumable=whole and reducer.goes_on)
    files = (path,) if earlier is None else earlier.files
    return messages_of(reducer, changed, path, resume, files, added=earlier is not None)


def messages_of(
    reducer: MessageReducer,
    changed: ChangedFiles,
    path: str,
    resume: ResumePoint,
    files: tuple[str, ...],
    *,
    added: bool = False,
) -> ThreadMessages:
    """What was found in the file at ``path``. Raises NeedsWholeFile if it is not all."""
    found, (changes, waiting) = reducer.messages(), changed.end()
    state = state_with(reducer.state(), waiting)
    return ThreadMessages(path, resume, reducer.mode, files, found, state, added, changes)


def state_with(state: Fields, changes: Fields) -> Fields:
    """A :attr:`ThreadMessages.state` with what a later pass needs of changed files."""
    return {**state, _CHANGES: changes} if changes else state


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
            message_key(turn.id, item["id"]) if history.mode == PAGINATED else 0,
        )
        for turn, ref, item in history_messages(history)
        if ref.file in own and (text := item_text(item))
    ]
    files = tuple(os.path.relpath(history.parts[number].path, home) for number in own)
    if history.mode != PAGINATED:
        # What is added may be a session_meta or the first turn, which changes all.
        resume = ResumePoint(stamp, 0, "")
        changes = changes_in(home, files).changes
        return ThreadMessages(path, resume, history.mode, files, messages, {}, changes=changes)
    before = changes_in(home, files[:-1]).changes
    with open_rollout(full, []) as stream:
        last = len(files) - 1
        lines, changed = PaginatedMessages(last, -1, odd=True), ChangedFiles(full, file=last)
        read = _read(stream, path, stamp, lines, changed)
    changes = [*before, *read.changes]
    return read._replace(files=files, messages=messages, changes=changes)


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
