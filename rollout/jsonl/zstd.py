"""The content of a ``.jsonl.zst`` rollout as a byte stream.

A few kilobytes can expand to terabytes, and a frame can ask for gigabytes of memory. Both are
bounded, the one by what is usual, the other by what no real rollout comes near.
"""

from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard

from rollout.errors import READ_ALL, Damage, DamagedCompression, ExpandsTooFar

_FEED_BYTES: Final = 2048
"""Compressed bytes taken at a time: a hostile file can make 64 MB of so many, not more."""
_WINDOW_BYTES: Final = 128 * 2**20
"""The most that a frame may have us remember of what it gave, which is the library's own limit:
what ``zstd`` makes without ``--long=28`` and up stays below it."""


class Limits(NamedTuple):
    """How far a file may expand: so far in any case, and further by its compressed bytes."""

    free_bytes: int = 128 * 2**20
    bytes_for_one: int = 1500
    """What each compressed byte may add to that. Rollouts shrink to a fifth or a hundredth, one of
    nothing but long outputs of ``yes`` to a 1,400th; a bomb, to a five or thirty thousandth."""
    free_lines: int = 2**16
    """A line is work, however short it is."""
    lines_for_one: int = 2
    """How many lines each compressed byte may add. A line of a rollout takes thirty bytes, as it
    has a time and an id of its own, and one that has a time only takes one to five; a thousand
    lines of a bomb take ten."""


_USUAL: Final = Limits()


class ZstdContent:
    """Decompresses one or several zstd frames; says so when the last one is cut short, or when
    they expand too far."""

    def __init__(self, file: BinaryIO, limits: Limits = _USUAL) -> None:
        self._file = file
        self._limits = limits
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._bounded = not READ_ALL.get()
        self.seek(0)

    def seek(self, offset: int, /) -> int:
        """Go back to the beginning, the only place it can go to."""
        if offset:
            raise ValueError("a compressed rollout is read from its beginning")
        self._file.seek(0)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready, self._at = b"", 0
        self._input = b""
        self._given = 0
        self._bytes_left = self._limits.free_bytes
        self._lines_left = self._limits.free_lines
        return 0

    def fileno(self) -> int:
        """Descriptor of the compressed file."""
        return self._file.fileno()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` as far as there is content; 0 at its end.

        Raises:
            DamagedCompression: garbage, or the end of the file inside a frame.
            ExpandsTooFar: there is far more of it than so few bytes can mean.
        """
        if self._bounded and (self._bytes_left < 0 or self._lines_left < 0):
            raise ExpandsTooFar(self._given)
        while self._at == len(self._ready):
            if not self._input:
                self._input = self._file.read(_FEED_BYTES)
                self._bytes_left += self._limits.bytes_for_one * len(self._input)
                self._lines_left += self._limits.lines_for_one * len(self._input)
                if not self._input:
                    if self._frame is None and self._given:
                        return 0
                    cut = self._given or self._frame is not None
                    raise DamagedCompression("cut short" if cut else "empty", self._given)
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            try:
                self._ready = self._frame.decompress(self._input)
            except zstandard.ZstdError as error:
                raise DamagedCompression(str(error), self._given) from error
            self._at = 0
            self._input = b""
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        start, end = self._at, min(self._at + len(buffer), len(self._ready))
        count = end - start
        buffer[:count] = self._ready[start:end]
        self._at = end
        self._given += count
        self._bytes_left -= count
        self._lines_left -= self._ready.count(b"\n", start, end)
        return count


class TolerantZstdContent(ZstdContent):
    """As far as it reads: damage is noted, and the content ends there."""

    def __init__(self, file: BinaryIO, path: Path, damage: list[Damage]) -> None:
        super().__init__(file)
        self._path = path
        self._damage = damage

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` as far as there is content; 0 at its end, and where it is damaged."""
        try:
            return super().readinto(buffer)
        except DamagedCompression as error:
            endless = isinstance(error, ExpandsTooFar)
            found = Damage(self._path, error.offset, error.reason, endless)
            if found not in self._damage:
                self._damage.append(found)
            return 0
