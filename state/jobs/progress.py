"""How far a job has come, for whoever waits."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """How far a sync or a backfill is; the same three words everywhere."""

    files: int = 0
    """Entries under the rollout folders."""
    to_read: int = 0
    read: int = 0
    unreadable: int = 0
    dropped: int = 0
    """Rows whose file is gone."""
    bytes_read: int = 0
    """Size of the files that were read."""


Report = Callable[[Counts], None]
