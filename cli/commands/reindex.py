"""``threadkeep reindex``."""

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.progress import progress

if TYPE_CHECKING:
    from pathlib import Path

    from state.jobs.progress import SyncProgress


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Build a new index beside the old one, and replace the old one when it is complete."""
    from cli.runtime.jobs import interrupted, report
    from rollout.files.scan import check_home
    from state.repair.reindex import reindex

    began = time.monotonic()
    here = locations(context)
    check_home(here.home)

    async def work() -> "tuple[SyncProgress, Path | None]":
        with progress("reindex") as shown:
            return await reindex(here.home, here.index, report=shown)

    try:
        counts, aside = asyncio.run(work())
    except KeyboardInterrupt:
        return interrupted("The old index is untouched; threadkeep reindex starts over.")
    if aside:
        output.say(f"The damaged index was moved to {aside}.")
    return report("reindex", "New index built", counts, began, as_json=as_json)
