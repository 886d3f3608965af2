"""The tables of leased jobs, each of one row: see :mod:`state.jobs.lease`."""

from typing import Final, NamedTuple


class JobTable(NamedTuple):
    """A table that has the state of a job."""

    name: str
    shown: str
    """What messages call the job."""
    counters: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """Columns of text that tell how far it is."""
    kept_texts: tuple[str, ...] = ()
    """Columns of text that outlive a run."""
    kept_numbers: tuple[str, ...] = ()

    @property
    def progress(self) -> dict[str, int | None]:
        """The columns that tell how far it is, as a job has them that starts."""
        unknown = (*self.notes, "started_at_ms", "updated_at_ms", "completed_at_ms", "last_error")
        return dict.fromkeys(self.counters, 0) | dict.fromkeys(unknown)


BACKFILL: Final = JobTable(
    "backfill_state",
    "backfill",
    ("files_total", "files_done", "files_unreadable", "threads_pruned"),
    ("watermark",),
)
FULLTEXT: Final = JobTable("fulltext_state", "full-text job", ("threads_total", "threads_done"))
ROWS: Final = 1
MESSAGES: Final = 2
"""What ``joined`` of ``fleet_state`` has noted: changes of rows, or those of messages as well."""
FLEET: Final = JobTable(
    "fleet_state",
    "push",
    ("threads_total", "threads_done"),
    kept_texts=("fleet", "level", "exclusions", "epoch_key", "place"),
    kept_numbers=("joined", "epoch", "sequence", "watermark", "sweep", "pushed_at_ms"),
)
