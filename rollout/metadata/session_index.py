"""The names that users gave: ``session_index.jsonl`` (docs/rollout-format.md#names)."""

import fcntl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from rollout.files.access import is_there
from rollout.files.atomic import append_lines, replace_file
from rollout.files.layout import parse_uuid
from rollout.files.text import storable_text
from rollout.jsonl.parse import Line, object_of
from rollout.jsonl.reader import LineReader
from rollout.schema.times import time_ms

NAMES_FILE: Final = "session_index.jsonl"


class ThreadName(NamedTuple):
    """The name of a thread."""

    name: str
    set_at_ms: int
    """0 if the line does not say."""


def read_names(home: Path) -> dict[str, ThreadName]:
    """The latest name of each thread id; empty if there is no such file.

    The last line wins, whatever its ``updated_at``. A blank name is none: an earlier one stays.
    Unreadable lines are skipped. Raises OSError if the file is there and cannot be read.
    """
    names: dict[str, ThreadName] = {}
    try:
        file = (home / NAMES_FILE).open("rb", buffering=0)
    except FileNotFoundError:
        return names
    with file:
        for line in LineReader().lines(file):
            value = object_of(line)
            if value is None:
                continue
            thread_id, name = parse_uuid(value.get("id")), value.get("thread_name")
            if thread_id and isinstance(name, str) and name.strip():
                at = value.get("updated_at")
                set_at_ms = (isinstance(at, str) and time_ms(at)) or 0
                names[thread_id] = ThreadName(storable_text(name.strip()), set_at_ms)
    return names


def append_name(home: Path, thread_id: str, name: str) -> None:
    """Give a thread a name, as Codex does: one more line, written under the same lock. Codex does
    not end a torn last line first; this does. Raises OSError if it cannot be written; what was is
    skipped as a torn line."""
    line = orjson.dumps({"id": thread_id, "thread_name": name, "updated_at": _now()}) + b"\n"
    with (home / f"{NAMES_FILE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        append_lines(home / NAMES_FILE, line)


def _now() -> str:
    """Now, as ``session_index.jsonl`` has it: UTC with nanoseconds."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


def remove_names(home: Path, thread_ids: Sequence[str]) -> None:
    """Remove the lines of threads from ``session_index.jsonl``, as Codex does when it deletes one:
    under the same lock, by a new file in the place of the old one. All other lines stay, in their
    order, unreadable ones too. Raises OSError if it cannot be done; the file is as it was."""
    names = home / NAMES_FILE
    if not is_there(names):
        return
    forgotten = set(thread_ids)
    with (home / f"{NAMES_FILE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = names.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _named(line) not in forgotten]
        if len(kept) == len(lines):
            return
        replace_file(names, b"".join(kept))


def _named(line: bytes) -> str | None:
    value = object_of(Line(0, line))
    return parse_uuid(value.get("id")) if value else None
