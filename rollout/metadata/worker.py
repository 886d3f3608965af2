"""Extracts many files in another process. It imports little, as each process pays for that."""

import gc
import logging
import multiprocessing
import os
import signal
import threading
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


def start_worker() -> None:
    """Set up a worker process; the pool runs it in each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # its objects have no cycles, and it does not live long
    os.nice(5)  # the process that stores the results is the bottleneck


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # a parent that was killed cannot stop us
        os._exit(1)
