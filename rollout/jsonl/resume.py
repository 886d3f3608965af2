"""Whether a file still begins with what was read of it, so that reading can go on behind that.

Every pass over rollouts goes on by the same rule: the file is as it was, or it has more bytes, and
a sample of those that were read is as it was. Where a file has another time and no more bytes,
somebody has written into what was read, or touched the file: it is read as a whole.
"""

import os
import zlib
from collections.abc import Iterator
from typing import Final

from rollout.jsonl.reader import RolloutStream

_BLOCK_BYTES: Final = 8192
_MOST_BLOCKS: Final = 64


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


def has_only_grown(before: tuple[int, int, int], now: tuple[int, int, int]) -> bool:
    """Whether a file may have changed by additions alone, or not at all, by the size, mtime and
    inode that it had and has: see :func:`rollout.files.stamp.identity`."""
    return now == before or (now[2] == before[2] and now[0] > before[0])
