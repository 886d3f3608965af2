"""``threadkeep codex-check``."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import FindingsLimitOption, JsonOption, locations
from cli.terminal import findings, output
from cli.terminal.text import one_line, plural
from state.checks.findings import KEPT_FINDINGS, Finding, Findings

if TYPE_CHECKING:
    from state.codex.check import CodexCheck
    from state.codex.fix import FixPlan
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Make the repairs that are safe in Codex's database.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Restore Codex's database from before the last --fix.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("-y", "--yes", help="With --fix or --undo: do not ask for confirmation."),
    ] = False,
    limit: FindingsLimitOption = KEPT_FINDINGS,
    as_json: JsonOption = False,
) -> int:
    """Compare the files with Codex's own database. Writes nothing without --fix or --undo. The exit
    status is 1 if anything is left to repair."""
    here = locations(context)
    if fix and undo:
        raise typer.BadParameter("--fix and --undo cannot be combined")
    if yes and not (fix or undo):
        raise typer.BadParameter("--yes needs --fix or --undo")
    if (fix or undo) and not yes and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter(
            "this changes Codex's database, and there is no terminal to ask for confirmation"
            "\nadd --yes to confirm"
        )
    if undo:
        return _undo(here, ask=not yes, as_json=as_json)
    if fix:
        return _fix(here, ask=not yes, limit=limit, as_json=as_json)
    return _check(here, limit=limit, as_json=as_json)


def _check(here: Locations, *, limit: int, as_json: bool) -> int:
    from cli.runtime.open_index import read_index
    from state.codex.fix import FixPlan
    from state.codex_db.database import codex_database

    began = time.monotonic()
    database = codex_database(here.home, here.sqlite_home)
    found, plan = Findings(keep=limit), FixPlan()

    checked = read_index(here, lambda index: _compared(index, database, found, plan))
    elapsed = time.monotonic() - began
    if as_json:
        output.data(_document(database, found, checked) | {"seconds": round(elapsed, 3)})
        return findings.status(found)
    findings.report(found, "--limit N shows more")
    output.say(f"{findings.summary(found)} ({elapsed:.2f} s)")
    if checked.state is not None:
        rows = plural(len(checked.state.threads), "row")
        output.say(f"{one_line(str(database))}: {rows}.")
        if plan and checked.state.known:
            output.say("To repair it, end Codex, then run: threadkeep codex-check --fix")
    return findings.status(found)


def _fix(here: Locations, *, ask: bool, limit: int, as_json: bool) -> int:
    """Show what would be repaired, ask, and repair it."""
    from cli.runtime.open_index import with_index
    from state.codex.check import check_codex
    from state.codex.fix import FixPlan, check_schema
    from state.codex.fix import fix as apply_fix
    from state.codex_db.database import codex_database

    database = codex_database(here.home, here.sqlite_home)
    found, left, plan = Findings(keep=limit), Findings(keep=limit), FixPlan()

    async def work(index: "ThreadIndex") -> "tuple[CodexCheck, Path | None, int]":
        checked = await _compared(index, database, found, plan)
        if not plan or checked.state is None:
            return checked, None, 0
        check_schema(checked.state, database)
        if not as_json:
            _print(database, plan)
        if ask and not typer.confirm("Continue?", err=True):
            return checked, None, 0
        backup, inserted = await apply_fix(
            index.home, checked.ours, checked.state, database, plan, here.index.parent
        )
        if not as_json:  # before anything else can be interrupted
            output.say(f"Done. Backup: {one_line(str(backup))}")
            output.say("To undo it: threadkeep codex-check --undo")
        return await check_codex(index, database, left.add), backup, inserted

    checked, backup, inserted = with_index(here, work)
    if backup is None:
        left = found
    if as_json:
        before = str(backup) if backup else None
        done = {"applied": backup is not None, "inserted": inserted, "before": before}
        document = {"version": 1, "plan": _plan_json(plan), **done}
        output.data({**document, "left": _document(database, left, checked)}, changed=True)
    elif backup:
        if inserted < len(plan.insert):
            lacking = plural(len(plan.insert) - inserted, "file")
            output.say(f"{lacking} changed in the meantime and were not inserted: run it again.")
        output.say(f"Checked again: {findings.summary(left)}")
        if not left.clean:
            output.say("threadkeep codex-check shows the details.")
    elif plan:
        output.say("Nothing was changed.")
    elif left.clean:
        output.line("Nothing to repair.")
    else:
        output.line("Nothing that --fix can repair. threadkeep codex-check shows the findings.")
        output.say(findings.summary(left))
    return findings.status(left)


def _undo(here: Locations, *, ask: bool, as_json: bool) -> int:
    from state.codex.backup import restore_latest_copy
    from state.codex_db.database import codex_database

    database = codex_database(here.home, here.sqlite_home)
    if ask:
        output.say(f"This restores {one_line(str(database))} from before the last --fix.")
        if not typer.confirm("Continue?", err=True):
            output.say("Nothing was changed.")
            return errors.OK
    restored = restore_latest_copy(here.index.parent, database)
    if as_json:
        output.data({"version": 1, "restored": str(restored)}, changed=True)
    else:
        output.say(f"Codex's database was restored from {one_line(restored.name)}.")
    return errors.OK


async def _compared(
    index: "ThreadIndex", database: Path, found: Findings, plan: "FixPlan"
) -> "CodexCheck":
    from cli.runtime.open_index import catch_up_and_report
    from state.codex.check import check_codex

    def add(finding: Finding) -> None:
        found.add(finding)
        plan.add(finding)

    await catch_up_and_report(index)
    return await check_codex(index, database, add)


def _document(database: Path, found: Findings, checked: "CodexCheck") -> dict[str, Any]:
    state = checked.state
    return findings.document("codex-check", found) | {
        "database": str(database),
        "rows": len(state.threads) if state else None,
        "migration": max(state.migrations, default=None) if state else None,
        "knownSchema": state.known if state else None,
    }


def _plan_json(plan: "FixPlan") -> dict[str, Any]:
    return {
        "insert": len(plan.insert),
        "correctPath": len(plan.paths),
        "correctArchived": len(plan.archived),
        "correctName": len(plan.names),
        "correctPin": len(plan.pins),
        "releaseBackfill": plan.release,
    }


def _print(database: Path, plan: "FixPlan") -> None:
    output.line(f"In {one_line(str(database))}:")
    for count, what in (
        (len(plan.insert), "insert {} that Codex lacks"),
        (len(plan.paths), "correct the path of {}"),
        (len(plan.archived), "fix the archived flag of {}"),
        (len(plan.names), "correct the name of {}"),
        (len(plan.pins), "correct the pin of {}"),
    ):
        if count:
            output.line(f"- {what.format(plural(count, 'row'))}")
    if plan.release:
        output.line("- set its backfill back to pending, so that Codex continues it at once")
