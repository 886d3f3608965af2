"""``threadkeep pull``."""

from typing import TYPE_CHECKING, Any

import typer

from cli import errors
from cli.arguments.fleet import FleetOptions, takes_fleet_alone
from cli.arguments.options import DryRunOption, JsonOption, ThreadArgument
from cli.terminal import output
from cli.terminal.text import amount, one_line, plural

if TYPE_CHECKING:
    from cli.runtime.cached import FleetThread
    from state.fleet.reading.pull import Pulled
    from state.thread_index import ThreadIndex


@takes_fleet_alone
def command(
    context: typer.Context,
    thread: ThreadArgument,
    *,
    fleet: FleetOptions,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> int:
    """Bring a thread from another machine into this home, to go on with it in Codex. Its machine
    has to push its rollouts: threadkeep push --level raw."""
    from cli.runtime.cached import bring, say_passed_over
    from cli.runtime.open_index import catch_up_and_report, with_index
    from state.fleet.reading.pull import pull

    there = fleet._replace(fleet=fleet.fleet or "").locations(context)
    found = bring(there, thread)
    say_passed_over(found.row)

    async def work(index: "ThreadIndex") -> "Pulled":
        await catch_up_and_report(index)
        return await pull(index, found.cached, dry_run=dry_run)

    pulled = with_index(there._replace(fleet=None), work)
    _report(found, pulled, dry_run=dry_run, as_json=as_json)
    return errors.OK


def _report(found: "FleetThread", pulled: "Pulled", *, dry_run: bool, as_json: bool) -> None:
    from cli.runtime.resuming import can_be_entered, codex_words, shell_command

    row = found.row
    words, folder = codex_words(row["id"]), row["cwd"]
    shell, enters = shell_command(words, folder), can_be_entered(folder)
    if as_json:
        output.data(
            {
                "version": 1,
                "id": row["id"],
                "machine": row["machine"],
                "user": row["user"],
                "status": _status(pulled, dry_run=dry_run),
                "files": [
                    *({"path": f.target, "sizeBytes": f.size} for f in pulled.files),
                    *(
                        {"path": f.target, "sizeBytes": f.size, "addedBytes": f.added}
                        for f in pulled.grown
                    ),
                ],
                "cwd": folder or None,
                "cwdExists": enters,
                "command": words,
                "shell": shell,
            }
        )
        return
    output.say(_sentence(row, pulled, dry_run=dry_run))
    for target in [each.target for each in pulled.grown] + [each.target for each in pulled.files]:
        output.say(f"  {one_line(target)}")
    if dry_run and (pulled.files or pulled.grown):
        return
    output.line(shell)
    if folder and not enters:
        output.say(
            f"{one_line(folder)} cannot be entered here, so Codex asks which folder to use."
            " If the project is elsewhere, record that with threadkeep relink OLD NEW."
        )


def _status(pulled: "Pulled", *, dry_run: bool) -> str:
    if pulled.files or pulled.grown:
        return "planned" if dry_run else "pulled"
    return "ahead" if pulled.ahead else "present"


def _sentence(row: dict[str, Any], pulled: "Pulled", *, dry_run: bool) -> str:
    whose = f"machine {row['machine']}" + (f" ({row['user']})" if row["user"] else "")
    whose = one_line(whose)
    if pulled.grown:
        size = amount(sum(grown.added for grown in pulled.grown))
        more = f" and {plural(len(pulled.files), 'new file')}" * bool(pulled.files)
        done = "Would bring" if dry_run else "Brought"
        return f"{done} {size}B of new lines{more} from {whose}:"
    if pulled.files:
        what = plural(len(pulled.files), "file")
        size = amount(sum(file.size for file in pulled.files))
        done = "Would pull" if dry_run else "Pulled"
        return f"{done} {what}, {size}B, from {whose}:"
    if pulled.ahead:
        return f"The thread is here already, and has gone on since {whose} pushed it."
    return f"The thread is here already, the same as on {whose}."
