"""``threadkeep restore``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.text import plural
from state.errors import FileUnusable


def command(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="A dump. [default: stdin]"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Merge a dump with what is set here. Of two values for one thing the newer one wins."""
    from cli.runtime.open_index import with_index
    from state.repair.dump import read_dump, restore

    if file is None and sys.stdin.isatty():
        output.say("Reading a dump from the terminal. Ctrl-D ends it.")
    try:
        source = sys.stdin.fileno() if file is None else file
        with open(source, "rb", buffering=0) as stream:
            settings = read_dump(stream)
    except OSError as error:
        raise FileUnusable(file or Path("/dev/stdin"), error.strerror or str(error)) from error
    done = with_index(
        locations(context), lambda index: restore(index.database, index.home, settings)
    )
    if as_json:
        document = {"version": 1, "set": done.set, "equal": done.equal, "older": done.older}
        output.data(document, changed=True)
    else:
        output.say(
            f"{plural(done.set, 'setting')} restored, {done.equal:,} unchanged,"
            f" {done.older:,} skipped as older."
        )
    return errors.OK
