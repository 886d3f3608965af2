"""Change the metadata of a legacy thread in its file: append one more ``session_meta``
(docs/rollout-format.md#lines-outside-turns).

It is a copy of the thread's latest one with other values, so that nothing else changes. Fields that
are unknown here stay in it, although Codex drops them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollout.errors import NotAppendable
from rollout.files.layout import parse_uuid
from rollout.files.writer_lock import WriterLock
from rollout.history.segments import records
from rollout.jsonl.parse import Item
from rollout.jsonl.reader import Skipping
from rollout.schema.kinds import lines_without
from rollout.writing.appender import RolloutAppender, plain_file


def append_meta(home: Path, path: Path, thread_id: str, changes: Mapping[str, Any]) -> Path:
    """Append a ``session_meta`` with ``changes`` in its payload, on the disk when this returns.
    A compressed rollout is made a plain one first. Gives where the rollout is then.

    Raises:
        DamagedCompression: it is compressed, and damaged.
        NotAppendable: it has no ``session_meta`` of this thread.
        OSError: it cannot be read or written.
        WriterActive: the thread is open in a program, or another change is under way.
    """
    with WriterLock.acquire(home, thread_id):
        line = amended_meta(path, thread_id, changes)
        path = plain_file(path)
        appender = RolloutAppender(path, new=False, next_ordinal=None)
        appender.write(appender.encode([line]), durable=True)
    return path


def amended_meta(path: Path, thread_id: str, changes: Mapping[str, Any]) -> Item:
    """The line that makes ``changes``: the latest ``session_meta`` of the thread with them in it.
    Raises as :func:`append_meta` if there is none, or the rollout cannot be read."""
    latest: dict[str, Any] | None = None
    for item, _, _ in records(path, Skipping(lines_without("session_meta"))):
        payload = item.get("payload")
        if item.get("type") != "session_meta" or not isinstance(payload, dict):
            continue
        if parse_uuid(payload.get("id")) == thread_id:
            latest = payload
    if latest is None:
        raise NotAppendable(path, "it has no session_meta of its own thread to change")
    return {"type": "session_meta", "payload": {**latest, **changes}}
