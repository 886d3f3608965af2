"""One rollout file to its facts: the streaming pass, whole or from where it last ended."""

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from rollout.errors import DamagedCompression, UnreadableRollout
from rollout.fold import (
    EXTRACTOR_VERSION,
    SEEN_META,
    Fold,
    ThreadFacts,
    ToolFacts,
    start_facts,
)
from rollout.lines import BadLine, Line, LineReader, RolloutStream, open_rollout
from rollout.paths import COMPRESSED_SUFFIX, parse_name

_GUARD_BYTES: Final = 256


class Progress(NamedTuple):
    """How far a file has been folded, and how to tell that what was folded is still there."""

    folded_bytes: int
    """Up to the last newline: a torn line is folded when it has ended."""
    guard: str
    """Digest of the first and the last bytes folded; empty where a fold cannot go on."""


class Extracted(NamedTuple):
    """What one file gave."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    facts: ThreadFacts
    tools: list[ToolFacts] | None
    """None when this was a continued fold, which does not see them again."""
    progress: Progress
    bad_lines: int
    first_bad: BadLine | None
    extractor: int = EXTRACTOR_VERSION


class Unusable(NamedTuple):
    """A file that gives no thread, and why: a finding, not a failure."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    reason: str
    offset: int = 0
    retry: bool = False
    """Whether the cause lies outside the file, so that it may pass without a change to it."""


class Earlier(NamedTuple):
    """What an earlier pass over the same file left: the facts, and how far it came."""

    facts: ThreadFacts
    progress: Progress
    inode: int
    bad_lines: int = 0
    first_bad: BadLine | None = None


def extract_file(
    home: Path | str, path: str, earlier: Earlier | None = None, reader: LineReader | None = None
) -> Extracted | Unusable:
    """The facts of the rollout at ``path`` below ``home``.

    With ``earlier``, only lines after the old end are read, if the file is the same one,
    has grown, and its folded part has not been rewritten; otherwise all of it is. Costs one
    pass and, besides one buffer, the memory of the longest line that is needed.
    """
    full = f"{home}/{path}"
    try:
        with open_rollout(full) as stream:
            # The size is taken first: a line written meanwhile makes the next scan look again.
            info = os.stat(full) if path.endswith(COMPRESSED_SUFFIX) else os.fstat(stream.fileno())
            place = (path, info.st_size, info.st_mtime_ns, info.st_ino)
            try:
                if earlier is not None and _may_go_on(stream, path, info, earlier):
                    return _continue(stream, place, earlier, reader or LineReader())
                return _extract(stream, place, reader or LineReader())
            except UnreadableRollout as error:
                return Unusable(*place, error.reason, error.offset)
    except FileNotFoundError:
        return Unusable(path, 0, 0, 0, "the file has gone", retry=True)
    except OSError as error:
        info = os.lstat(full)
        reason = f"cannot be read: {error.strerror or error}"
        return Unusable(path, info.st_size, info.st_mtime_ns, info.st_ino, reason, retry=True)


def _extract(
    stream: RolloutStream, place: tuple[str, int, int, int], reader: LineReader
) -> Extracted:
    path, size = place[0], place[1]
    name = parse_name(path.rsplit("/", 1)[-1])
    if name is None:
        raise UnreadableRollout(path, "not named rollout-*.jsonl")
    if size == 0:
        raise UnreadableRollout(path, "empty file")
    fold = Fold(start_facts(name))
    end, resumable, broken = _fold_lines(fold, stream, reader, 0, fold)
    if not fold.apply_latest(reader.latest, reader.latest_seen):
        stream.seek(0)
        fold = Fold(start_facts(name))
        end, resumable, broken = _fold_lines(fold, stream, reader, 0, None)
    first_bad = fold.first_bad or broken
    if not fold.usable_lines:
        reason = first_bad.reason if first_bad else "nothing but blanks"
        raise UnreadableRollout(path, reason, first_bad.offset if first_bad else 0)
    if not fold.facts.id:
        raise UnreadableRollout(path, "no thread id, neither in a session_meta nor in the name")
    if not fold.facts.fold_flags & SEEN_META and first_bad is None:
        first_bad = BadLine(0, "no session_meta: identity taken from the file name")
    guard = _guard(stream, end) if resumable and not path.endswith(COMPRESSED_SUFFIX) else ""
    bad_lines = fold.bad_lines + (broken is not None)
    return Extracted(
        *place, fold.facts, fold.tools or [], Progress(end, guard), bad_lines, first_bad
    )


def _continue(
    stream: RolloutStream, place: tuple[str, int, int, int], earlier: Earlier, reader: LineReader
) -> Extracted:
    start = earlier.progress.folded_bytes
    stream.seek(start)
    fold = Fold(earlier.facts)
    end, resumable, _ = _fold_lines(fold, stream, reader, start, fold)
    if not fold.apply_latest(reader.latest, reader.latest_seen):
        stream.seek(0)
        return _extract(stream, place, reader)
    guard = _guard(stream, end) if resumable else ""
    return Extracted(
        *place,
        fold.facts,
        None,
        Progress(end, guard),
        earlier.bad_lines + fold.bad_lines,
        earlier.first_bad or fold.first_bad,
    )


def _fold_lines(
    fold: Fold, stream: RolloutStream, reader: LineReader, offset: int, needs: Fold | None
) -> tuple[int, bool, BadLine | None]:
    """Fold the lines from ``offset``: where the last newline was, whether a later fold may go
    on from there, and what ended the reading early."""
    try:
        for line in reader.lines(stream, offset, needs):
            if isinstance(line, Line) and not line.ended:
                # A whole object counts although its newline is missing (§20.4), but what
                # follows it may spoil it: then everything is read again.
                before = fold.bad_lines, fold.first_bad
                whole = fold.apply(line)
                if not whole:
                    fold.bad_lines, fold.first_bad = before
                    if line.data.strip(b" \t\r\n\0") and fold.usable_lines == 0:
                        fold.first_bad = BadLine(line.offset, "ends in the middle of a line")
                return reader.end_offset, not whole, None
            fold.apply(line)
    except DamagedCompression as error:
        return reader.end_offset, False, BadLine(error.offset, f"damaged zstd: {error.reason}")
    return reader.end_offset, True, None


def _may_go_on(stream: RolloutStream, path: str, info: os.stat_result, earlier: Earlier) -> bool:
    progress = earlier.progress
    return (
        bool(progress.guard)
        and not path.endswith(COMPRESSED_SUFFIX)
        and info.st_ino == earlier.inode
        and info.st_size >= progress.folded_bytes
        and _guard(stream, progress.folded_bytes) == progress.guard
    )


def _guard(stream: RolloutStream, end: int) -> str:
    """Digest of the first and last bytes before ``end``: a rewritten file has others."""
    number = stream.fileno()
    digest = hashlib.blake2b(os.pread(number, min(_GUARD_BYTES, end), 0), digest_size=8)
    digest.update(os.pread(number, min(_GUARD_BYTES, end), max(0, end - _GUARD_BYTES)))
    return digest.hexdigest()
