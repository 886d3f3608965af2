"""``threadkeep db``: the index file itself. These commands need no home."""

import typer

from cli import errors
from cli.arguments.command import Command, Group
from cli.arguments.options import JsonOption, locations
from cli.terminal import findings, output

command = typer.Typer(
    name="db",
    cls=Group,
    rich_markup_mode=None,
    add_completion=False,
    help="Locate, check or compact the index file.",
)


@command.command(cls=Command)
def path(context: typer.Context, as_json: JsonOption = False) -> int:
    """Print where the index is, whether it exists or not."""
    index = str(locations(context).index)
    if as_json:
        output.data({"version": 1, "index": index})
    else:
        output.line(index)
    return errors.OK


@command.command(cls=Command)
def check(context: typer.Context, as_json: JsonOption = False) -> int:
    """Check the index file: damage, schema, references, title search. Writes nothing."""
    from state.checks.database import check_database
    from state.checks.findings import Findings
    from state.db.snapshot import open_read_only

    index = locations(context).index
    found = Findings()
    with open_read_only(index) as connection:
        for finding in check_database(connection):
            found.add(finding)
    if as_json:
        output.data({**findings.document("db check", found), "index": str(index)})
    else:
        findings.report(found, "the counts below include them")
        output.say(findings.summary(found))
    return findings.status(found)


@command.command(cls=Command)
def vacuum(context: typer.Context, as_json: JsonOption = False) -> int:
    """Compact the index file."""
    from state.repair.vacuum import vacuum

    index = locations(context).index
    before, after = vacuum(index)
    if as_json:
        counts = {"bytesBefore": before, "bytesAfter": after}
        output.data({"version": 1, "index": str(index), **counts})
    else:
        output.say(f"The index had {before:,} bytes and now has {after:,}.")
    return errors.OK
