"""Names that users gave: ``session_index.jsonl`` (docs/rollout-format.md#names)."""

import fcntl
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from rollout.files.layout import parse_uuid
from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader

NAMES_FILE: Final = "session_index.jsonl"


class ThreadName(NamedTuple):
    """A name that a thread was given."""

    name: str
    set_at_ms: int
    """0 where the line does not say."""


def read_names(home: Path) -> dict[str, ThreadName]:
    """The latest name of each thread id; empty when there is no such file.

    The last line in file order wins, whatever its ``updated_at``. A blank name counts as
    none given, so it leaves an earlier one. Unreadable lines are passed over.

    Raises:
        OSError: the file is there and cannot be read.
    """
    names: dict[str, ThreadName] = {}
    try:
        file = (home / NAMES_FILE).open("rb", buffering=0)
    except FileNotFoundError:
        return names
    with file:
        for line in LineReader().lines(file):
            value = parse_line(line) if isinstance(line, Line) else None
            if not isinstance(value, dict):
                continue
            thread_id, name = parse_uuid(value.get("id")), value.get("thread_name")
            if thread_id and isinstance(name, str) and name.strip():
                whole = name.strip().encode("utf-8", "replace").decode()
                names[thread_id] = ThreadName(whole, _time_ms(value.get("updated_at")))
    return names


def _time_ms(text: object) -> int:
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return 0
    if time is None:
        return 0
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def append_name(home: Path, thread_id: str, name: str) -> None:
    """Give a thread a name, as Codex does: a line behind the others, under the same lock, on the
    disk when this returns. A torn last line is ended first, which costs only itself then.

    Raises:
        OSError: it cannot be written; what was is passed over as a torn line.
    """
    line = orjson.dumps({"id": thread_id, "thread_name": name, "updated_at": _now()}) + b"\n"
    with (home / f"{NAMES_FILE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        descriptor = os.open(home / NAMES_FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        with open(descriptor, "r+b", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            rest = memoryview(b"\n" * torn + line)
            while rest:  # an unbuffered write may take a part, on a disk that is nearly full
                rest = rest[file.write(rest) :]
            os.fsync(descriptor)


def _now() -> str:
    """Now, as ``session_index.jsonl`` has it: UTC with nanoseconds."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


def remove_names(home: Path, thread_ids: Sequence[str]) -> None:
    """Take the lines of threads out of ``session_index.jsonl``, as Codex does when it deletes
    one: under the same lock, into a new file that takes the place of the old one. All other
    lines stay, in their order, also those that cannot be read.

    Raises:
        OSError: it cannot be done; the file is as it was.
    """
    names = home / NAMES_FILE
    if not names.exists():
        return
    forgotten = set(thread_ids)
    with (home / f"{NAMES_FILE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = names.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _named(line) not in forgotten]
        if len(kept) == len(lines):
            return
        fresh = names.with_name(f".{NAMES_FILE}.new")
        with fresh.open("wb") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(names.stat().st_mode & 0o777)
        fresh.replace(names)


def _named(line: bytes) -> str | None:
    value = parse_line(Line(0, line))
    return parse_uuid(value.get("id")) if isinstance(value, dict) else None
