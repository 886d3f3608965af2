"""``backfill``, ``sync`` and ``reindex``: fill the index, keep it in step, begin anew."""

import asyncio
import time
from pathlib import Path

from cli import errors
from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up_fulltext, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import amount, plural
from rollout.files.scan import check_home
from state.jobs.progress import SyncProgress
from state.repair.reindex import reindex
from state.thread_index import ThreadIndex


def run_backfill(
    locations: Locations, *, batch_files: int, lease_s: float, force: bool, as_json: bool
) -> int:
    """Run the backfill job, or catch up where it is complete. Gives the exit status."""
    began = time.monotonic()

    async def work(index: ThreadIndex) -> tuple[SyncProgress, bool]:
        job = await index.backfill_status()
        complete = job.status == "complete" and not force
        with progress("backfill") as report:
            if complete:
                counts = await index.sync(report)
            else:
                counts = await index.backfill(
                    report, lease_s=lease_s, batch_files=batch_files, force=force
                )
        if note := await catch_up_fulltext(index, afresh=force):
            output.say(note)
        return counts, complete

    try:
        counts, was_complete = with_index(locations, work)
    except KeyboardInterrupt:
        output.say("Interrupted. What was read is kept; threadkeep backfill goes on from there.")
        return errors.INTERRUPTED
    words = "The backfill was complete; caught up" if was_complete else "Backfill complete"
    return _end("backfill", words, counts, began, as_json)


def run_sync(locations: Locations, *, as_json: bool) -> int:
    """Catch up with the files. Gives the exit status."""
    began = time.monotonic()

    async def work(index: ThreadIndex) -> SyncProgress:
        with progress("sync") as report:
            # An index that was never whole is filled; one that another process fills is not
            # waited for.
            return await index.catch_up(report) or await index.sync(report)

    try:
        counts = with_index(locations, work)
    except KeyboardInterrupt:
        output.say("Interrupted. What was read is kept; threadkeep sync goes on from there.")
        return errors.INTERRUPTED
    return _end("sync", "In step", counts, began, as_json)


def run_reindex(locations: Locations, *, as_json: bool) -> int:
    """Build the index anew beside the old one and swap it in. Gives the exit status."""
    began = time.monotonic()

    check_home(locations.home)

    async def work() -> tuple[SyncProgress, Path | None]:
        with progress("reindex") as report:
            return await reindex(locations.home, locations.index, report=report)

    try:
        counts, aside = asyncio.run(work())
    except KeyboardInterrupt:
        output.say("Interrupted. The old index is untouched; threadkeep reindex begins again.")
        return errors.INTERRUPTED
    if aside:
        output.say(f"The damaged index was put aside as {aside}.")
    return _end("reindex", "Index built anew", counts, began, as_json)


def _end(job: str, words: str, counts: SyncProgress, began: float, as_json: bool) -> int:
    elapsed = time.monotonic() - began
    if as_json:
        output.data(
            {
                "version": 1,
                "job": job,
                "files": counts.files,
                "read": counts.done,
                "unreadable": counts.unreadable,
                "dropped": counts.dropped,
                "bytesRead": counts.bytes_done,
                "seconds": round(elapsed, 3),
            }
        )
    else:
        output.say(
            f"{words}: {plural(counts.files, 'file')}, {counts.done:,} read"
            f" ({amount(counts.bytes_done)}B), {counts.unreadable:,} unreadable,"
            f" {counts.dropped:,} dropped, in {elapsed:.2f} s."
        )
        if counts.unreadable:
            output.say("threadkeep status tells which files could not be read, and why.")
    return errors.SOME_UNREADABLE if counts.unreadable else errors.OK
