"""``threadkeep verify``."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.options import FindingsLimitOption, JsonOption, locations
from cli.terminal import findings, output
from cli.terminal.progress import progress
from state.checks.findings import KEPT_FINDINGS, Findings

if TYPE_CHECKING:
    from state.repair.verify import Depth


def command(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every rollout, and compare it with its row.")
    ] = False,
    sample: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Read only a random share, such as 5%.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="MARK", help="Continue an interrupted deep check.")
    ] = None,
    limit: FindingsLimitOption = KEPT_FINDINGS,
    as_json: JsonOption = False,
) -> int:
    """Find problems in the index and the files. Writes nothing. The exit status is 1 if there are
    any."""
    import asyncio

    from state.repair.verify import Depth, verify

    depth = None
    if deep or sample is not None or after is not None:
        depth = Depth(_share(sample) if sample is not None else 1.0, after)
    here = locations(context)
    began = time.monotonic()
    found = Findings(keep=limit)

    async def work() -> None:
        with progress("verify") as shown:
            await verify(here.home, here.index, found.add, depth=depth, report=shown)

    interrupted = False
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        interrupted = True
    elapsed = time.monotonic() - began
    if as_json:
        mark = depth.mark if depth else None
        how = {"deep": depth is not None, "complete": not interrupted, "mark": mark}
        output.data({**findings.document("verify", found), **how, "seconds": round(elapsed, 3)})
    else:
        findings.report(found, "--limit N shows more")
        output.say(f"{findings.summary(found)} ({elapsed:.2f} s)")
        if not interrupted and any(each.mend or each.kind.mend for each in found.kept):
            output.say("threadkeep repair shows what it would change.")
    if interrupted:
        output.say(f"Interrupted. {_how_to_continue(depth)}")
        return errors.INTERRUPTED
    return findings.status(found)


def _how_to_continue(depth: "Depth | None") -> str:
    if depth is None or depth.mark is None or depth.share < 1:
        return "Nothing was changed. Run it again."
    return f"Continue with: threadkeep verify --deep --after '{depth.mark}'"


def _share(text: str) -> float:
    """The share that ``5%`` or ``0.05`` means, more than 0 and at most 1."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{text!r} is no share: give one like 5% or 0.05")
    return value
