"""The content of a ``.jsonl.zst`` rollout as a byte stream (rollout-format §1.5).

A few kilobytes can expand to terabytes, and a frame can ask for gigabytes of memory. Both are
bounded, the one by what is usual, the other by what no real rollout comes near.
"""

from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from rollout.damage import READ_ALL, Damage
from rollout.errors import DamagedCompression, ExpandsTooFar

_FEED_BYTES: Final = 2048
"""Compressed bytes taken at a time: a hostile file can make 64 MB of so many, not more."""
_WINDOW_BYTES: Final = 128 * 2**20
"""The most that a frame may have us remember of what it gave, which is the library's own limit:
what ``zstd`` makes without ``--long=28`` and up stays below it."""
_FREE_BYTES: Final = 512 * 2**20
"""What any file may expand to. Beyond it the content is also measured by the compressed bytes."""
_MOST_FOR_ONE: Final = 200
"""What each compressed byte may add to that. Rollouts shrink to a fifth or a twentieth; a bomb is
a thousand to thirty thousand times its size."""
_LINE_BYTES: Final = 1024
"""A line counts as so many bytes at least: a short one costs about as much work, and no line of a
rollout shrinks to five bytes."""


class ZstdContent:
    """Decompresses one or several zstd frames; says so when the last one is cut short, or when
    they expand too far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
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
        self._left = _FREE_BYTES
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
        if self._left < 0 and self._bounded:
            raise ExpandsTooFar(self._given)
        while self._at == len(self._ready):
            if not self._input:
                self._input = self._file.read(_FEED_BYTES)
                self._left += _MOST_FOR_ONE * len(self._input)
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
        self._left -= max(count, _LINE_BYTES * self._ready.count(b"\n", start, end))
        return count


class ReadableZstd(ZstdContent):
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
