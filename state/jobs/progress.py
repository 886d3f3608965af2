"""The progress of a job, and how long its worker may be silent. It imports little."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

DEFAULT_LEASE_S: Final = 900
"""After so many seconds without a renewal, another worker may take over."""


@dataclass(slots=True)
class JobProgress:
    """How many files or threads a job has done, of how many."""

    total: int = 0
    done: int = 0
    bytes_done: int = 0
    """The size on disk of what was done."""


class Away(NamedTuple):
    """A file or folder that cannot be accessed, relative to the home, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class SyncProgress(JobProgress):
    """What a sync or a backfill has done, in files."""

    files: int = 0
    """Entries below the rollout folders; ``total`` are those that are to be read."""
    unreadable: int = 0
    dropped: int = 0
    """Rows deleted because their file is gone."""
    away: list[Away] = field(default_factory=list)
    """What cannot be accessed: the index keeps what it has of it."""


Report = Callable[[JobProgress], None]
"""Is called with the progress of a job while it runs."""


def done_of(done: int, total: int) -> str:
    """How many files a job has done, of how many if that is known: ``5 of 8 files``."""
    return f"{done:,} of {total:,} files" if total else f"{done:,} files"
