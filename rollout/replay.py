"""One ordered view of a rollout, for those who replay it and for the one who writes it.

Items are counted from 0 by their lines, so that a line that cannot be read keeps its number and
is passed over. :class:`MemorySource` holds items; :class:`FileSource` knows where each line of a
file begins (eight bytes a line) and reads what it is asked for.
"""

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from rollout.lines import (
    LONGEST_LINE,
    BadLine,
    Line,
    LineReader,
    RolloutStream,
    open_rollout,
    parse_line,
)
from rollout.paths import COMPRESSED_SUFFIX
from rollout.persistence import Item

_WINDOW_BYTES: Final = 256 * 1024


class RolloutSource(Protocol):
    """What a rollout holds, in order."""

    def __len__(self) -> int:
        """How many places there are: items have indexes below this."""
        ...

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        """Items with their indexes from ``start``, inclusive, to ``end``, exclusive, in order."""
        ...

    def backwards(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        """The same ones, the last first."""
        ...

    def enrich(self, **facts: object) -> None:
        """Set fields in the payload of the first ``session_meta``, as all see it from now on.

        Raises:
            LookupError: there is none.
        """
        ...

    def append(self, items: Sequence[Item], starts: Sequence[int], end: int) -> None:
        """Follow the writer: ``items`` are in the file now, their lines from ``starts`` on, and
        the last one goes to ``end`` (in bytes)."""
        ...


def session_meta(source: RolloutSource) -> Item | None:
    """The first ``session_meta`` of a rollout, which decides identity (§3)."""
    return next((item for _, item in source.items() if item.get("type") == "session_meta"), None)


class MemorySource:
    """A rollout that is not in a file, or not yet."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        for index in range(*_range(start, end, len(self))):
            yield index, self._items[index]

    def backwards(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        for index in reversed(range(*_range(start, end, len(self)))):
            yield index, self._items[index]

    def enrich(self, **facts: object) -> None:
        for index, item in enumerate(self._items):
            if item.get("type") == "session_meta":
                self._items[index] = _enriched(item, facts)
                return
        raise LookupError("no session_meta")

    def append(self, items: Sequence[Item], starts: Sequence[int] = (), end: int = 0) -> None:
        self._items.extend(items)


class FileSource:
    """A rollout in a file. Close it, or use it in a ``with``."""

    def __init__(self, path: Path) -> None:
        """Look through the file for its lines; none is parsed.

        Raises:
            DamagedCompression: it is compressed, and damaged.
            OSError: it cannot be read.
        """
        self.path = path
        self._file = _opened(path)
        self._facts: dict[str, object] = {}
        self._meta_index: int | None = None
        stream = cast("RolloutStream", self._file)
        self._starts = array("Q", (line.offset for line in LineReader().lines(stream)))
        self._end = self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> "FileSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._starts)

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        at, end = _range(start, end, len(self))
        while at < end:
            after = at + 1
            while after < end and self._start(after + 1) - self._starts[at] <= _WINDOW_BYTES:
                after += 1
            yield from self._read(at, after)
            at = after

    def backwards(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        start, after = _range(start, end, len(self))
        while after > start:
            at = after - 1
            while at > start and self._start(after) - self._starts[at - 1] <= _WINDOW_BYTES:
                at -= 1
            yield from reversed([*self._read(at, after)])
            after = at

    def enrich(self, **facts: object) -> None:
        if self._meta_index is None:
            found = (index for index, item in self.items() if item.get("type") == "session_meta")
            self._meta_index = next(found, None)
        if self._meta_index is None:
            raise LookupError("no session_meta")
        self._facts |= facts

    def append(self, items: Sequence[Item], starts: Sequence[int], end: int) -> None:
        self._starts.extend(starts)
        self._end = end

    def _start(self, index: int) -> int:
        return self._starts[index] if index < len(self._starts) else self._end

    def _read(self, start: int, end: int) -> Iterator[tuple[int, Item]]:
        base = self._starts[start]
        size = self._start(end) - base
        if size > LONGEST_LINE + _WINDOW_BYTES:
            return  # one line, beyond what is kept of any
        data = os.pread(self._file.fileno(), size, base)
        for index in range(start, end):
            line = data[self._starts[index] - base : self._start(index + 1) - base]
            item = parse_line(Line(self._starts[index], line))
            if item is None or isinstance(item, BadLine):
                continue
            if self._facts and index == self._meta_index:
                item = _enriched(item, self._facts)
            yield index, item


def _opened(path: Path) -> BinaryIO:
    """The plain content of a rollout as a file; what is compressed goes into one without a name,
    as only the front of it could be read otherwise."""
    if not path.name.endswith(COMPRESSED_SUFFIX):
        return cast("BinaryIO", open(path, "rb", buffering=0))
    with open_rollout(path) as stream:
        plain = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
        try:
            buffer = bytearray(_WINDOW_BYTES)
            view = memoryview(buffer)
            while got := stream.readinto(view):
                plain.write(view[:got])
            plain.seek(0)
        except BaseException:
            plain.close()
            raise
        return plain


def _range(start: int, end: int | None, length: int) -> tuple[int, int]:
    if start < 0 or (end is not None and end < 0):
        raise ValueError("indexes begin at 0")
    return start, length if end is None else min(end, length)


def _enriched(item: Item, facts: dict[str, object]) -> Item:
    payload = item.get("payload")
    return {**item, "payload": {**(payload if isinstance(payload, dict) else {}), **facts}}
