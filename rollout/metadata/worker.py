"""Extracts many files, in another process for a whole home."""

import logging
from collections.abc import Sequence
from pathlib import Path

from rollout.files.scan import stat_file
from rollout.files.stamp import NO_STAMP
from rollout.jsonl.reader import LineReader
from rollout.metadata.extract import extract_file
from rollout.metadata.model import LONGEST_TEXT
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable

Item = tuple[str, EarlierMetadata | None]
_log = logging.getLogger("threadkeep.read")


def extract_many(
    home: str, items: Sequence[Item], longest: int | None = LONGEST_TEXT
) -> list[Extracted | Unusable]:
    """The outcomes of several files below ``home``, in their order."""
    reader = LineReader()
    return [_extract(home, path, earlier, reader, longest) for path, earlier in items]


def _extract(
    home: str, path: str, earlier: EarlierMetadata | None, reader: LineReader, longest: int | None
) -> Extracted | Unusable:
    try:
        return extract_file(home, path, earlier, reader, longest)
    except Exception as error:  # noqa: BLE001  # a bug of ours must not cost the other files
        _log.exception("cannot read %s", path)
        found = stat_file(Path(home), path)
        reason = f"fault in threadkeep, please report: {type(error).__name__}: {error}"
        return Unusable(path, found.stamp if found else NO_STAMP, reason, retry=True)
