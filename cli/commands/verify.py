"""``threadkeep verify``."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.options import FindingsLimitOption, JsonOption, locations
from cli.terminal import findings, output
from cli.terminal.progress import progress
from rollout.files.layout import ROOTS
from state.checks.findings import KEPT_FINDINGS, NOTE, Finding, Findings

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
    any, also if no command repairs them."""
    import asyncio

    from state.repair.verify import Depth, verify

    depth = None
    if deep or sample is not None or after is not None:
        share = _share(sample) if sample is not None else 1.0
        depth = Depth(share, _mark(after) if after is not None else None)
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
        if any(_stays(each) for each in found.kept):
            output.say(
                "No command changes a rollout: threadkeep explain THREAD (an id or a path) says"
                " what a fault in a file means."
            )
    if interrupted:
        output.say(f"Interrupted. {_how_to_continue(depth)}")
        return errors.INTERRUPTED
    return findings.status(found)


def _stays(finding: Finding) -> bool:
    """Whether no command of ours mends what was found."""
    return not (finding.mend or finding.kind.mend or finding.kind.severity == NOTE)


def _how_to_continue(depth: "Depth | None") -> str:
    if depth is None or depth.mark is None or depth.share < 1:
        return "Nothing was changed. Run it again."
    return f"Continue with: threadkeep verify --deep --after '{depth.mark}'"


def _mark(text: str) -> str:
    """A mark that an interrupted check gave: the name of a file, and its path."""
    name = text.rsplit("/", 1)[-1]
    path = text[len(name) + 1 :]
    if text != f"{name} {path}" or not path.startswith(tuple(f"{root}/" for root in ROOTS)):
        raise typer.BadParameter(
            f"{text!r} is not a mark\ngive the one that the interrupted check printed"
        )
    return text


def _share(text: str) -> float:
    """The share that ``5%`` or ``0.05`` means, more than 0 and at most 1."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{text!r} is not a share\ngive one such as 5% or 0.05")
    return value
