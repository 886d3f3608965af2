"""``threadkeep sync``."""

from typing import TYPE_CHECKING

import typer

from cli.arguments.options import JsonOption, locations
from cli.terminal.progress import progress

if TYPE_CHECKING:
    from state.jobs.progress import SyncProgress
    from state.thread_index import ThreadIndex


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Catch up with files that were added, changed, moved or removed."""
    from cli.runtime import jobs
    from cli.runtime.open_index import with_index
    from state.clock import now_ms
    from state.errors import LeaseHeld

    async def work(index: "ThreadIndex") -> "tuple[SyncProgress, str]":
        with progress("sync") as shown:
            # An index that was never complete is filled, unless another process is filling it.
            counts = await index.catch_up(shown)
            if counts is None:
                job = await index.backfill_status()
                if job.is_being_worked_on(now_ms()):
                    raise LeaseHeld(str(job.owner), job.lease_expires_at_ms)
                counts = await index.sync(shown)
            return counts, "Up to date"

    kept = "What has been read is kept; threadkeep sync continues from there."
    here = locations(context)
    return jobs.run(
        "sync", here.home, lambda: with_index(here, work), interrupted=kept, as_json=as_json
    )
