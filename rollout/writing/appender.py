"""Appending to one rollout file (docs/rollout-format.md#writing). Hold the writer lock for it.

What cannot be written stays in memory, in order, and continues at the byte where it stopped: no
line is torn in the middle of a file, or written twice.
"""

import json
import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from rollout.errors import NotAppendable
from rollout.files.access import is_there
from rollout.files.atomic import atomic_file, sync_folder
from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.jsonl.parse import Item
from rollout.jsonl.reader import open_rollout
from rollout.jsonl.sources import RolloutSource, copy

_MOST_BYTES: Final = 4 * 2**20
"""Handed to the system in one call."""
_FOLDERS: Final = 5
"""Above a rollout: the day, the month, the year, ``sessions`` and the home."""


class WrittenLines(NamedTuple):
    """Lines that are in the file: they begin at ``start``, and each ends at one of ``ends``."""

    start: int
    ends: list[int]


def timestamp() -> str:
    """Now, as rollouts have it: UTC, three digits after the second."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def encoded(item: Item, stamp: str, ordinal: int | None) -> bytes:
    """The line of an item, with its newline; keys in the order that Codex writes. Raises
    NotAppendable if it is no JSON, or nested too deeply."""
    envelope: dict[str, Any] = {"timestamp": stamp}
    if ordinal is not None:
        envelope["ordinal"] = ordinal
    envelope |= {key: item[key] for key in item if key not in ("timestamp", "ordinal")}
    try:
        return orjson.dumps(envelope) + b"\n"
    except TypeError:
        return _other_json(envelope)


def _other_json(envelope: dict[str, Any]) -> bytes:
    """JSON that orjson does not write: integers over 64 bits, lone surrogates."""
    try:
        text = json.dumps(envelope, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotAppendable(None, f"an item that cannot be written: {error}") from error
    return text.encode("utf-8", "replace") + b"\n"


def encoded_lines(items: Sequence[Item], first: int | None) -> list[bytes]:
    """The lines of items, which get their time now, and their ordinals from ``first`` on unless
    that is None. Raises NotAppendable if one of them cannot be written."""
    stamp = timestamp()
    return [
        encoded(item, stamp, None if first is None else first + number)
        for number, item in enumerate(items)
    ]


class RolloutAppender:
    """Appends to a file, which is open only while it is written: a process may have a thousand
    of these, and not as many descriptors."""

    def __init__(self, path: Path, *, new: bool, next_ordinal: int | None) -> None:
        """``new``: the file is made, with its folders, when the first line is written.
        ``next_ordinal`` is None where lines carry none (legacy)."""
        self.path = path
        self.next_ordinal = next_ordinal
        self._new = new
        self._named = not new
        """Whether a crash of the system would leave the file its name."""
        self._identity: tuple[int, int] | None = None
        self._start = 0
        self._size = 0
        """Of the file, when we last wrote."""
        self._begun = b""
        """The front of the line that is in the file only in part."""
        self._waiting = bytearray()
        """What is not in the file yet; whole lines after the rest of the one begun."""
        self._added: list[int] = []
        """How many bytes each line has that is not wholly in the file."""
        self._ends: list[int] = []

    @property
    def waiting(self) -> int:
        """How many lines are not wholly in the file."""
        return len(self._added)

    def encode(self, items: Sequence[Item]) -> list[bytes]:
        """The lines of items, which get their time and their ordinals now: write them in order.
        Raises NotAppendable if one of them cannot be written; none counts."""
        lines = encoded_lines(items, self.next_ordinal)
        if self.next_ordinal is not None:
            self.next_ordinal += len(lines)
        return lines

    def take_written(self) -> WrittenLines:
        """Lines that have been completed since the last call."""
        written = WrittenLines(self._start, self._ends)
        if self._ends:
            self._start, self._ends = self._ends[-1], []
        return written

    def write(self, lines: Sequence[bytes], *, durable: bool = False) -> None:
        """Write what waits, and then ``lines``, to the file. ``durable`` syncs it to disk.

        Raises:
            NotAppendable: the file is gone or another one; everything waits.
            OSError: the rest waits; write again, with other lines or none.
        """
        self._added += map(len, lines)
        self._waiting += b"".join(lines)
        if not self._waiting and (self._new or not durable):
            return
        descriptor = self._open()
        try:
            written = 0
            try:
                with memoryview(self._waiting) as waiting:
                    while written < len(waiting):
                        written += os.write(descriptor, waiting[written : written + _MOST_BYTES])
            finally:
                self._account(written)
                if os.fstat(descriptor).st_size != self._size:
                    self._ends.clear()  # somebody wrote between: where ours are is not known
            if durable:
                os.fsync(descriptor)
                self._fsync_name()
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        """The file, ready for what waits."""
        if self._new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if self._new else 0)
        try:
            descriptor = os.open(self.path, flags, 0o644)
        except FileExistsError:
            raise NotAppendable(self.path, "another file is in its place") from None
        except FileNotFoundError:
            raise NotAppendable(self.path, "the file was moved or removed") from None
        try:
            self._new = False
            info = os.fstat(descriptor)
            if self._identity not in (None, (info.st_dev, info.st_ino)):
                raise NotAppendable(self.path, "another file is in its place")
            self._identity = (info.st_dev, info.st_ino)
            if self._waiting and info.st_size != self._size:
                self._make_room(descriptor, info.st_size)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _make_room(self, descriptor: int, size: int) -> None:
        """Another program has appended to the file, as Codex does to set a legacy thread's memory
        mode. A torn line is ended, and a line that we had begun before it begins again."""
        if self._begun:
            self._waiting[:0] = self._begun
            self._begun = b""
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
            size += 1
        self._size = size
        if not self._ends:
            self._start = size

    def _account(self, written: int) -> None:
        at = self._size - len(self._begun)  # where the line begins that was not whole
        done = len(self._begun) + written
        count = 0
        for length in self._added:
            if length > done:
                break
            at += length
            done -= length
            count += 1
            self._ends.append(at)
        del self._added[:count]
        self._begun = (self._begun + self._waiting[:written])[-done:] if done else b""
        del self._waiting[:written]
        self._size += written

    def _fsync_name(self) -> None:
        if self._named:
            return
        for folder in self.path.parents[:_FOLDERS]:
            sync_folder(folder)
        self._named = True


def last_ordinal(source: RolloutSource) -> int | None:
    """The ordinal of the last line that can be read; None if there is no line. Raises LookupError
    if that line has none, so nothing can be numbered after it."""
    for _, item in source.backwards():
        ordinal = item.get("ordinal")
        if isinstance(ordinal, int) and not isinstance(ordinal, bool) and ordinal >= 0:
            return ordinal
        raise LookupError("its last line has no ordinal")
    return None


def plain_file(path: Path) -> Path:
    """The plain form of a rollout, made from its compressed form where only that is there.

    Raises:
        DamagedCompression: it cannot be made; the compressed file stays as it is.
        OSError: it cannot be made.
    """
    plain = path.with_name(path.name.removesuffix(COMPRESSED_SUFFIX))
    compressed = plain.with_name(plain.name + COMPRESSED_SUFFIX)
    if is_there(plain) or not is_there(compressed):
        return plain
    with open_rollout(compressed) as stream, atomic_file(plain) as file:
        copy(stream, file)
        os.fchmod(file.fileno(), stat.S_IMODE(compressed.stat().st_mode))
    compressed.unlink()
    return plain
