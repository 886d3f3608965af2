"""The lines of a thread's whole history as they are in its files (rollout-format §15.6)."""

from collections.abc import Iterator, Sequence

from rollout.history.segments import Part
from rollout.jsonl.reader import BadLine, Line, LineReader, open_rollout, parse_line


def raw_lines(parts: Sequence[Part]) -> Iterator[bytes]:
    """The lines, each with a newline, in order, as far as they read: of files that the history
    begins in those that count, without what these say of their own threads; of the last file all.

    Raises:
        OSError: a file cannot be read.
    """
    for part in parts[:-1]:
        yield from _inherited(part)
    with open_rollout(parts[-1].path, []) as stream:
        for line in LineReader().lines(stream):
            if isinstance(line, Line):
                yield bytes(line.data) + b"\n"


def _inherited(part: Part) -> Iterator[bytes]:
    with open_rollout(part.path, []) as stream:
        for line in LineReader().lines(stream):
            item = parse_line(line) if isinstance(line, Line) else None
            if item is None or isinstance(item, BadLine) or not isinstance(line, Line):
                continue
            ordinal = item.get("ordinal")
            number = ordinal if isinstance(ordinal, int) else -1
            if part.end_ordinal is not None and number >= part.end_ordinal:
                return
            if item.get("type") != "session_meta":
                yield bytes(line.data) + b"\n"
