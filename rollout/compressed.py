"""The content of a ``.jsonl.zst`` rollout as a byte stream (rollout-format §1.5)."""

from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from rollout.damage import Damage
from rollout.errors import DamagedCompression

_FEED_BYTES: Final = 2048
"""Compressed bytes taken at a time: a hostile file can make 32 MB of so many, not more."""


class ZstdContent:
    """Decompresses one or several zstd frames; says so when the last one is cut short."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek(0)

    def seek(self, offset: int, /) -> int:
        """Go back to the beginning, the only place it can go to."""
        if offset:
            raise ValueError("a compressed rollout is read from its beginning")
        self._file.seek(0)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = memoryview(b"")
        self._input = b""
        self._given = 0
        return 0

    def fileno(self) -> int:
        """Descriptor of the compressed file."""
        return self._file.fileno()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` as far as there is content; 0 at its end.

        Raises:
            DamagedCompression: garbage, or the end of the file inside a frame.
        """
        while not self._ready:
            if not self._input:
                self._input = self._file.read(_FEED_BYTES)
                if not self._input:
                    if self._frame is None and self._given:
                        return 0
                    cut = self._given or self._frame is not None
                    raise DamagedCompression("cut short" if cut else "empty", self._given)
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            try:
                self._ready = memoryview(self._frame.decompress(self._input))
            except zstandard.ZstdError as error:
                raise DamagedCompression(str(error), self._given) from error
            self._input = b""
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        self._given += count
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
            found = Damage(self._path, error.offset, error.reason)
            if found not in self._damage:
                self._damage.append(found)
            return 0
