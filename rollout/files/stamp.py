"""What distinguishes one state of a file from another: size, modification time and inode."""

import os
from typing import Final, NamedTuple

_MAX_INTEGER: Final = 2**63 - 1


class FileStamp(NamedTuple):
    """Equal stamps of one path mean that nobody has touched the file in between."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, info: os.stat_result) -> "FileStamp":
        """The stamp of a file, within SQLite's signed 64 bits: some file systems use the last
        bit of an inode number, and a clock may have jumped beyond 2262, where the nanoseconds
        end."""
        mtime_ns = info.st_mtime_ns
        if not -_MAX_INTEGER <= mtime_ns <= _MAX_INTEGER:
            mtime_ns = _MAX_INTEGER if mtime_ns > 0 else -_MAX_INTEGER
        return cls(info.st_size, mtime_ns, info.st_ino & _MAX_INTEGER)

    def __str__(self) -> str:
        """As it is stored where only equality counts."""
        return f"{self.size}:{self.mtime_ns}:{self.inode}"


NO_STAMP: Final = FileStamp(0, 0, 0)
"""Of what cannot be accessed."""
