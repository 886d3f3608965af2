"""Bytes to lines, in bounded memory.

A rollout is JSON Lines, but its files may hold anything: torn tails, NULs, lines of 100 MB.
:class:`LineReader` gives whole lines with their byte offsets. A caller that can tell by a line's
first bytes that it does not need the line passes ``needs``: the line is skipped without making an
object of it, however long it is.

*torn*: the last line of a file if it has no newline. It is given with ``ended=False``.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import BytesIO, FileIO
from pathlib import Path, PosixPath
from typing import Final, NamedTuple, Protocol

from rollout.errors import Damage
from rollout.files.cancellation import check_cancelled
from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.jsonl.marks import MarkedLines
from rollout.jsonl.parse import BLANK, BadLine, Line

HEAD_BYTES: Final = 512
"""So many bytes of a line, or all of it, are read before it is skipped or given."""
LONGEST_LINE: Final = 128 * 2**20
"""A longer line is not kept, only reported, so that memory stays bounded."""
BUFFER_BYTES: Final = 256 * 1024  # about a core's second-level cache


class LineFilter(Protocol):
    """Which lines a caller does not need, by their first bytes."""

    @property
    def skip(self) -> re.Pattern[bytes]:
        """Matches the beginning of a line that is skipped. If the last group that took part has a
        name, the line is counted, and group 1 is its ordinal, or empty: see
        :attr:`LineReader.passed`."""


class Skipping(NamedTuple):
    """Skips the lines that a pattern matches."""

    skip: re.Pattern[bytes]


class Repeat(NamedTuple):
    """A line that a caller has taken, and that tells nothing but its time if it comes again."""

    head: re.Pattern[bytes]
    """Matches all that may be before ``tail``: group 1 is the time, group 2 the ordinal."""
    tail: bytes
    """All of the line after its time and its ordinal."""


class RolloutStream(Protocol):
    """What a rollout is read by: unbuffered ``readinto``, and starting again."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def seek(self, offset: int, /) -> int: ...

    def fileno(self) -> int: ...


class MemoryRollout(PosixPath):
    """A rollout whose content is in memory: a path without a file, which :func:`open_rollout` and
    its callers read like a file."""

    content: bytearray

    @classmethod
    def named(cls, path: str) -> "MemoryRollout":
        """An empty one, under the name that a file of this thread would have."""
        made = cls(path)
        made.content = bytearray()
        return made


class LineReader:
    """Reads lines through one buffer. Use it for many files, one at a time."""

    end_offset: int
    """Just after the last newline so far."""
    passed: int
    """How many lines were skipped and counted; the caller may reset it."""
    highest: int
    """The highest ordinal of the skipped lines, -1 if none had one; the caller raises it to those
    of the lines it takes."""
    behind: int
    """How many of the skipped lines had an ordinal that was not above ``highest``, and where the
    first of them is; the caller may reset it."""
    behind_at: int
    held: memoryview
    """All of the content up to ``end_offset`` if it was read at once, or nothing; until other lines
    are read."""
    repeat: Repeat | None
    """What the caller need not be given again; it may set this after each line that it was given.
    Such a line is skipped and counted, and the time of the last one is in ``repeated_at``, which
    the caller may reset."""
    repeated_at: str | None
    marked: MarkedLines | None = None
    """Whom to give lines with marks; the caller sets and resets it."""

    def __init__(self, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._buffer = bytearray(max(buffer_bytes, HEAD_BYTES))

    def lines(
        self,
        stream: RolloutStream,
        offset: int = 0,
        needs: LineFilter | None = None,
        *,
        highest: int = -1,
    ) -> Iterator[Line | BadLine]:
        """The lines of ``stream``, whose first byte is at ``offset`` of the content; ``highest``
        is the highest ordinal before it.

        ``needs.skip`` is read again after each line that was given. A line that it matches is
        given all the same if it does not end like an object.
        """
        buffer, view = self._buffer, memoryview(self._buffer)
        size, find = len(buffer), buffer.find
        self.end_offset, self.held = offset, view[:0]
        self.passed, self.highest = 0, highest
        self.behind, self.behind_at = 0, -1
        self.repeat = self.repeated_at = repeat = None
        match = needs.skip.match if needs else _NOTHING.match
        have = 0  # bytes of an unfinished line at the front of the buffer
        base = line_start = offset  # content offsets of buffer[0] and of the current line
        long_line: bytearray | None = None  # front of a needed line longer than the buffer
        dropping = False  # inside a line that is not needed ...
        counted: bytes | None = None  # ... but counted, with this ordinal
        unusable = ""  # ... or cannot be used, and why
        marked = self.marked
        if marked is not None:
            marked.begin()
        while got := stream.readinto(view[have:]):
            check_cancelled()
            end = have + got
            if marked is not None:
                marked.look(buffer, base, line_start, have, end)
            start, newline = 0, find(b"\n", have, end)
            while newline >= 0:
                if dropping:
                    dropping = False
                    if not unusable and newline and buffer[newline - 1] != _CLOSING:
                        unusable = "a line that ends in its middle"
                    if unusable:
                        yield BadLine(line_start, unusable)
                        unusable = ""
                    elif counted is not None:
                        self.passed += 1
                        if counted:
                            self._number(counted, line_start)
                    counted = None
                elif long_line is not None:
                    long_line += view[start:newline]
                    yield Line(line_start, long_line)
                    long_line, repeat = None, self.repeat
                    if needs:
                        match = needs.skip.match
                elif (found := match(buffer, start, newline)) is not None and (
                    buffer[newline - 1] == _CLOSING  # else torn: parsing it tells
                ):
                    if found.lastgroup:
                        self.passed += 1
                        if (ordinal := found[1]) and (number := int(ordinal)) > self.highest:
                            self.highest = number
                        elif ordinal:
                            self._note_behind(base + start)
                elif (
                    repeat is not None
                    and buffer.endswith(repeat.tail, start, newline)
                    and (found := repeat.head.fullmatch(buffer, start, newline - len(repeat.tail)))
                ):
                    self.passed += 1
                    self.repeated_at = found[1].decode()
                    if ordinal := found[2]:
                        self._number(ordinal, base + start)
                else:
                    yield _line(Line, (base + start, bytes(view[start:newline]), True))
                    repeat = self.repeat
                    if needs:
                        match = needs.skip.match
                start = newline + 1
                newline = find(b"\n", start, end)
            if start:
                self.end_offset = line_start = base + start
            base += start
            have = end - start
            self.held = view[: end if base == end and not have else 0]
            if dropping or long_line is not None:
                if long_line is not None:
                    long_line += view[start:end]
                    if len(long_line) > LONGEST_LINE:
                        long_line, dropping = None, True
                        unusable = f"line longer than {LONGEST_LINE} bytes"
                base, have = base + have, 0
            elif have == size:
                # One line fills the buffer: keep it if it is needed, else skip it. Leading blanks
                # do not count, however many NULs a crash has left.
                found = match(buffer, 0, end)
                if found is not None:
                    dropping = True
                    counted = bytes(found[1]) if found.lastgroup else None
                elif front := buffer.lstrip(BLANK):
                    if front.removeprefix(_BYTE_ORDER_MARK).startswith(b"{"):
                        long_line = bytearray(buffer)
                    else:
                        dropping, unusable = True, "a long line that is no JSON object"
                base, have = base + have, 0
            elif start:
                buffer[:have] = buffer[start:end]
        if long_line is not None:
            yield Line(line_start, long_line, ended=False)
        elif unusable:
            yield BadLine(line_start, unusable, ended=False)
        elif have and not dropping:
            yield Line(line_start, bytes(view[:have]), ended=False)

    def _number(self, ordinal: "bytes | bytearray", offset: int) -> None:
        if (number := int(ordinal)) > self.highest:
            self.highest = number
        else:
            self._note_behind(offset)

    def _note_behind(self, offset: int) -> None:
        self.behind_at = self.behind_at if self.behind else offset
        self.behind += 1


_line: Final = tuple.__new__  # half the time of Line()
_NOTHING: Final = re.compile(rb"(?!)")
_CLOSING: Final = ord("}")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def open_rollout(
    path: Path | str, damage: list[Damage] | None = None
) -> AbstractContextManager[RolloutStream]:
    """The content of a rollout as a byte stream, decompressed if its name ends in ``.zst``.

    Several zstd frames are one content. Readers that show what there is pass a list for the
    ``damage``: the content ends where it begins, and it is added to the list. Writers pass none,
    and reading raises :class:`rollout.errors.DamagedCompression`. Raises OSError if the file cannot
    be opened, or is not a regular one: opening a pipe with the name of a rollout would wait for
    ever.
    """
    if isinstance(path, MemoryRollout):
        return BytesIO(path.content)
    file = FileIO(path, opener=_open_without_waiting)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if not str(path).endswith(COMPRESSED_SUFFIX):
        return file
    # Imported here, so that only compressed rollouts pay for it.
    from rollout.jsonl.zstd import TolerantZstdContent, ZstdContent

    if damage is None:
        return ZstdContent(file)
    return TolerantZstdContent(file, Path(path), damage)
