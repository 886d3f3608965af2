"""What one file tells of the tokens that were used, without anything else of it."""

import os
from typing import Final

from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.files.stamp import FileStamp
from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, Skipping, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.schema import kinds
from rollout.usage.model import FileUsage
from rollout.usage.reducer import UsageReducer

_LINES: Final = kinds.any_of(*kinds.passed_by(kinds.Reader.USAGE, kinds.Level.LINE))
_EVENTS: Final = kinds.any_of(*kinds.passed_by(kinds.Reader.USAGE, kinds.Level.EVENT))
_USAGE_LINES: Final = Skipping(
    kinds.line_pattern(f"{_LINES},|{kinds.payload_type('event_msg', _EVENTS)}")
)


def usage_now(path: str, earlier: FileUsage | None, resume: ResumePoint | None) -> FileUsage:
    """What the file at ``path`` tells now. What an earlier pass found up to ``resume`` is not read
    again, if the file has only grown since. Raises OSError if it cannot be read."""
    with open_rollout(path, []) as stream:
        if earlier is not None and resume is not None and not path.endswith(COMPRESSED_SUFFIX):
            if resume.holds(stream, FileStamp.of(os.fstat(stream.fileno()))):
                stream.seek(resume.end)
                return reduce_usage(stream, UsageReducer(earlier), resume.end)
            stream.seek(0)
        return reduce_usage(stream, UsageReducer())


def reduce_usage(stream: RolloutStream, reducer: UsageReducer, offset: int = 0) -> FileUsage:
    """Apply the lines of a stream that is at ``offset``."""
    for line in LineReader().lines(stream, offset, _USAGE_LINES):
        value = parse_line(line) if isinstance(line, Line) else None
        if isinstance(value, dict):
            reducer.apply(value, line.offset)
    return reducer.usage()
