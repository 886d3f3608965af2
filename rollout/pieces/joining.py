"""Put pieces together to the rollout that they were cut from. Nobody is trusted: each piece is what
its digest says, or it is refused."""

import os
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from typing import Final

import zstandard

from rollout.errors import READ_ALL
from rollout.files.atomic import sync_folder
from rollout.jsonl.zstd import Limits
from rollout.pieces.manifest import MOST_BYTES, BadPiece, Manifest, Piece

MOST_COMPRESSED_BYTES: Final = MOST_BYTES + 2**14
"""More than zstd makes of a piece in which nothing can be compressed."""
_LEVEL: Final = 3
_LIMITS: Final = Limits()


def compressed(data: bytes) -> bytes:
    """A piece as it is sent."""
    return zstandard.compress(data, _LEVEL)


def decompressed(piece: Piece, data: bytes) -> bytes:
    """The bytes of a piece that was sent as ``data``. Raises BadPiece if they are others."""
    try:
        if zstandard.frame_content_size(data) != piece.size:
            raise BadPiece("a piece has another size than it should have")
        found = zstandard.ZstdDecompressor().decompress(data, max_output_size=piece.size)
    except zstandard.ZstdError as error:
        raise BadPiece(f"a piece cannot be decompressed: {error}") from error
    if Piece.of(found) != piece:
        raise BadPiece("a piece is damaged")
    return found


def check_expansion(size: int, stored_bytes: int) -> None:
    """Raises BadPiece if the pieces of a rollout make far more of what is stored than any real one
    does: a megabyte of nothing, named a million times, is a terabyte."""
    most = _LIMITS.free_bytes + _LIMITS.bytes_for_one * stored_bytes
    if size > most and not READ_ALL.get():
        raise BadPiece(f"{stored_bytes:,} bytes expand to {size:,}, which no real rollout does")


class JoinedFile(AbstractContextManager["JoinedFile"]):
    """The file at a path, which becomes the rollout of a manifest. What it has of that already is
    kept; it goes on growing, as it did at home, if it is the beginning, and is else replaced in one
    step. Nobody else may write it meanwhile."""

    def __init__(self, path: Path, manifest: Manifest, sure: int = 0) -> None:
        """``sure`` is how many of its first pieces are known to be in the file. Raises OSError if
        it cannot be read, or is no regular file."""
        self._path = path
        self._fresh = path.with_name(f".{path.name}.new")
        self._manifest = manifest
        self._file: FileIO | None = None
        self._replacing = False
        self._end = 0
        """So many bytes of the file are those of the rollout."""
        self._rest = b""
        """What is behind them in the file, if the next piece may begin with it."""
        self._size = -1
        """Of the file that is there; -1 if there is none."""
        self._count = self._known(sure)

    @property
    def missing(self) -> tuple[Piece, ...]:
        """The pieces that are to be added, in order."""
        return self._manifest.pieces[self._count :]

    def add(self, data: bytes) -> None:
        """Add the next piece. Raises OSError if it cannot be written."""
        if self._file is None:
            self._open(data)
        assert self._file is not None
        _write(self._file, data)
        self._end += len(data)

    def finish(self) -> None:
        """End the file, which is on the disk then. Raises OSError if it cannot be written."""
        if self._end != self._manifest.size:
            raise BadPiece("its pieces do not add up to its size")
        if self._file is None and self._size != self._end:
            self._open(b"")
        if self._file is not None:
            times = (self._manifest.mtime_ns, self._manifest.mtime_ns)
            os.utime(self._file.fileno(), ns=times)
            os.fsync(self._file.fileno())
            self._file.close()
            if self._replacing:
                self._fresh.replace(self._path)
            sync_folder(self._path.parent)
        else:
            os.utime(self._path, ns=(self._manifest.mtime_ns, self._manifest.mtime_ns))

    def __exit__(self, *ended: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._replacing:
            self._fresh.unlink(missing_ok=True)

    def _known(self, sure: int) -> int:
        """How many pieces are in the file already."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return 0
        with open(descriptor, "rb") as file:
            self._size = os.fstat(descriptor).st_size
            count = 0
            for piece in self._manifest.pieces:
                if count < sure:
                    file.seek(piece.size, os.SEEK_CUR)
                elif Piece.of(file.read(piece.size)) != piece:
                    break
                self._end += piece.size
                count += 1
            file.seek(self._end)
            self._rest = file.read(MOST_BYTES + 1)
        return count

    def _open(self, data: bytes) -> None:
        """Open the file to add to it, if ``data`` goes on where it ends, or else a new one that has
        as much of it as is right."""
        if self._size >= 0 and data.startswith(self._rest) and self._end < self._manifest.size:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW)
            self._file = FileIO(descriptor, "w")
            self._file.seek(self._end)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file = FileIO(os.open(self._fresh, flags, 0o600), "w")
        self._replacing = True
        if self._end:
            with self._path.open("rb") as before:
                left = self._end
                while part := before.read(min(left, MOST_BYTES)):
                    _write(self._file, part)
                    left -= len(part)


def _write(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # an unbuffered write may take a part, on a disk that is nearly full
        rest = rest[file.write(rest) :]
