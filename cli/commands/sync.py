"""``threadkeep sync``."""

import time
from typing import TYPE_CHECKING

import typer

from cli.arguments.options import JsonOption, locations
from cli.terminal.progress import progress

if TYPE_CHECKING:
    from state.jobs.progress import SyncProgress
    from state.thread_index import ThreadIndex


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Catch up with files that were added, changed, moved or removed."""
    from cli.runtime.jobs import interrupted, report
    from cli.runtime.open_index import with_index

    began = time.monotonic()

    async def work(index: "ThreadIndex") -> "SyncProgress":
        with progress("sync") as shown:
            # An index that was never complete is filled. One that another process is filling is
            # not waited for.
            return await index.catch_up(shown) or await index.sync(shown)

    try:
        counts = with_index(locations(context), work)
    except KeyboardInterrupt:
        return interrupted("What was read is kept; threadkeep sync continues from there.")
    return report("sync", "Up to date", counts, began, as_json=as_json)
