"""``threadkeep dump``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption, locations
from cli.errors import NoRegularFile
from cli.terminal import output
from cli.terminal.save_file import save
from cli.terminal.text import plural
from state.errors import IndexNotWritable, file_errors


def command(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="The file. [default: stdout]")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Save names, relinked folders and whatever else was set by hand as lines of text."""
    import asyncio

    from cli.runtime.open_index import temporary_copy
    from state.repair.dump import dump_lines, known_user_data
    from state.userdata.folders import check_current_folder

    target = None if file is None else Path(file)
    if target is not None:
        check_current_folder(target)
    here = locations(context)
    try:
        settings, damaged = asyncio.run(known_user_data(here.index))
    except IndexNotWritable as problem:
        with temporary_copy(here, problem) as copy:
            settings, damaged = asyncio.run(known_user_data(copy.index))
            damaged = damaged or not copy.index.exists()
    if damaged:
        output.say("The index cannot be read. This is the content of facts.jsonl beside it.")
    lines = list(dump_lines(settings))
    if target is not None:
        _save(target, lines)
    if as_json:
        output.data(
            {
                "version": 1,
                "file": str(target) if target else None,
                "count": len(lines) - 1,
                "facts": None if target else [json.loads(line) for line in lines[1:]],
            }
        )
    elif target is None:
        output.lines(map(output.shown_json, lines))
    else:
        output.say(f"{plural(len(lines) - 1, 'setting')} saved in {target}.")
    return errors.OK


def _save(target: Path, lines: list[str]) -> None:
    """Replace a file in one step, or write to the pipe or device that is there."""
    content = "".join(f"{line}\n" for line in lines).encode()
    try:
        save(target, iter([content]))
    except NoRegularFile:  # also /dev/stdout where that is a file
        with file_errors(target), open(target, "ab") as stream:
            stream.write(content)
