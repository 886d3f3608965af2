"""``threadkeep fleet prune``: retention, for administrators."""

import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.options import DryRunOption, JsonOption, YesOption
from cli.arguments.values import age_of
from cli.fleet.options import UrlArgument
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import amount, plural

if TYPE_CHECKING:
    from state.fleet.server.operations.prune import Pruned, Rule

_LEVELS = ("text", "raw")


def prune(
    older_than: Annotated[
        str,
        typer.Option(
            metavar="AGE",
            help="What has not changed for so long: 30d, 6mo, 1y.",
            show_default=False,
        ),
    ],
    url: UrlArgument = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Keep the threads, and remove only their messages and rollouts (text), or only"
            " their rollouts (raw).",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of this tenant.", show_default=False)
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of this machine.", show_default=False)
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> int:
    """Remove old threads from a fleet, on PostgreSQL alone: no machine loses anything. What changes
    again is pushed again. Months in which all is old go as a whole, which takes no time."""
    from cli.arguments.filters import Selection
    from cli.edit.batch import needs_confirmation
    from cli.fleet.config import address
    from state.fleet.server.operations.prune import Rule
    from state.fleet.server.operations.prune import prune as prune_fleet
    from state.jobs.progress import JobProgress

    if level is not None and level not in _LEVELS:
        raise typer.BadParameter(f"--level: {level!r} is none\ngive text or raw")
    age = datetime.timedelta(seconds=age_of("--older-than", older_than))
    try:
        before = datetime.datetime.now(datetime.UTC) - age
    except OverflowError:
        before = datetime.datetime.min.replace(year=1970, tzinfo=datetime.UTC)
    asks = needs_confirmation(Selection(dry_run=dry_run, yes=yes, as_json=as_json))
    fleet, rule = address(url), Rule(before, level, tenant, machine)
    if asks or dry_run:
        found = prune_fleet(fleet, rule, lambda _: None, dry_run=True)
        if dry_run:
            return _report(found, rule, as_json=as_json, dry_run=True)
        if _is_nothing(found):
            output.say("There is nothing to remove.")
            return errors.OK
        if not typer.confirm(f"Remove from the fleet: {_sum(found, rule)}?", err=True):
            output.say("Nothing was removed.")
            return errors.OK
    with progress("removing", "threads") as bar:
        done = prune_fleet(fleet, rule, lambda count: bar(JobProgress(done=count)))
    return _report(done, rule, as_json=as_json, dry_run=False)


def _is_nothing(found: "Pruned") -> bool:
    return not (found.threads or found.tombstones or found.pieces or found.partitions)


def _sum(found: "Pruned", rule: "Rule") -> str:
    """What it is, in words."""
    threads = plural(found.threads, "thread")
    parts = [
        *([threads] if rule.level is None else []),
        *([plural(found.documents, "document")] if rule.level != "raw" else []),
        f"{plural(found.rollouts, 'rollout')} ({amount(found.rollout_bytes)}B)",
        *([plural(found.tombstones, "tombstone")] if found.tombstones else []),
    ]
    listed = ", ".join(parts)
    if rule.level is not None:
        listed += f" of {threads}, which stay in lists"
    whole = len(found.partitions)
    return f"{listed}; whole partitions: {whole:,}" if whole else listed


def _report(found: "Pruned", rule: "Rule", *, as_json: bool, dry_run: bool) -> int:
    if as_json:
        output.data(_document(found, rule, dry_run=dry_run), changed=not dry_run)
        return errors.OK
    if _is_nothing(found):
        output.say("There is nothing to remove.")
    elif dry_run:
        output.say(f"Would be removed from the fleet: {_sum(found, rule)}. Nothing was changed.")
    else:
        output.say(f"Removed from the fleet: {_sum(found, rule)}.")
    for name in found.busy:
        output.say(f"{name} was in use, so rows were removed one by one, which leaves free space.")
    return errors.OK


def _document(found: "Pruned", rule: "Rule", *, dry_run: bool) -> dict[str, Any]:
    return {
        "version": 1,
        "dryRun": dry_run,
        "before": f"{rule.before:%Y-%m-%dT%H:%M:%SZ}",
        "level": rule.level,
        "tenant": rule.tenant,
        "machine": rule.machine,
        "threads": found.threads,
        "documents": found.documents,
        "rollouts": found.rollouts,
        "rolloutBytes": found.rollout_bytes,
        "unusedPieces": found.pieces,
        "tombstones": found.tombstones,
        "partitions": found.partitions,
        "busyPartitions": found.busy,
        "createdPartitions": found.created,
    }
