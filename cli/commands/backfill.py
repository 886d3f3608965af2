"""``threadkeep backfill``."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.progress import progress
from state.jobs.progress import DEFAULT_LEASE_S

if TYPE_CHECKING:
    from state.jobs.progress import SyncProgress
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, max=200, help="Files in one transaction.")
    ] = 200,
    lease_seconds: Annotated[
        float,
        typer.Option(
            metavar="N",
            min=1,
            max=1_000_000,
            help="Take over from a worker that has been silent for N seconds.",
        ),
    ] = DEFAULT_LEASE_S,
    force: Annotated[bool, typer.Option("--force", help="Read every file again.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Fill the index from all rollout files. Ctrl-C is safe: the next run continues."""
    from cli.runtime import jobs
    from cli.runtime.open_index import catch_up_fulltext, with_index

    async def work(index: "ThreadIndex") -> "tuple[SyncProgress, str]":
        from state.errors import LeaseHeld, LeaseLost
        from state.fulltext.indexer import MESSAGES, forget_fulltext

        index.beside = MESSAGES
        if force:
            with suppress(LeaseHeld, LeaseLost):  # another worker is reading them
                await forget_fulltext(index)
        job = await index.backfill_status()
        complete = job.status == "complete" and not force
        with progress("backfill") as shown:
            if complete:
                counts = await index.sync(shown)
            else:
                counts = await index.backfill(
                    shown, lease_s=lease_seconds, batch_files=batch_size, force=force
                )
        if note := await catch_up_fulltext(index):
            output.say(note)
        done = "The backfill was complete already; caught up" if complete else "Backfill complete"
        return counts, done

    kept = "What has been read is kept; threadkeep backfill continues from there."
    here = locations(context)
    return jobs.run(
        "backfill", here.home, lambda: with_index(here, work), interrupted=kept, as_json=as_json
    )
