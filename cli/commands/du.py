"""``threadkeep du``."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.options import JsonOption, limit_option, locations
from cli.terminal import output
from cli.terminal.hidden import no_threads
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural

if TYPE_CHECKING:
    from state.reports.disk import Amount, DiskUsage
    from state.thread_index import ThreadIndex


DIMENSIONS: Final = (
    "project",
    "source",
    "age",
    "era",
    "provider",
    "model",
    "form",
    "place",
    "bucket",
)
_SHOWN: Final = ("project", "age")
"""The tables that people get without options."""
_USUAL_ROWS: Final = 10
_LEAST_ROWS: Final = 3
_OTHER_LINES: Final = 15
"""Lines of all that a terminal gets without options, but for projects and threads."""


def command(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="project, source, age, era, provider, model, form, place or bucket. Repeatable."
            f" [default: {', '.join(_SHOWN)}]",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        limit_option("Rows of each table.", f"{_USUAL_ROWS}, or fewer to fit the terminal"),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Read every file to measure its images.")
    ] = False,
    costs: Annotated[
        bool, typer.Option("--cost", help="Show what the tokens of the threads cost, in USD.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Show disk usage of rollout files by project, source, age and more, and the biggest
    threads."""
    from cli.render.disk import DiskTables
    from cli.runtime.open_index import catch_up, read_index
    from state.reports.disk import disk_usage

    if not set(by or ()) <= set(DIMENSIONS):
        raise typer.BadParameter(f"--by: unknown dimension\ngive one of {', '.join(DIMENSIONS)}")
    here = locations(context)
    terminal = output.on_terminal()
    rows = limit or (_fitting_rows() if terminal and not (by or as_json) else _USUAL_ROWS)

    async def work(index: "ThreadIndex") -> "tuple[DiskUsage, dict[str, str], str]":
        note = await catch_up(index)
        with progress("images") as report:
            found = await disk_usage(index, rows, images=images, costs=costs, report=report)
        ids = [thread.row["id"] for thread in found.biggest]
        return found, await index.short_ids(ids) if terminal else {}, note

    try:
        found, short_ids, note = read_index(here, work)
    except KeyboardInterrupt:
        output.say("Interrupted. Nothing was changed.")
        return errors.INTERRUPTED
    if note:
        output.say(note)
    if as_json:
        output.data(_document(found, by or DIMENSIONS, rows, costs=costs, complete=not note))
    elif not found.total.files:
        output.say(no_threads(here.home, empty=True, complete=not note))
    else:
        tables = DiskTables(found, short_ids, rows, images, costs)
        output.lines(tables.summary())
        for dimension in by or _SHOWN:
            output.lines(["", *tables.groups(dimension)])
        if not by:
            output.lines(["", *tables.biggest()])
    if found.away and not as_json:
        paths = plural(found.away, "path")
        output.say(f"Not counted: {paths} that cannot be accessed (threadkeep verify).")
    problems = found.images.problems if found.images else {}
    for path, problem in problems.items():
        output.say(one_line(f"{path}: {problem}"))
    return errors.SOME_UNREADABLE if problems else errors.OK


def _fitting_rows() -> int:
    """How many rows projects and threads may have each, so that all tables fit the terminal."""
    return min(max((output.height() - _OTHER_LINES) // 2, _LEAST_ROWS), _USUAL_ROWS)


def _document(
    found: "DiskUsage",
    dimensions: Sequence[str],
    limit: int,
    *,
    costs: bool,
    complete: bool,
) -> dict[str, Any]:
    from cli.render.disk import rest_of
    from cli.render.labels import label
    from state.reports.disk import Amount

    read = found.images

    def entry(amount: "Amount") -> dict[str, Any]:
        shown = amount.image_bytes if read else None
        spent = amount.spent
        cost = {"costUsd": spent.cost, "unpricedTokens": spent.unpriced_tokens} if costs else {}
        return {"bytes": amount.bytes, "files": amount.files, "imageBytes": shown, **cost}

    return {
        "version": 1,
        "complete": complete,
        "hidden": {"away": found.away},
        **entry(found.total),
        "contentBytes": read.content_bytes if read else None,
        "threads": found.threads,
        "by": {
            dimension: {
                "groups": [
                    {"key": key, **entry(amount)}
                    for key, amount in islice(found.by[dimension].items(), limit)
                ],
                "others": {
                    "count": max(0, len(found.by[dimension]) - limit),
                    **entry(rest_of(found.by[dimension], limit) or Amount()),
                },
            }
            for dimension in dimensions
        },
        "biggest": [
            {
                "id": one.row["id"],
                "name": label(one.row),
                "cwd": one.row["cwd"],
                **entry(one.amount),
            }
            for one in found.biggest
        ],
        "problems": [
            {"path": path, "reason": reason}
            for path, reason in (read.problems if read else {}).items()
        ],
    }
