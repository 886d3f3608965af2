"""A stored thread made ready to be gone on with."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rollout.errors import NotAppendable, RolloutError
from rollout.files.layout import logical_path, parse_uuid, precedence, thread_id_in_name
from rollout.files.scan import FoundFile, scan_home
from rollout.history.segments import Find, SplicedSource, history_parts, source_meta
from rollout.jsonl.sources import FileSource, RolloutSource, session_meta
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from rollout.writing.appender import last_ordinal, plain_file
from state.errors import UnsupportedHistory


class Resumable(NamedTuple):
    """What it takes to go on with a thread."""

    source: FileSource
    """Its own file, a plain one."""
    history: RolloutSource
    """All that it holds; goes on with ``source``."""
    mode: str
    next_ordinal: int | None
    size: int
    """How many bytes it has."""


def resumable(path: Path, thread_id: str, find: Find) -> Resumable:
    """The thread in the file at ``path``, ready to go on. Refusing changes nothing.

    Raises:
        DamagedCompression: a file of its history is compressed, and damaged.
        HistoryIncomplete: a file that its history begins in is not here.
        NotAppendable: it is not this thread's, or nothing can follow what it holds.
        OSError: it cannot be read, or not be made a plain one.
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
        ordinal = _next_ordinal(source) if mode == PAGINATED else None
        history = _whole(source, path, find)
        if logical_path(path.name) == path.name:
            return Resumable(source, history, mode, ordinal, path.stat().st_size)
        plain = plain_file(path)
    except BaseException:
        source.close()
        raise
    history.close()
    source = FileSource(plain)
    return Resumable(source, _whole(source, plain, find), mode, ordinal, plain.stat().st_size)


def stored_history(path: Path, find: Find) -> RolloutSource:
    """What the thread in the file at ``path`` holds, in whichever files that is.

    Raises:
        DamagedCompression: a file of its history is compressed, and damaged.
        HistoryIncomplete: a file that its history begins in is not here.
        OSError: one cannot be read.
    """
    source = FileSource(path)
    try:
        return _whole(source, path, find)
    except BaseException:
        source.close()
        raise


def _whole(source: FileSource, path: Path, find: Find) -> RolloutSource:
    meta = session_meta(source)
    if meta is None or meta["payload"].get("history_base") is None:
        return source
    return SplicedSource.of_files(history_parts(path, find), source)


def _next_ordinal(source: FileSource) -> int:
    try:
        last = last_ordinal(source)
    except LookupError as error:
        raise NotAppendable(source.path, str(error)) from error
    return 0 if last is None else last + 1


def named_files(home: Path, thread_id: str) -> list[FoundFile]:
    """The files that a thread has by their names."""
    return [
        file
        for file in scan_home(home)
        # Looking for the text first spares most names the parsing.
        if thread_id in file.path
        and file.ignored is None
        and thread_id_in_name(file.path) == thread_id
    ]


def thread_file(home: Path, thread_id: str, files: Iterable[FoundFile]) -> str | None:
    """The file that is a thread's among ``files``: the first in rank whose beginning tells that it
    is; the first in rank if none does."""
    ranks = {precedence(file.path, file.stamp.size, thread_id) for file in files}
    ranked = [rank.path for rank in sorted(ranks, reverse=True)]
    if len(ranked) > 1:
        ranked = [path for path in ranked if _is_of(home / path, thread_id)] or ranked
    return ranked[0] if ranked else None


def _is_of(path: Path, thread_id: str) -> bool:
    try:
        return parse_uuid(source_meta(path).get("id")) == thread_id
    except (OSError, RolloutError):
        return False
