"""The content of a ``.jsonl.zst`` rollout as a byte stream.

A few kilobytes can expand to terabytes, and a frame can ask for gigabytes of memory. Both are
limited to what no real rollout comes near.
"""

from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard

from rollout.errors import READ_ALL, Damage, DamagedCompression, ExpandsTooFar

_FEED_BYTES: Final = 2048
"""Compressed bytes taken at a time: a hostile file can expand them to 64 MB, not more."""
_WINDOW_BYTES: Final = 128 * 2**20
"""The largest window of a frame, which is the library's own limit: ``zstd`` stays below it without
``--long=28`` and up."""


class Limits(NamedTuple):
    """How far a file may expand: so far in any case, and further with its compressed bytes."""

    free_bytes: int = 128 * 2**20
    bytes_for_one: int = 1500
    """What each compressed byte may add. Rollouts shrink to a fifth or a hundredth, one of nothing
    but long outputs of ``yes`` to a 1,400th; a bomb, to a five or thirty thousandth."""
    free_lines: int = 2**16
    """Every line is work, however short it is."""
    lines_for_one: int = 2
    """How many lines each compressed byte may add. A line with a time and an id takes thirty
    compressed bytes, one with a time only one to five; a thousand lines of a bomb take ten."""


_USUAL: Final = Limits()


class ZstdContent:
    """Decompresses one or several zstd frames; raises if the last one is cut short, or if they
    expand too far."""

    def __init__(self, file: BinaryIO, limits: Limits = _USUAL) -> None:
        self._file = file
        self._limits = limits
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._bounded = not READ_ALL.get()
        self.seek(0)

    def __enter__(self) -> "ZstdContent":
        return self

    def __exit__(self, *ended: object) -> None:
        self._file.close()

    def seek(self, offset: int, /) -> int:
        """Go back to the beginning, the only possible ``offset``."""
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
        """The descriptor of the compressed file."""
        return self._file.fileno()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` as far as there is content; 0 at its end.

        Raises:
            DamagedCompression: garbage, or a frame that is cut short.
            ExpandsTooFar: it is far larger than so few compressed bytes can be.
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
    """Ends where the content is damaged, and notes the damage."""

    def __init__(self, file: BinaryIO, path: Path, damage: list[Damage]) -> None:
        super().__init__(file)
        self._path = path
        self._damage = damage

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` as far as there is content; 0 at its end or where it is damaged."""
        try:
            return super().readinto(buffer)
        except DamagedCompression as error:
            endless = isinstance(error, ExpandsTooFar)
            found = Damage(self._path, error.offset, error.reason, endless)
            if found not in self._damage:
                self._damage.append(found)
            return 0
