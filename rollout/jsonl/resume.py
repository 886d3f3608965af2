"""Where a pass over a rollout ended, and whether a later pass may continue from there.

Every pass continues by one rule: the file is as it was, or the same file has more bytes; and a
sample of the bytes that were read is as it was. Where a file has another time and no more bytes,
somebody has written into what was read, or touched the file: it is read as a whole.
"""

import os
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.files.stamp import FileStamp
from rollout.jsonl.reader import RolloutStream

_BLOCK_BYTES: Final = 8192
_MOST_BLOCKS: Final = 64


class ResumePoint(NamedTuple):
    """Where a pass over one file ended."""

    stamp: FileStamp
    """Of the file when the pass began."""
    end: int
    """Up to here lines were read: the end of the last whole line, in bytes of the content."""
    guard: str
    """See :func:`guard_of`; empty where no later pass may continue."""

    @classmethod
    def at(
        cls,
        stream: RolloutStream,
        path: str,
        stamp: FileStamp,
        end: int,
        *,
        resumable: bool = True,
        held: memoryview | None = None,
    ) -> "ResumePoint":
        """Where a pass over the open file at ``path`` has ended. No pass continues in a compressed
        file, nor if it is not ``resumable``. ``held``: the bytes before ``end``, if they are."""
        if not resumable or path.endswith(COMPRESSED_SUFFIX):
            return cls(stamp, end, "")
        if held and len(held) == end <= _BLOCK_BYTES * _MOST_BLOCKS:
            return cls(stamp, end, f"{zlib.crc32(held):08x}")
        return cls(stamp, end, guard_of(stream, end))

    def may_have_grown_to(self, now: FileStamp) -> bool:
        """Whether a file with the stamp ``now`` may be the same one, as it was or with more lines
        after the old ones. Only its content says for sure."""
        grown = now.inode == self.stamp.inode and now.size > self.stamp.size
        return (grown or now == self.stamp) and now.size >= self.end

    def holds(self, stream: RolloutStream, now: FileStamp) -> bool:
        """Whether a pass over the open file, whose stamp is ``now``, may continue at ``end``."""
        return (
            self.guard != ""
            and self.may_have_grown_to(now)
            and guard_of(stream, self.end) == self.guard
        )


def guard_of(stream: RolloutStream, end: int) -> str:
    """Checksum of a sample of the bytes before ``end``: of all of them in files of up to 512 KB,
    else of up to 64 blocks spread over them, and of the last one."""
    number, found = stream.fileno(), 0
    for start, stop in _sample(end):
        found = zlib.crc32(os.pread(number, stop - start, start), found)
    return f"{found:08x}"


def _sample(end: int) -> Iterator[tuple[int, int]]:
    if end <= _BLOCK_BYTES * _MOST_BLOCKS:
        yield 0, end
        return
    # A power of two: passes that ended at other bytes look at the same blocks, or at half of them.
    stride = _BLOCK_BYTES
    while stride * _MOST_BLOCKS < end:
        stride *= 2
    for start in range(0, end, stride):
        yield start, min(start + _BLOCK_BYTES, end)
    yield end - _BLOCK_BYTES, end
