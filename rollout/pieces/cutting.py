"""Cut a rollout into pieces, or what was added to it."""

import os
import stat
from collections.abc import Generator, Sequence
from io import FileIO
from pathlib import Path
from typing import Final

from rollout.files.cancellation import check_cancelled
from rollout.files.stamp import FileStamp
from rollout.jsonl.resume import ResumePoint
from rollout.pieces.manifest import MOST_BYTES, Manifest, Piece

_MOST_OF_A_CLASS: Final = 16
_CLASS_BITS: Final = 4
"""Sixteen appended pieces of much the same size, each of them at most sixteen times as large as
another, become one: a byte is sent three or four times until its megabyte is full."""


def cut(path: Path, known: Manifest | None) -> Generator[tuple[Piece, bytes], None, Manifest]:
    """The pieces of the file at ``path`` that are not in its ``known`` manifest, each with its
    bytes; of a file that has only grown, no more than its last megabyte is read. Returns the
    manifest of the file, which is the ``known`` one if nothing has changed. Raises OSError if it
    cannot be read, or is no regular file."""
    # A link that has come into the place of the file must not lead to another one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(f"{path} is not a regular file")
        now = FileStamp.of(info)
        if known is not None and now == known.point.stamp and known.size == now.size:
            return known
        pieces = _staying(file, now, known)
        at = sum(piece.size for piece in pieces)
        while at < now.size:
            check_cancelled()
            data = _read(descriptor, at, min(now.size, at - at % MOST_BYTES + MOST_BYTES))
            if not data:
                break  # it has been cut off meanwhile
            pieces.append(Piece.of(data))
            yield pieces[-1], data
            at += len(data)
        if at < now.size:
            return Manifest(ResumePoint(FileStamp(at, now.mtime_ns, 0), at, ""), tuple(pieces))
        return Manifest(ResumePoint.at(file, path.name, now, at), tuple(pieces))


def staying(sizes: Sequence[int], size: int) -> int:
    """How many pieces of these sizes stay when the file has grown to ``size``: all but the small
    ones that are cut as one with what was added."""
    end = sum(sizes)
    whole = end // MOST_BYTES
    if size // MOST_BYTES > whole:
        return whole
    tail = [*sizes[whole:], size - end]
    for level in range(MOST_BYTES.bit_length() // _CLASS_BITS + 1):
        first = len(tail)
        while first and _class(tail[first - 1]) <= level:
            first -= 1
        if sum(_class(each) == level for each in tail[first:]) >= _MOST_OF_A_CLASS:
            tail[first:] = [sum(tail[first:])]
    return whole + len(tail) - 1


def _class(size: int) -> int:
    return (size.bit_length() - 1) // _CLASS_BITS


def _staying(file: FileIO, now: FileStamp, known: Manifest | None) -> list[Piece]:
    """The pieces of an earlier state of an open file that are pieces of it now, too."""
    if known is None or not known.point.holds(file, now):
        return []
    sizes = [piece.size for piece in known.pieces]
    whole = known.size // MOST_BYTES
    if any(size != MOST_BYTES for size in sizes[:whole]):
        return []  # another version has cut it in another way
    return [*known.pieces[: staying(sizes, now.size)]]


def _read(descriptor: int, start: int, end: int) -> bytes:
    parts = []
    while start < end and (part := os.pread(descriptor, end - start, start)):
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
