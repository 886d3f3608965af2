"""A stored thread made ready to be gone on with."""

from pathlib import Path
from typing import NamedTuple

from rollout.appender import last_ordinal, plain_file
from rollout.errors import NotAppendable
from rollout.paths import logical_path, parse_name, parse_uuid
from rollout.persistence import LEGACY, MODES, PAGINATED
from rollout.replay import FileSource, session_meta
from rollout.scan import scan_home
from state.errors import UnsupportedHistory


class Resumable(NamedTuple):
    source: FileSource
    mode: str
    next_ordinal: int | None


def resumable(path: Path, thread_id: str) -> Resumable:
    """The thread in the file at ``path``, ready to go on. Refusing changes nothing."""
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
    except BaseException:
        source.close()
        raise
    if logical_path(path.name) != path.name:
        source.close()
        source = FileSource(plain_file(path))
    return Resumable(source, mode, ordinal)


def _next_ordinal(source: FileSource) -> int:
    try:
        last = last_ordinal(source)
    except LookupError as error:
        raise NotAppendable(source.path, str(error)) from error
    return 0 if last is None else last + 1


def named_files(home: Path, thread_id: str) -> list[str]:
    found = []
    for file in scan_home(home):
        if thread_id in file.path and file.ignored is None:
            name = parse_name(file.path.rsplit("/", 1)[-1])
            if name is not None and name.thread_id == thread_id:
                found.append(file.path)
    return found
