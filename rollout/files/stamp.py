"""What tells one state of a file from another: size, modification time and inode."""

import os
from typing import Final

_MAX_INTEGER: Final = 2**63 - 1


def identity(info: os.stat_result) -> tuple[int, int, int]:
    """Size, mtime in ns and inode: what tells that a file has not been touched.

    Within SQLite's signed 64 bits: some file systems use the last bit of an inode number, and
    a clock may have jumped beyond 2262, where the nanoseconds end.
    """
    mtime_ns = min(max(info.st_mtime_ns, -_MAX_INTEGER), _MAX_INTEGER)
    return info.st_size, mtime_ns, info.st_ino & _MAX_INTEGER
