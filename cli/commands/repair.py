"""``threadkeep repair``."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, locations
from cli.terminal import findings, output
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural

if TYPE_CHECKING:
    from pathlib import Path

    from state.checks.findings import Finding
    from state.repair.plan import Plan


def command(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Carry out the plan.")] = False,
    plan: Annotated[
        str | None,
        typer.Option(metavar="ID", help="With --apply: refuse unless this is still the plan."),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Restore the index from before the last repair.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Plan by the findings of verify --deep.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Plan repairs of what verify finds; --apply makes them. Rollouts never change. The exit status
    is 1 if anything is left to repair."""
    here = locations(context)
    if undo and (apply or deep or plan):
        raise typer.BadParameter("--undo cannot be combined with other options")
    if plan and not apply:
        raise typer.BadParameter("--plan needs --apply")
    if undo:
        return _undo(here, as_json=as_json)
    if apply:
        return _apply(here, deep=deep, plan_id=plan, as_json=as_json)
    return _show(here, deep=deep, as_json=as_json)


def _show(here: Locations, *, deep: bool, as_json: bool) -> int:
    import asyncio

    from state.repair.repair import make_plan

    async def work() -> "Plan":
        with progress("verify") as shown:
            return await make_plan(here.home, here.index, deep=deep, report=shown)

    plan = asyncio.run(work())
    if as_json:
        output.data({"version": 1, "plan": _document(plan), "applied": False})
    else:
        _print(plan)
        if plan:
            more = " --deep" if deep else ""
            output.say(f"Nothing was changed. To apply the plan: threadkeep repair{more} --apply")
            output.say(f"To apply this plan and no other, add --plan {plan.id}")
    return _status(plan)


def _apply(here: Locations, *, deep: bool, plan_id: str | None, as_json: bool) -> int:
    import asyncio

    from rollout.files.scan import check_home
    from state.checks.findings import Findings
    from state.repair.backup import backups
    from state.repair.plan import Plan
    from state.repair.repair import repair
    from state.repair.verify import Depth, verify

    check_home(here.home)
    began = time.monotonic()
    left, to_do = Findings(), Plan()

    def note(finding: "Finding") -> None:
        left.add(finding)
        to_do.add(finding)

    async def work() -> "tuple[Plan, Path | None]":
        with progress("repair") as shown:
            home, index, codex = here[:3]
            done = await repair(
                home, index, deep=deep, plan_id=plan_id, report=shown, sqlite_home=codex
            )
            depth = Depth() if deep else None
            await verify(here.home, here.index, note, depth=depth, report=shown)
            return done

    try:
        plan, kept = asyncio.run(work())
    except KeyboardInterrupt:
        output.say("Interrupted. What was done is kept; threadkeep repair --apply continues.")
        return errors.INTERRUPTED
    if as_json:
        document = {"version": 1, "plan": _document(plan), "applied": bool(plan)}
        before = str(kept) if kept else None
        left_document = findings.document("verify", left)
        output.data({**document, "before": before, "left": left_document}, changed=True)
        return _status(to_do)
    _print(plan)
    if kept:
        output.say(f"Backup of the index: {kept}")
    if plan:
        output.say(f"Done in {time.monotonic() - began:.2f} s.")
        if kept in backups(here.index):
            output.say("To undo the repair: threadkeep repair --undo")
    if left.clean:
        output.say("Verified: no problems found.")
    else:
        output.say(f"Not repaired: {findings.summary(left)}")
        output.say("threadkeep verify shows the details.")
    return _status(to_do)


def _status(plan: "Plan") -> int:
    """The exit status: whether there is anything to do for a repair. Faults in the files stay."""
    return errors.FINDINGS if plan else errors.OK


def _undo(here: Locations, *, as_json: bool) -> int:
    import asyncio

    from state.repair.backup import restore_backup

    restored = asyncio.run(restore_backup(here.index))
    if as_json:
        output.data({"version": 1, "restored": str(restored)}, changed=True)
    else:
        output.say(f"The index was restored from {restored.name}.")
    return errors.OK


def _document(plan: "Plan") -> dict[str, Any]:
    return {
        "id": plan.id,
        "steps": plan.steps,
        "rebuild": plan.rebuild,
        "threads": sorted(plan.threads),
        "paths": sorted(plan.paths),
        "stays": plan.stays,
    }


def _print(plan: "Plan") -> None:
    if not plan:
        output.line("Nothing to repair in the index.")
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
        remain = "remains" if plan.stays == 1 else "remain"
        output.line(
            f"{count} in the files themselves {remain}, as rollouts are never changed:"
            " threadkeep verify shows more."
        )
