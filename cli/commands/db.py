"""``threadkeep db``: the index file itself. No command here needs the home."""

import typer

from cli.arguments.options import JsonOption, locations

app = typer.Typer(
    name="db",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The index file itself: where it lies, whether it is sound, how large it is.",
)


@app.command()
def path(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print where the index lies, whether it is there or not."""
    from cli.terminal import output

    index = str(locations(context).index)
    if as_json:
        output.data({"version": 1, "index": index})
    else:
        output.line(index)


@app.command()
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check the index file: damage, schema, references, title search. Writes nothing."""
    from cli.terminal import findings as report
    from cli.terminal import output
    from state.checks.database import check_database
    from state.checks.findings import Findings
    from state.db.readonly import open_read_only

    index = locations(context).index
    found = Findings()
    with open_read_only(index) as connection:
        for finding in check_database(connection):
            found.add(finding)
    if as_json:
        output.data({**report.document("db check", found), "index": str(index)})
    else:
        report.tell(found, "they are of the kinds counted here")
        output.say(report.summary(found))
    raise typer.Exit(report.status(found))


@app.command()
def vacuum(context: typer.Context, as_json: JsonOption = False) -> None:
    """Make the index file as small as it can be."""
    from cli.terminal import output
    from state.repair.vacuum import vacuum

    index = locations(context).index
    before, after = vacuum(index)
    if as_json:
        counts = {"bytesBefore": before, "bytesAfter": after}
        output.data({"version": 1, "index": str(index), **counts})
    else:
        output.say(f"The index had {before:,} bytes and has {after:,} now.")
