"""One rollout file to its facts: the streaming pass, whole or from where it last ended."""

import os
from pathlib import Path
from typing import NamedTuple

from rollout.errors import DamagedCompression, UnreadableRollout
from rollout.files.layout import COMPRESSED_SUFFIX, parse_name
from rollout.files.scan import stat_file
from rollout.files.stamp import NO_STAMP, FileStamp
from rollout.jsonl.parse import BadLine, Line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.metadata.model import (
    LONGEST_TEXT,
    SEEN_META,
    ThreadMetadata,
    ToolMetadata,
    initial_metadata,
)
from rollout.metadata.reducer import MetadataReducer
from rollout.metadata.version import EXTRACTOR_VERSION


class Extracted(NamedTuple):
    """What one file gave."""

    path: str
    resume: ResumePoint
    """A torn line is read again when it has ended."""
    metadata: ThreadMetadata
    tools: list[ToolMetadata] | None
    """None when this was a continued fold, which does not see them again."""
    bad_lines: int
    first_bad: BadLine | None
    left_out: int = 0
    """Lines that are in no turn, because a second writer gave them ordinals that were taken."""
    left_out_at: int | None = None
    """Where the first of them is."""
    extractor: int = EXTRACTOR_VERSION

    @property
    def stamp(self) -> FileStamp:
        """Of the file when it was read."""
        return self.resume.stamp


class Unusable(NamedTuple):
    """A file that gives no thread, and why: a finding, not a failure."""

    path: str
    stamp: FileStamp
    reason: str
    offset: int = 0
    retry: bool = False
    """Whether the cause lies outside the file, so that it may pass without a change to it."""


class EarlierMetadata(NamedTuple):
    """What an earlier pass over the same file left: the facts, and how far it came."""

    metadata: ThreadMetadata
    resume: ResumePoint
    bad_lines: int = 0
    first_bad: BadLine | None = None
    left_out: int = 0
    left_out_at: int | None = None


def extract_file(
    home: Path | str,
    path: str,
    earlier: EarlierMetadata | None = None,
    reader: LineReader | None = None,
    longest: int | None = LONGEST_TEXT,
) -> Extracted | Unusable:
    """The facts of the rollout at ``path`` below ``home``.

    With ``earlier``, only lines after the old end are read, if the file is the same one,
    has grown, and its folded part has not been rewritten; otherwise all of it is. Costs one
    pass and, besides one buffer, the memory of the longest line that is needed. Texts are cut
    to ``longest`` characters; None keeps all of them.
    """
    full = f"{home}/{path}"
    try:
        with open_rollout(full) as stream:
            # The size is taken first: a line written meanwhile makes the next scan look again.
            info = os.stat(full) if path.endswith(COMPRESSED_SUFFIX) else os.fstat(stream.fileno())
            stamp = FileStamp.of(info)
            try:
                reader = reader or LineReader()
                if earlier is not None and _may_go_on(stream, path, stamp, earlier):
                    return _continue(stream, path, stamp, earlier, reader, longest)
                return _extract(stream, path, stamp, reader, longest)
            except UnreadableRollout as error:
                return Unusable(path, stamp, error.reason, error.offset)
    except FileNotFoundError:
        return Unusable(path, NO_STAMP, "the file has gone", retry=True)
    except OSError as error:
        found = stat_file(Path(home), path)
        reason = f"cannot be read: {error.strerror or error}"
        return Unusable(path, found.stamp if found else NO_STAMP, reason, retry=True)


def _extract(
    stream: RolloutStream,
    path: str,
    stamp: FileStamp,
    reader: LineReader,
    longest: int | None,
) -> Extracted:
    name = parse_name(path)
    if name is None:
        raise UnreadableRollout(path, "not named rollout-*.jsonl")
    if stamp.size == 0:
        raise UnreadableRollout(path, "empty file")
    fold = MetadataReducer(initial_metadata(name), longest)
    end = _fold_lines(fold, stream, reader, 0, fold)
    if not fold.apply_latest(reader.latest, reader.latest_seen) or not fold.usable_lines:
        # What was passed over matters after all: look at every line.
        stream.seek(0)
        passed = fold
        fold = MetadataReducer(initial_metadata(name), longest)
        end = _fold_lines(fold, stream, reader, 0, None)
        if passed.usable_lines:  # what it had not looked at is no finding now either
            fold.bad_lines, fold.first_bad = passed.bad_lines, passed.first_bad
    first_bad = end.damage or fold.first_bad  # damage costs more than a line
    if not fold.usable_lines:
        first_bad = first_bad or end.torn or BadLine(0, "nothing but blanks")
        raise UnreadableRollout(path, first_bad.reason, first_bad.offset)
    if not fold.metadata.id:
        raise UnreadableRollout(path, "no thread id, neither in a session_meta nor in the name")
    identified = bool(fold.metadata.flags & SEEN_META)
    if not identified and first_bad is None:
        first_bad = BadLine(0, "no session_meta: identity taken from the file name")
    resumable = end.resumable and identified and not path.endswith(COMPRESSED_SUFFIX)
    bad_lines = fold.bad_lines + (end.damage is not None)
    return Extracted(
        path,
        _resume_point(stream, stamp, end.offset, resumable),
        fold.metadata,
        fold.tools or [],
        bad_lines,
        first_bad,
        fold.left_out,
        fold.left_out_at,
    )


def _continue(
    stream: RolloutStream,
    path: str,
    stamp: FileStamp,
    earlier: EarlierMetadata,
    reader: LineReader,
    longest: int | None,
) -> Extracted:
    start = earlier.resume.end
    stream.seek(start)
    fold = MetadataReducer(earlier.metadata, longest)
    end = _fold_lines(fold, stream, reader, start, fold)
    if not fold.apply_latest(reader.latest, reader.latest_seen):
        stream.seek(0)
        return _extract(stream, path, stamp, reader, longest)
    return Extracted(
        path,
        _resume_point(stream, stamp, end.offset, end.resumable),
        fold.metadata,
        fold.tools,
        earlier.bad_lines + fold.bad_lines,
        earlier.first_bad or fold.first_bad,
        earlier.left_out + fold.left_out,
        fold.left_out_at if earlier.left_out_at is None else earlier.left_out_at,
    )


class _End(NamedTuple):
    """How a pass over lines ended."""

    offset: int
    """Where the last newline was."""
    resumable: bool
    """Whether a later fold may go on from there."""
    torn: BadLine | None = None
    """A last line that has not ended and is no whole object."""
    damage: BadLine | None = None
    """What ended the content early."""


def _fold_lines(
    fold: MetadataReducer,
    stream: RolloutStream,
    reader: LineReader,
    offset: int,
    needs: MetadataReducer | None,
) -> _End:
    try:
        for line in reader.lines(stream, offset, needs, highest=fold.metadata.next_ordinal - 1):
            if reader.behind or reader.highest >= fold.metadata.next_ordinal:
                _pass_over(fold, reader)
            if not line.ended:
                return _fold_unended(fold, line, reader)
            fold.apply(line)
            reader.highest = fold.metadata.next_ordinal - 1
    except DamagedCompression as error:
        damage = BadLine(error.offset, error.reason)
        return _End(reader.end_offset, resumable=False, damage=damage)
    finally:
        _pass_over(fold, reader)
    return _End(reader.end_offset, resumable=True)


def _pass_over(fold: MetadataReducer, reader: LineReader) -> None:
    fold.pass_over(reader.highest, reader.behind, reader.behind_at)
    reader.behind, reader.behind_at = 0, -1


def _fold_unended(fold: MetadataReducer, line: Line | BadLine, reader: LineReader) -> _End:
    """A whole object counts although its newline is missing, but what follows it may spoil it:
    then everything is read again. Anything else is looked at when it has ended."""
    before = fold.bad_lines, fold.first_bad
    if fold.apply(line):
        return _End(reader.end_offset, resumable=False)
    fold.bad_lines, fold.first_bad = before
    torn: BadLine | None = None
    if isinstance(line, BadLine):
        torn = line
    elif line.data.strip(b" \t\r\n\0"):
        torn = BadLine(line.offset, "ends in the middle of a line")
    return _End(reader.end_offset, resumable=True, torn=torn)


def _may_go_on(
    stream: RolloutStream, path: str, stamp: FileStamp, earlier: EarlierMetadata
) -> bool:
    return not path.endswith(COMPRESSED_SUFFIX) and earlier.resume.holds(stream, stamp)


def _resume_point(
    stream: RolloutStream, stamp: FileStamp, end: int, resumable: bool
) -> ResumePoint:
    return ResumePoint.at(stream, stamp, end) if resumable else ResumePoint(stamp, end, "")
