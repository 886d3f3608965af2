"""What a thread has gone on with on another machine, appended to its rollout here.

Only whole lines come, and no byte that is here is written again: what is here is the beginning of
what it becomes at every moment. After a kill in the middle of a line that is still so, and the next
pull goes on from there.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from rollout.jsonl.reader import RolloutStream, open_rollout

_BLOCK_BYTES: Final = 256 * 1024


class Growth(NamedTuple):
    """Lines that are brought to a rollout that is here."""

    source: Path
    target: str
    """Relative to the home."""
    start: int
    """The size of the rollout here, which is the beginning of the copy."""
    added: int
    """The size of the lines."""

    @property
    def size(self) -> int:
        """That of the rollout afterwards."""
        return self.start + self.added


class WrittenMeanwhile(Exception):
    """A rollout is not as it was a moment ago."""


def growth(home: Path, target: str, source: Path) -> Growth | None:
    """What the copy ``source`` has more than the rollout here, which is not compressed, and is its
    beginning; None if it is no whole line. Raises OSError, and DamagedCompression."""
    start = (home / target).stat().st_size
    added = sum(map(len, _new_lines(source, start)))
    return Growth(source, target, start, added) if added else None


def append(home: Path, grown: Growth) -> None:
    """Append the lines; they are on the disk when this returns, and the modification time is that
    of the copy. The caller is the only writer of the thread.

    Raises:
        DamagedCompression: the copy is compressed, and damaged; the lines before that have come.
        OSError: they cannot all be written; those that could are there, no part of a line.
        WrittenMeanwhile: the file is not as it was; nothing was written.
    """
    descriptor = os.open(home / grown.target, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
    with open(descriptor, "r+b", buffering=0) as file:
        whole = written = os.fstat(descriptor).st_size
        if whole != grown.start:
            raise WrittenMeanwhile
        try:
            for lines in _new_lines(grown.source, grown.start):
                rest = memoryview(lines)
                while rest:  # an unbuffered write may take a part, on a disk that is nearly full
                    taken = file.write(rest)
                    written, rest = written + taken, rest[taken:]
                whole = written
        except OSError:
            with suppress(OSError):
                if written != whole and os.fstat(descriptor).st_size == written:
                    os.ftruncate(descriptor, whole)  # of what was written just now
            raise
        mtime_ns = grown.source.stat().st_mtime_ns
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        os.fsync(descriptor)


def _new_lines(source: Path, start: int) -> Iterator[bytes]:
    """What a rollout has after so many bytes, up to the end of its last whole line: always some
    lines at a time."""
    rest, position = bytearray(), 0
    with open_rollout(source) as stream:
        for block in blocks(stream):
            if not block:
                return
            fresh = block[max(start - position, 0) :]
            position += len(block)
            lines, newline, torn = fresh.rpartition(b"\n")
            if newline:
                yield bytes(rest) + lines + newline
                rest.clear()
            rest += torn


def blocks(stream: RolloutStream) -> Iterator[bytes]:
    """Whole blocks, the last one shorter; then empty ones for ever."""
    while True:
        block = bytearray(_BLOCK_BYTES)
        view, filled = memoryview(block), 0
        while filled < _BLOCK_BYTES and (got := stream.readinto(view[filled:])):
            filled += got
        yield bytes(view[:filled])
