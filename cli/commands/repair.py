"""``threadkeep repair``: show what would mend the index, do it, or take it back."""

import asyncio
import time
from pathlib import Path
from typing import Any

from cli import errors
from cli.arguments.locations import Locations
from cli.terminal import findings as report
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural
from rollout.files.scan import check_home
from state.checks.findings import Findings
from state.repair.backup import backups, restore_backup
from state.repair.plan import Plan
from state.repair.repair import make_plan, repair
from state.repair.verify import Depth, verify


def show(locations: Locations, *, deep: bool, as_json: bool) -> int:
    """Show the plan. Gives the exit status: 1 if there is something to mend."""

    async def work() -> Plan:
        with progress("verify") as shown:
            return await make_plan(locations.home, locations.index, deep=deep, report=shown)

    plan = asyncio.run(work())
    if as_json:
        output.data({"version": 1, "plan": _document(plan), "applied": False})
    else:
        _tell(plan)
        if plan:
            more = " --deep" if deep else ""
            output.say(f"Nothing was changed. Do it: threadkeep repair{more} --apply")
            output.say(f"The same, and only this plan: add --plan {plan.id}")
    return errors.FINDINGS if plan else errors.OK


def apply(locations: Locations, *, deep: bool, plan_id: str | None, as_json: bool) -> int:
    """Mend the index and verify it again. Gives the exit status: 1 if findings stay."""
    check_home(locations.home)
    began = time.monotonic()
    left = Findings()

    async def work() -> tuple[Plan, Path | None]:
        with progress("repair") as shown:
            done = await repair(
                locations.home, locations.index, deep=deep, plan_id=plan_id, report=shown
            )
            depth = Depth() if deep else None
            await verify(locations.home, locations.index, left.add, depth=depth, report=shown)
            return done

    try:
        plan, kept = asyncio.run(work())
    except KeyboardInterrupt:
        output.say("Interrupted. What was done is kept; threadkeep repair --apply goes on.")
        return errors.INTERRUPTED
    if as_json:
        document: dict[str, Any] = {"version": 1, "plan": _document(plan), "applied": bool(plan)}
        document["before"] = str(kept) if kept else None
        document["left"] = report.document("verify", left)
        output.data(document)
        return report.status(left)
    _tell(plan)
    if kept:
        output.say(f"The index as it was before: {kept}")
    if plan:
        output.say(f"Done in {time.monotonic() - began:.2f} s.")
        if kept in backups(locations.index):
            output.say("Take it back: threadkeep repair --undo")
    if left.clean:
        output.say("Verified: clean.")
    else:
        output.say(f"What no command can mend: {report.summary(left)}")
        output.say("threadkeep verify tells more.")
    return report.status(left)


def take_back(locations: Locations, *, as_json: bool) -> int:
    """Put the newest backup back. Gives the exit status."""
    restored = asyncio.run(restore_backup(locations.index))
    if as_json:
        output.data({"version": 1, "restored": str(restored)})
    else:
        output.say(f"The index is again what {restored.name} was.")
    return errors.OK


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "steps": plan.steps,
        "rebuild": plan.rebuild,
        "threads": sorted(plan.threads),
        "paths": sorted(plan.paths),
        "stays": plan.stays,
    }


def _tell(plan: Plan) -> None:
    if not plan:
        output.line("Nothing to mend.")
    else:
        output.line(f"plan {plan.id}")
    for number, step in enumerate(plan.steps, 1):
        output.line(f"{number}. {one_line(step)}")
    for thread_id in sorted(plan.threads)[:20]:
        output.line(f"   {thread_id}")
    if len(plan.threads) > 20:
        output.line(f"   … and {len(plan.threads) - 20:,} more")
    if plan.stays:
        count = plural(plan.stays, "finding")
        output.line(f"{count} in the files themselves stay: nothing changes a rollout.")
