"""One ordered view of a rollout, for its readers and for its writer.

Items are numbered from 0 by their lines: a line that cannot be read keeps its number and is
skipped. :class:`MemorySource` holds items; :class:`FileSource` knows where each line of a file
begins (eight bytes a line) and reads what it is asked for.
"""

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.jsonl.parse import BadLine, Item, Line, parse_line
from rollout.jsonl.reader import LONGEST_LINE, RolloutStream, open_rollout

_WINDOW_BYTES: Final = 256 * 1024


class RolloutSource(Protocol):
    """What a rollout holds, in order."""

    def __len__(self) -> int:
        """The number of lines: items have indexes below it."""
        ...

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        """Items with their indexes, from ``start`` up to, but not including, ``end``."""
        ...

    def backwards(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        """The same items, the last first."""
        ...

    def enrich(self, **fields: object) -> None:
        """Set fields in the payload of the first ``session_meta``, for all who read it from now on.
        Raises LookupError if there is none."""
        ...

    def close(self) -> None:
        """Release what it holds; it cannot be read any more."""
        ...


def session_meta(source: RolloutSource) -> Item | None:
    """The first ``session_meta`` of a rollout, which identifies the thread."""
    return next((item for _, item in source.items() if _is_meta(item)), None)


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

    def enrich(self, **fields: object) -> None:
        for index, item in enumerate(self._items):
            if _is_meta(item):
                self._items[index] = _enriched(item, fields)
                return
        raise LookupError("no session_meta")

    def append(self, items: Sequence[Item]) -> None:
        """Add items after the others."""
        self._items.extend(items)

    def close(self) -> None:
        """Does nothing: it holds only memory."""


class FileSource(AbstractContextManager["FileSource"]):
    """A rollout in a file. Close it, or use it in a ``with``. A plain file is open only while it
    is read, as a process may have more of these than descriptors."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        """Find the lines of the file without parsing them. ``new``: its writer has just made it,
        and says by :meth:`append` what is in it.

        Raises:
            DamagedCompression: it is compressed, and damaged.
            OSError: it cannot be read.
        """
        self.path = path
        self._plain: BinaryIO | None = None
        self._enriched: dict[str, object] = {}
        self._meta_index: int | None = None
        if path.name.endswith(COMPRESSED_SUFFIX):
            self._plain = _decompressed(path)
        if new:
            self._bounds = array("Q", [0])
        else:
            with self._opened() as descriptor:
                self._bounds = _bounds(descriptor, 0)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._plain is not None:
            self._plain.close()

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        at, end = _range(start, end, len(self))
        bounds = self._bounds
        with self._opened() as descriptor:
            while at < end:
                after = at + 1
                while after < end and bounds[after + 1] - bounds[at] <= _WINDOW_BYTES:
                    after += 1
                yield from self._read(descriptor, bounds, at, after)
                at = after

    def backwards(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        start, after = _range(start, end, len(self))
        bounds = self._bounds
        with self._opened() as descriptor:
            while after > start:
                at = after - 1
                while at > start and bounds[after] - bounds[at - 1] <= _WINDOW_BYTES:
                    at -= 1
                yield from reversed([*self._read(descriptor, bounds, at, after)])
                after = at

    def lines_before(self, offset: int) -> int:
        """How many lines end at byte ``offset`` of the content or before it."""
        return bisect_right(self._bounds, offset) - 1 if offset >= 0 else 0

    def enrich(self, **fields: object) -> None:
        if self._meta_index is None:
            self._meta_index = next((at for at, item in self.items() if _is_meta(item)), None)
        if self._meta_index is None:
            raise LookupError("no session_meta")
        self._enriched |= fields

    def append(self, start: int, ends: Sequence[int]) -> None:
        """Follow the writer: the file has new lines from byte ``start``, which end at ``ends``.
        If there is anything new before them, it is found."""
        if start != self._bounds[-1]:
            whole = self._bounds[:-1]  # the last line may have ended since
            base = whole.pop() if whole else 0
            with self._opened() as descriptor:
                found = _bounds(descriptor, base, start)
            self._bounds = whole + found
        self._bounds.extend(ends)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        if self._plain is not None:
            descriptor = os.dup(self._plain.fileno())
        else:
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _read(
        self, descriptor: int, bounds: "array[int]", start: int, end: int
    ) -> Iterator[tuple[int, Item]]:
        base, size = bounds[start], bounds[end] - bounds[start]
        if size > LONGEST_LINE:
            return  # one line that is too long to be kept
        data = os.pread(descriptor, size, base)
        for index in range(start, end):
            line = data[bounds[index] - base : bounds[index + 1] - base]
            item = parse_line(Line(bounds[index], line))
            if item is None or isinstance(item, BadLine):
                continue
            if self._enriched and index == self._meta_index:
                item = _enriched(item, self._enriched)
            yield index, item


def _bounds(descriptor: int, start: int, end: int | None = None) -> "array[int]":
    """Where each line from ``start`` to ``end`` begins, and where the last one ends."""
    end = os.fstat(descriptor).st_size if end is None else end
    buffer = bytearray(_WINDOW_BYTES)
    view = memoryview(buffer)
    bounds = array("Q", [start])
    base = start
    while base < end and (got := os.preadv(descriptor, [view[: end - base]], base)):
        newline = buffer.find(b"\n", 0, got)
        while newline >= 0:
            bounds.append(base + newline + 1)
            newline = buffer.find(b"\n", newline + 1, got)
        base += got
    if bounds[-1] != base:
        bounds.append(base)  # a line that has not ended
    return bounds


def _decompressed(path: Path) -> BinaryIO:
    """The plain content in a file without a name: a compressed one is read only from the front."""
    from tempfile import TemporaryFile  # loads much, and few files are compressed

    with open_rollout(path) as stream:
        plain = cast("BinaryIO", TemporaryFile(buffering=0))  # noqa: SIM115
        try:
            copy(stream, plain)
        except BaseException:
            plain.close()
            raise
        return plain


def copy(stream: RolloutStream, file: BinaryIO) -> None:
    """All of ``stream`` into ``file``."""
    buffer = bytearray(_WINDOW_BYTES)
    view = memoryview(buffer)
    while got := stream.readinto(view):
        file.write(view[:got])


def _is_meta(item: Item) -> bool:
    return item.get("type") == "session_meta" and isinstance(item.get("payload"), dict)


def _range(start: int, end: int | None, length: int) -> tuple[int, int]:
    if start < 0 or (end is not None and end < 0):
        raise ValueError("indexes begin at 0")
    return start, length if end is None else min(end, length)


def _enriched(item: Item, fields: dict[str, object]) -> Item:
    return {**item, "payload": {**item["payload"], **fields}}
