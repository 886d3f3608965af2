"""Extracts the metadata of one rollout file, from its beginning or from where a pass ended."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rollout.errors import DamagedCompression, UnreadableRollout
from rollout.files.layout import COMPRESSED_SUFFIX, parse_name
from rollout.files.scan import stat_file
from rollout.files.stamp import NO_STAMP, FileStamp
from rollout.jsonl.parse import BLANK, BadLine, Line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.metadata import model
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from rollout.metadata.reducer import MetadataReducer

Begin = Callable[[model.ThreadMetadata, int | None], MetadataReducer]


def extract_file(
    home: Path | str,
    path: str,
    earlier: EarlierMetadata | None = None,
    reader: LineReader | None = None,
    longest: int | None = model.LONGEST_TEXT,
    begin: Begin = MetadataReducer,
) -> Extracted | Unusable:
    """The metadata of the rollout at ``path`` below ``home``.

    With ``earlier``, only the lines after its end are read, if the file has only grown since.
    Costs one pass and the memory of one buffer and of the longest line that is needed. Texts are
    cut to ``longest`` characters; None keeps all of them. ``begin`` makes what takes the lines
    from the first one on.
    """
    full = f"{home}/{path}"
    try:
        with open_rollout(full) as stream:
            # Before reading: a line that is written meanwhile makes the next scan look again.
            stamp = FileStamp.of(os.fstat(stream.fileno()))
            try:
                reader = reader or LineReader()
                plain = not path.endswith(COMPRESSED_SUFFIX)
                if plain and earlier is not None and earlier.resume.holds(stream, stamp):
                    return _continue(stream, path, stamp, earlier, reader, longest)
                return _extract(stream, path, stamp, reader, longest, begin)
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
    begin: Begin,
) -> Extracted:
    name = parse_name(path)
    if name is None:
        raise UnreadableRollout(path, "not named rollout-*.jsonl")
    if stamp.size == 0:
        raise UnreadableRollout(path, "empty file")
    reducer = begin(model.initial_metadata(name), longest)
    end = _reduce_lines(reducer, stream, reader, 0, reducer)
    if not reducer.usable_lines:
        # What was skipped matters after all: take every line.
        stream.seek(0)
        reducer = begin(model.initial_metadata(name), longest)
        end = _reduce_lines(reducer, stream, reader, 0, None)
    first_bad = end.damage or reducer.first_bad  # damage costs more than a line
    if not reducer.usable_lines:
        first_bad = first_bad or end.torn or BadLine(0, "nothing but blanks")
        raise UnreadableRollout(path, first_bad.reason, first_bad.offset)
    if not reducer.metadata.id:
        raise UnreadableRollout(path, "no thread id, neither in a session_meta nor in the name")
    identified = bool(reducer.metadata.flags & model.SEEN_META)
    if not identified and first_bad is None:
        first_bad = BadLine(0, "no session_meta: identity taken from the file name")
    resumable = end.resumable and identified
    bad_lines = reducer.bad_lines + (end.damage is not None)
    return Extracted(
        path,
        ResumePoint.at(stream, path, stamp, end.offset, resumable=resumable, held=reader.held),
        reducer.metadata,
        reducer.tools or [],
        bad_lines,
        first_bad,
        reducer.left_out,
        reducer.left_out_at,
        reducer.usage.usage(),
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
    reducer = MetadataReducer(earlier.metadata, longest, earlier.usage)
    end = _reduce_lines(reducer, stream, reader, start, reducer)
    return Extracted(
        path,
        ResumePoint.at(stream, path, stamp, end.offset, resumable=end.resumable),
        reducer.metadata,
        reducer.tools,
        earlier.bad_lines + reducer.bad_lines,
        earlier.first_bad or reducer.first_bad,
        earlier.left_out + reducer.left_out,
        reducer.left_out_at if earlier.left_out_at is None else earlier.left_out_at,
        reducer.usage.usage(),
    )


class _End(NamedTuple):
    """How a pass over lines ended."""

    offset: int
    """Where the last newline was."""
    resumable: bool
    """Whether a later pass may continue from there."""
    torn: BadLine | None = None
    """The last line, if it has not ended and is no whole object."""
    damage: BadLine | None = None
    """What ended the content early."""


def _reduce_lines(
    reducer: MetadataReducer,
    stream: RolloutStream,
    reader: LineReader,
    offset: int,
    needs: MetadataReducer | None,
) -> _End:
    metadata = reducer.metadata
    try:
        for line in reader.lines(stream, offset, needs, highest=metadata.next_ordinal - 1):
            if (
                reader.highest >= metadata.next_ordinal
                or reader.behind
                or reader.repeated_at is not None
            ):
                _pass_over(reducer, reader)
            if not line.ended:
                return _reduce_torn(reducer, line, reader)
            reducer.apply(line)
            reader.highest, reader.repeat = metadata.next_ordinal - 1, reducer.repeat
    except DamagedCompression as error:
        damage = BadLine(error.offset, error.reason)
        return _End(reader.end_offset, resumable=False, damage=damage)
    finally:
        _pass_over(reducer, reader)
    return _End(reader.end_offset, resumable=True)


def _pass_over(reducer: MetadataReducer, reader: LineReader) -> None:
    reducer.pass_over(reader.highest, reader.behind, reader.behind_at)
    if reader.repeated_at is not None:
        reducer.usage.repeat(reader.repeated_at)
    reader.behind, reader.behind_at, reader.repeated_at = 0, -1, None


def _reduce_torn(reducer: MetadataReducer, line: Line | BadLine, reader: LineReader) -> _End:
    """Take the last line, which has no newline. A whole object counts, but what follows may spoil
    it, so that the next pass reads everything; anything else is read again when it has ended."""
    before = reducer.bad_lines, reducer.first_bad
    if reducer.apply(line):
        return _End(reader.end_offset, resumable=False)
    reducer.bad_lines, reducer.first_bad = before
    torn: BadLine | None = None
    if isinstance(line, BadLine):
        torn = line
    elif line.data.strip(BLANK):
        torn = BadLine(line.offset, "ends in the middle of a line")
    return _End(reader.end_offset, resumable=True, torn=torn)
