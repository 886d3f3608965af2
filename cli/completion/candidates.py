"""What may stand at the cursor: commands, options, and their values."""

from collections.abc import Iterator

import typer

from cli.app import app
from cli.arguments.fleet import OPTION, is_address, with_address
from cli.completion.line import Line
from cli.completion.values import Candidate, values
from cli.help.table import ENTRIES


def candidates(words: list[str]) -> Iterator[Candidate]:
    """What may stand at the cursor, which is at the end of the last of ``words``."""
    *before, current = words or [""]
    if OPTION in before[:-1] or (before[-1:] == [OPTION] and not is_address(current)):
        before = with_address(before)
    line = Line(typer.main.get_command(app))
    for word in before:
        if word != "=" and not line.take(word):  # bash divides a word at it
            return
    current = "" if current == "=" else current
    if line.awaiting is not None:
        yield from values(line, line.awaiting, current)
    elif current.startswith("-") and not line.options_ended:
        name, joined, value = current.partition("=")
        option = line.option(name) if joined else None
        if option is not None:
            for found, about in values(line, option, value):
                yield (f"{name}={found}" if found else ""), about
        elif not joined:
            yield from _options(line, current)
    else:
        yield from _arguments(line, current)


def _options(line: Line, current: str) -> Iterator[Candidate]:
    for option in line.parameters("option"):
        if option.name in line.given and not option.multiple:
            continue
        names = [name for name in (*option.opts, *option.secondary_opts) if name[:2] == "--"]
        yield from ((name, option.help or "") for name in names if name.startswith(current))
    if "--help".startswith(current):
        yield "--help", "Show help and examples."


def _arguments(line: Line, current: str) -> Iterator[Candidate]:
    if not line.arguments:
        for name in line.commands():
            if name.startswith(current):
                yield name, ENTRIES[f"{line.name} {name}".lstrip()][0]
    arguments = line.parameters("argument")
    position = len(line.arguments)
    if arguments and (position < len(arguments) or arguments[-1].nargs == -1):
        yield from values(line, arguments[min(position, len(arguments) - 1)], current)
    elif not arguments and not line.commands() and not current:
        yield from _options(line, "--")
