"""``threadkeep doctor``."""

from typing import Final

import typer

from cli import errors
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.cells import labelled
from cli.terminal.text import plural

_LABEL: Final = 11
"""The width of what stands before each line."""


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Check the installation, the home and the index, and say what to do. The exit status is 1 if
    there is a problem. Writes nothing."""
    from cli.runtime.examination import examine

    here = locations(context)
    checks = [*examine(here)]
    problems = sum(check.state == "problem" for check in checks)
    if as_json:
        found = [
            {"name": each.name, "state": each.state, "text": each.text, "next": each.next or None}
            for each in checks
        ]
        output.data(
            {
                "version": 1,
                "home": str(here.home),
                "index": str(here.index),
                "problems": problems,
                "checks": found,
            }
        )
        return errors.FINDINGS if problems else errors.OK
    lines: list[tuple[str, str]] = []
    for check in checks:
        name = check.name if not lines or check.name != lines[-1][0] else ""
        text = f"problem: {check.text}" if check.state == "problem" else check.text
        lines.append((name, text))
        if check.next:
            lines.append(("", f"-> {check.next}"))
    width = output.width() if output.on_terminal() else None
    output.lines(labelled(lines, _LABEL, width))
    output.say(f"{plural(problems, 'problem')}." if problems else "No problems found.")
    return errors.FINDINGS if problems else errors.OK
