"""What one file tells of the tokens that were used, without anything else of it."""

import os
from typing import Final

from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.files.stamp import FileStamp
from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, Skipping, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.schema import kinds
from rollout.usage.model import FileUsage, RateLimits, decode_rows
from rollout.usage.reducer import UsageReducer

_LINES: Final = kinds.any_of(*kinds.passed_by(kinds.Reader.USAGE, kinds.Level.LINE))
_EVENTS: Final = kinds.any_of(*kinds.passed_by(kinds.Reader.USAGE, kinds.Level.EVENT))
_USAGE_LINES: Final = Skipping(
    kinds.line_pattern(f"{_LINES},|{kinds.payload_type('event_msg', _EVENTS)}")
)


def stored_usage(
    sums: str,
    state: str,
    limits_at_ms: int | None = None,
    limits: str | None = None,
    odd: int = 0,
    odd_at: int | None = None,
) -> FileUsage | None:
    """What an earlier pass told, from what was stored of it; None if that is damaged, so that no
    pass can continue from it."""
    told = RateLimits(limits_at_ms or 0, limits) if limits else None
    try:
        usage = FileUsage(decode_rows(sums), state, told, odd, odd_at)
        UsageReducer(usage)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    return usage if state else None


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
