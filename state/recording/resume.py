"""Open a thread to record it, or to read all that it holds."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rollout.errors import NotAppendable
from rollout.files.layout import logical_path, parse_uuid
from rollout.history.segments import Find, SplicedSource, history_parts
from rollout.jsonl.sources import FileSource, MemorySource, RolloutSource, session_meta
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from rollout.writing.appender import last_ordinal, plain_file, timestamp
from state.errors import UnsupportedHistory

if TYPE_CHECKING:
    from rollout.writing.new_thread import NewThread


class OpenedThread(NamedTuple):
    """A thread that can be recorded."""

    thread_id: str
    mode: str
    source: FileSource | MemorySource
    """Its own file, a plain one; its items in memory, while it has no file."""
    next_ordinal: int | None
    """None in a legacy thread."""
    history: RolloutSource | None = None
    """All that a stored thread holds, which ends with ``source``."""
    size: int = 0
    """Of its own file, in bytes."""
    extended: bool = False

    def close(self) -> None:
        (self.history or self.source).close()


def new_thread(thread: "NewThread") -> OpenedThread:
    """A thread that has no file yet."""
    from rollout.writing.new_thread import first_line  # loads pydantic

    ordinal = (
        thread.forked_from_ordinal_exclusive or 0 if thread.history_mode == PAGINATED else None
    )
    meta = MemorySource([first_line(thread, timestamp(), None)])
    return OpenedThread(thread.id, thread.history_mode, meta, ordinal, extended=thread.extended)


def stored_thread(path: Path, thread_id: str, find: Find) -> OpenedThread:
    """The thread in the file at ``path``, ready to be continued. A refusal changes nothing.

    Raises:
        DamagedCompression: a file of its history is compressed, and damaged.
        HistoryIncomplete: its history begins in a file that is missing.
        NotAppendable: it is another thread's, or nothing can follow what it holds.
        OSError: it cannot be read, or not be made a plain file.
        UnsupportedHistory: it is written in an unknown way.
    """
    source = FileSource(path)
    try:
        meta = session_meta(source)
        if meta is None:
            raise NotAppendable(path, "it has no session_meta")
        payload = meta["payload"]
        if parse_uuid(payload.get("id")) != thread_id:
            raise NotAppendable(path, f"its session_meta is that of {payload.get('id')}")
        mode = payload.get("history_mode", LEGACY)
        if mode not in MODES:
            raise UnsupportedHistory(thread_id, mode)
        ordinal = next_ordinal(source, mode, path)
        history = _with_beginning(source, path, find)
        if logical_path(path.name) == path.name:
            return OpenedThread(thread_id, mode, source, ordinal, history, path.stat().st_size)
        plain = plain_file(path)
    except BaseException:
        source.close()
        raise
    history.close()
    source = FileSource(plain)
    history = _with_beginning(source, plain, find)
    return OpenedThread(thread_id, mode, source, ordinal, history, plain.stat().st_size)


def next_ordinal(source: RolloutSource, mode: str, path: Path) -> int | None:
    """The ordinal of the next line; None in a legacy thread. Raises NotAppendable if the last line
    has none."""
    if mode != PAGINATED:
        return None
    try:
        last = last_ordinal(source)
    except LookupError as error:
        raise NotAppendable(path, str(error)) from error
    return 0 if last is None else last + 1


def stored_history(path: Path, find: Find) -> RolloutSource:
    """All that the thread in the file at ``path`` holds, in whichever files that is. Raises
    DamagedCompression, HistoryIncomplete or OSError as :func:`stored_thread` does."""
    source = FileSource(path)
    try:
        return _with_beginning(source, path, find)
    except BaseException:
        source.close()
        raise


def begins_elsewhere(source: RolloutSource) -> bool:
    """Whether the history of a thread begins in another one."""
    meta = session_meta(source)
    return meta is not None and meta["payload"].get("history_base") is not None


def _with_beginning(source: FileSource, path: Path, find: Find) -> RolloutSource:
    if not begins_elsewhere(source):
        return source
    return SplicedSource.of_files(history_parts(path, find), source)
