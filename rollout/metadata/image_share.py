"""How much of a rollout is images: data URLs, and bare PNG and JPEG in base64, as image generation
and tools give them (docs/rollout-format.md#response_item).

No JSON is parsed: images are unmistakable in the bytes, wherever in a line they are.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from rollout.errors import DamagedCompression
from rollout.jsonl.reader import RolloutStream, open_rollout

_BUFFER_BYTES: Final = 2**20
_URL: Final = b"data:image/"
_URL_HEAD = re.compile(rb"data:image/[\w.+-]{1,32}(?:;[\w=.+-]{1,32})?;base64,")
# How a string of PNG or JPEG in base64 begins. Each further format costs a third more time.
_BARE: Final = (b'"iVBORw0KGgo', b'"/9j/')
_BARE_HEAD = re.compile(rb'"[A-Za-z0-9+/]{64}')
_LONGEST_HEAD: Final = 128
_ENDS: Final = (b'"', b"\\", b"\n")


class ImageShare(NamedTuple):
    """How much of a file is images, in bytes of its uncompressed content."""

    content_bytes: int
    """All that could be read."""
    image_bytes: int
    """As they are in the file: encoded, with the heads of data URLs."""
    images: int
    problem: str | None = None
    """Why the file could not be read to its end."""


def image_shares(
    home: str, paths: Sequence[str], buffer_bytes: int = _BUFFER_BYTES
) -> list[ImageShare]:
    """The shares of several files below ``home``, in their order.

    One pass through one buffer, which bounds the memory. Never raises for what is in a file, nor
    if it cannot be read.
    """
    buffer = bytearray(buffer_bytes)
    return [_image_share(f"{home}/{path}", buffer) for path in paths]


def _image_share(path: str, buffer: bytearray) -> ImageShare:
    count = _Count(buffer)
    problem = None
    try:
        with open_rollout(path) as stream:
            count.read(stream)
    except DamagedCompression as error:
        problem = error.reason
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    return ImageShare(count.content_bytes, count.image_bytes, count.images, problem)


class _Count:
    """Counts images in a stream; the counts stay if reading it fails."""

    def __init__(self, buffer: bytearray) -> None:
        self.content_bytes = self.images = self.image_bytes = 0
        self._buffer = buffer

    def read(self, stream: RolloutStream) -> None:
        buffer, view = self._buffer, memoryview(self._buffer)
        have = 0  # bytes at the front of the buffer that may begin an image
        inside = False
        while got := stream.readinto(view[have:]):
            self.content_bytes += got
            end = have + got
            at = 0
            if inside:
                at = self._to_end(0, end)
                inside = at == end
            for start in self._starts(at, end):
                if start >= at:
                    self.images += 1
                    at = self._to_end(start, end)
                    inside = at == end
            have = min(end - at, _LONGEST_HEAD)
            buffer[:have] = buffer[end - have : end]

    def _starts(self, at: int, end: int) -> list[int]:
        """Where images begin, without the quote before them."""
        match_url, match_bare = _URL_HEAD.match, _BARE_HEAD.match
        urls = (p for p in self._places(_URL, at, end) if match_url(self._buffer, p, end))
        bare = (
            place + 1
            for place in chain.from_iterable(self._places(head, at, end) for head in _BARE)
            if match_bare(self._buffer, place, end)
        )
        return sorted(chain(urls, bare))

    def _places(self, needle: bytes, at: int, end: int) -> Iterator[int]:
        place = self._buffer.find(needle, at, end)
        while place >= 0:
            yield place
            place = self._buffer.find(needle, place + 1, end)

    def _to_end(self, start: int, end: int) -> int:
        """Count the image bytes from ``start``; where the string or the buffer ends."""
        for mark in _ENDS:
            place = self._buffer.find(mark, start, end)
            end = place if place >= 0 else end
        self.image_bytes += end - start
        return end
