"""How much of a rollout is images: base64 ``data:`` URLs, found without parsing its lines."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rollout.errors import DamagedCompression
from rollout.lines import RolloutStream, open_rollout

_CHUNK_BYTES: Final = 2**20
_LONGEST_START: Final = 128
_IMAGE = re.compile(
    rb"data:image/[a-zA-Z0-9.+-]{1,64}(?:;[a-z0-9=-]{1,32})?;base64,[A-Za-z0-9+/=]*"
)
_BODY = re.compile(rb"[A-Za-z0-9+/=]*")


class ImageShare(NamedTuple):
    """What of a file is images, in bytes of its uncompressed content."""

    content_bytes: int
    image_bytes: int
    images: int


def image_shares(home: str, paths: Sequence[str]) -> list[ImageShare | None]:
    """The shares of several files below ``home``, in their order; None for one that cannot be
    opened. Of a damaged compressed file what comes before the damage counts."""
    return [_image_share(Path(home, path)) for path in paths]


def _image_share(path: Path) -> ImageShare | None:
    try:
        with open_rollout(path) as stream:
            return _measure(stream)
    except OSError:
        return None


def _measure(stream: RolloutStream) -> ImageShare:
    buffer = bytearray(_CHUNK_BYTES)
    content = total = images = 0
    rest = b""
    inside = False
    while got := _read(stream, buffer):
        content += got
        data = rest + bytes(buffer[:got])
        at = 0
        if inside:
            body = _BODY.match(data)
            at = body.end() if body else 0
            total += at
            inside = at == len(data)
        for found in _IMAGE.finditer(data, at):
            total += found.end() - found.start()
            images += 1
            at = found.end()
            inside = at == len(data)
        # A URL may begin at the very end; what has been counted must not be counted again.
        rest = b"" if inside else data[max(at, len(data) - _LONGEST_START) :]
    return ImageShare(content, total, images)


def _read(stream: RolloutStream, buffer: bytearray) -> int:
    try:
        return stream.readinto(memoryview(buffer)) or 0
    except DamagedCompression:
        return 0
