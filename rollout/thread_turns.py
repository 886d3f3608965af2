"""The turns of whole threads, and the items in them, read from their files
(rollout-format §13.2, §14, §15)."""

from pathlib import Path

from rollout.anchors import Place
from rollout.lines import BadLine, Line, LineReader, open_rollout, parse_line
from rollout.turns import TurnFold


def fold_file(
    path: Path,
    fold: TurnFold,
    *,
    file: int = 0,
    offset: int = 0,
    end_ordinal: int | None = None,
    torn: bool = True,
) -> int:
    """Have ``fold`` look at the lines of a rollout from ``offset`` on; gives where the last line
    that has ended does.

    A last line without a newline counts if it can be read, as for Codex; whoever saves the state
    of the fold says ``torn=False``, for such a line may still be written.

    Raises:
        DamagedCompression: the file is damaged.
        OSError: it cannot be read.
    """
    reader = LineReader()
    with open_rollout(path) as stream:
        if offset:
            stream.seek(offset)
        for line in reader.lines(stream, offset, fold):
            if reader.passed:
                fold.pass_over(reader.passed, reader.highest)
                reader.passed = 0
            if not isinstance(line, Line) or not (line.ended or torn):
                continue
            item = parse_line(line)
            if item is None or isinstance(item, BadLine):
                continue
            ordinal = item.get("ordinal")
            number = ordinal if isinstance(ordinal, int) else 0
            if end_ordinal is not None and number >= end_ordinal:
                break
            before = Place(file, line.offset, number)
            after = Place(file, line.offset + len(line.data) + line.ended, number + 1)
            fold.take(item, before, after)
        fold.pass_over(reader.passed, reader.highest)
    return reader.end_offset
