"""``threadkeep verify``: find what is wrong with the index and the files. Writes nothing."""

import asyncio
import time

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.terminal import findings as report
from cli.terminal import output
from cli.terminal.progress import progress
from state.checks.findings import Findings
from state.repair.verify import Depth, verify


def share_of(text: str) -> float:
    """The share that ``5%`` or ``0.05`` means, more than 0 and at most 1."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{text!r} is no share: give one like 5% or 0.05")
    return value


def run(locations: Locations, depth: Depth | None, *, limit: int, as_json: bool) -> int:
    """Verify the index. Gives the exit status."""
    began = time.monotonic()
    found = Findings(keep=limit)

    async def work() -> None:
        with progress("verify") as shown:
            await verify(locations.home, locations.index, found.add, depth=depth, report=shown)

    interrupted = False
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        interrupted = True
    elapsed = time.monotonic() - began
    if as_json:
        document = report.document("verify", found)
        document["deep"] = depth is not None
        document["complete"] = not interrupted
        document["mark"] = depth.mark if depth else None
        document["seconds"] = round(elapsed, 3)
        output.data(document)
    else:
        report.tell(found, "--limit N shows more")
        output.say(f"{report.summary(found)} ({elapsed:.2f} s)")
        if not interrupted and any(each.mend or each.kind.mend for each in found.kept):
            output.say("threadkeep repair shows what it would mend.")
    if interrupted:
        output.say(f"Interrupted. {_how_to_go_on(depth)}")
        return errors.INTERRUPTED
    return report.status(found)


def _how_to_go_on(depth: Depth | None) -> str:
    if depth is None or depth.mark is None or depth.share < 1:
        return "Nothing was changed; run it again."
    return f"Go on with: threadkeep verify --deep --after '{depth.mark}'"
