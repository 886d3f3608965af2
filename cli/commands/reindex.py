"""``threadkeep reindex``."""

from typing import TYPE_CHECKING

import typer

from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.progress import progress

if TYPE_CHECKING:
    from state.jobs.progress import SyncProgress


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Build a new index beside the old one, and replace the old one when it is complete."""
    import asyncio

    from cli.runtime import jobs
    from rollout.files.scan import check_home
    from state.repair.reindex import reindex

    here = locations(context)
    check_home(here.home)

    async def work() -> "tuple[SyncProgress, str]":
        with progress("reindex") as shown:
            counts, aside = await reindex(here.home, here.index, report=shown)
        if aside:
            output.say(f"The damaged index was moved to {aside}.")
        return counts, "New index built"

    kept = "The old index is untouched; threadkeep reindex starts over."
    return jobs.run(
        "reindex", here.home, lambda: asyncio.run(work()), interrupted=kept, as_json=as_json
    )
