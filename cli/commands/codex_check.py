"""``threadkeep codex-check``: compare Codex's own database with the files; mend it, or go back."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up_and_report, read_index, with_index
from cli.terminal import findings as report
from cli.terminal import output
from cli.terminal.text import one_line, plural
from state.checks.findings import Finding, Findings
from state.codex.backup import restore_latest_copy
from state.codex.check import CodexCheck, check_codex
from state.codex.fix import FixPlan, check_schema
from state.codex.fix import fix as carry_out
from state.codex_db.database import codex_database
from state.thread_index import ThreadIndex


def check(locations: Locations, *, limit: int, as_json: bool) -> int:
    """Compare. Gives the exit status: 1 if there is something to mend."""
    began = time.monotonic()
    database = codex_database(locations.home, locations.sqlite_home)
    found, mends = Findings(keep=limit), FixPlan()

    async def work(index: ThreadIndex) -> CodexCheck:
        return await _compared(index, database, found, mends)

    checked = read_index(locations, work)
    elapsed = time.monotonic() - began
    if as_json:
        output.data(_document(database, found, checked) | {"seconds": round(elapsed, 3)})
        return report.status(found)
    report.tell(found, "--limit N shows more")
    output.say(f"{report.summary(found)} ({elapsed:.2f} s)")
    if checked.state is not None:
        rows = plural(len(checked.state.threads), "row")
        output.say(f"{one_line(str(database))}: {rows}.")
        if mends and checked.state.known:
            output.say("When no Codex runs: threadkeep codex-check --fix")
    return report.status(found)


def fix(locations: Locations, *, ask: bool, limit: int, as_json: bool) -> int:
    """Show what would be mended, ask, and mend it. Gives the exit status: 1 if findings stay."""
    database = codex_database(locations.home, locations.sqlite_home)
    found, left, mends = Findings(keep=limit), Findings(keep=limit), FixPlan()

    async def work(index: ThreadIndex) -> tuple[CodexCheck, Path | None, int]:
        checked = await _compared(index, database, found, mends)
        if not mends or checked.state is None:
            return checked, None, 0
        check_schema(checked.state, database)
        if not as_json:
            _tell(database, mends)
        if ask and not typer.confirm("Do that?", err=True):
            return checked, None, 0
        backup, inserted = await carry_out(
            index.home, checked.ours, checked.state, database, mends, locations.index.parent
        )
        if not as_json:  # before anything else can be interrupted
            output.say(f"Done. As it was before, it lies at {one_line(str(backup))}")
            output.say("Take it back: threadkeep codex-check --undo")
        return await check_codex(index, database, left.add), backup, inserted

    checked, backup, inserted = with_index(locations, work)
    if backup is None:
        left = found
    if as_json:
        document: dict[str, Any] = {"version": 1, "plan": _plan(mends)}
        document["applied"] = backup is not None
        document["inserted"] = inserted
        document["before"] = str(backup) if backup else None
        document["left"] = _document(database, left, checked)
        output.data(document)
    elif backup:
        if inserted < len(mends.insert):
            lacking = plural(len(mends.insert) - inserted, "file")
            output.say(f"{lacking} changed meanwhile and gave no row: run it again.")
        output.say(f"What is left: {report.summary(left)}")
        if not left.clean:
            output.say("threadkeep codex-check tells more.")
    elif mends:
        output.say("Nothing was changed.")
    elif left.clean:
        output.line("Nothing to mend.")
    else:
        output.line("Nothing that --fix mends. threadkeep codex-check tells what there is.")
        output.say(report.summary(left))
    return report.status(left)


def take_back(locations: Locations, *, ask: bool, as_json: bool) -> int:
    """Put the newest backup back. Gives the exit status."""
    database = codex_database(locations.home, locations.sqlite_home)
    if ask:
        output.say(f"{one_line(str(database))} becomes what it was before the last --fix.")
        if not typer.confirm("Do that?", err=True):
            output.say("Nothing was changed.")
            return errors.OK
    restored = restore_latest_copy(locations.index.parent, database)
    if as_json:
        output.data({"version": 1, "restored": str(restored)})
    else:
        output.say(f"Codex's database is again what {one_line(restored.name)} was.")
    return errors.OK


async def _compared(
    index: ThreadIndex, database: Path, found: Findings, mends: FixPlan
) -> CodexCheck:
    await catch_up_and_report(index)
    return await check_codex(index, database, _both(found.add, mends.add))


def _both(
    first: Callable[[Finding], None], second: Callable[[Finding], None]
) -> Callable[[Finding], None]:
    def add(finding: Finding) -> None:
        first(finding)
        second(finding)

    return add


def _document(database: Path, found: Findings, checked: CodexCheck) -> dict[str, Any]:
    state = checked.state
    return report.document("codex-check", found) | {
        "database": str(database),
        "rows": len(state.threads) if state else None,
        "migration": max(state.migrations, default=None) if state else None,
        "knownSchema": state.known if state else None,
    }


def _plan(mends: FixPlan) -> dict[str, Any]:
    return {
        "insert": len(mends.insert),
        "correctPath": len(mends.paths),
        "correctArchived": len(mends.archived),
        "releaseBackfill": mends.release,
    }


def _tell(database: Path, mends: FixPlan) -> None:
    output.line(f"In {one_line(str(database))}:")
    for count, what in (
        (len(mends.insert), "insert {} that Codex lacks"),
        (len(mends.paths), "correct the path of {}"),
        (len(mends.archived), "correct whether {} is archived"),
    ):
        if count:
            output.line(f"- {what.format(plural(count, 'row'))}")
    if mends.release:
        output.line("- set its backfill back to pending, so that Codex goes on with it at once")
