"""What a rollout is cut into: pieces, which their digests name, and the list of them.

The bytes are those on the disk: a compressed rollout is cut as it is. A piece has at most 1 MB and
begins at a whole megabyte or, in the last megabyte, where an append has ended.
"""

import struct
from typing import Final, NamedTuple

from rollout.files.digest import blake2b
from rollout.files.stamp import FileStamp
from rollout.jsonl.resume import ResumePoint

MOST_BYTES: Final = 2**20
DIGEST_BYTES: Final = 32
_VERSION: Final = 1
_HEADER: Final = struct.Struct(">B8sQ")
_ENTRY: Final = struct.Struct(f">I{DIGEST_BYTES}s")
"""A stored manifest is a header, and for each piece its size and its digest."""


class BadPiece(ValueError):
    """A piece, or a list of pieces, is not what it has to be."""


class Piece(NamedTuple):
    """Some bytes of a rollout."""

    digest: bytes
    size: int

    @classmethod
    def of(cls, data: bytes) -> "Piece":
        """The piece that these bytes are."""
        return cls(blake2b(data, digest_size=DIGEST_BYTES).digest(), len(data))


class Manifest(NamedTuple):
    """The pieces of a rollout in order, and the file that they were cut from."""

    point: ResumePoint
    """Its end is that of the last piece."""
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """How many bytes the pieces have together."""
        return self.point.end

    @property
    def mtime_ns(self) -> int:
        """The mtime of the file."""
        return self.point.stamp.mtime_ns

    def encoded(self) -> bytes:
        """The manifest as it is stored, beside its size and mtime."""
        guard = self.point.guard.encode()
        head = _HEADER.pack(_VERSION, guard, self.point.stamp.inode)
        return head + b"".join(_ENTRY.pack(size, digest) for digest, size in self.pieces)

    @classmethod
    def decoded(cls, size: int, mtime_ns: int, data: bytes) -> "Manifest":
        """The manifest in ``data``, which anybody may have written. Raises BadPiece if that is none
        of a rollout of this size."""
        if len(data) < _HEADER.size or (len(data) - _HEADER.size) % _ENTRY.size:
            raise BadPiece("the list of its pieces is cut short")
        version, guard, inode = _HEADER.unpack_from(data)
        if version != _VERSION:
            raise BadPiece("a newer threadkeep has pushed it")
        entries = _ENTRY.iter_unpack(memoryview(data)[_HEADER.size :])
        pieces = tuple(Piece(digest, length) for length, digest in entries)
        if not all(0 < piece.size <= MOST_BYTES for piece in pieces):
            raise BadPiece("the list of its pieces has one of an impossible size")
        if sum(piece.size for piece in pieces) != size:
            raise BadPiece("its pieces do not add up to its size")
        stamp = FileStamp(size, mtime_ns, inode)
        text = guard.rstrip(b"\0").decode("ascii", "replace")
        return cls(ResumePoint(stamp, size, text), pieces)
