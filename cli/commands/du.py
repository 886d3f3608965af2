"""``threadkeep du``."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.options import JsonOption, RowsLimitOption, locations
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import amount, money, one_line, plural

if TYPE_CHECKING:
    from state.reports.disk import Amount, DiskUsage, ThreadDiskUsage
    from state.thread_index import ThreadIndex


_DIMENSIONS = ("project", "source", "age", "era", "provider", "model", "form", "place", "bucket")


def command(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="project, source, age, era, provider, model, form, place or bucket. Repeatable."
            " [default: all]",
        ),
    ] = None,
    limit: RowsLimitOption = 10,
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
    from cli.runtime.open_index import catch_up, read_index
    from state.reports.disk import disk_usage

    dimensions = by or _DIMENSIONS
    if not set(dimensions) <= set(_DIMENSIONS):
        raise typer.BadParameter(f"--by: unknown dimension\ngive one of {', '.join(_DIMENSIONS)}")

    async def work(index: "ThreadIndex") -> "tuple[DiskUsage, str]":
        note = await catch_up(index)
        with progress("images") as report:
            found = await disk_usage(index, limit, images=images, costs=costs, report=report)
            return found, note

    try:
        found, note = read_index(locations(context), work)
    except KeyboardInterrupt:
        output.say("Interrupted. Nothing was changed.")
        return errors.INTERRUPTED
    if note:
        output.say(note)
    if as_json:
        output.data(_document(found, dimensions, limit, costs=costs, complete=not note))
    else:
        shown = {"images": images, "cost": costs}
        _print(
            found, dimensions, limit, [name for name in shown if shown[name]], with_threads=not by
        )
    if found.away and not as_json:
        output.say(
            f"Hidden: {plural(found.away, 'path')} that cannot be accessed (threadkeep verify)."
        )
    problems = found.images.problems if found.images else {}
    for path, problem in problems.items():
        output.say(one_line(f"{path}: {problem}"))
    return errors.SOME_UNREADABLE if problems else errors.OK


def _print(
    found: "DiskUsage",
    dimensions: Sequence[str],
    limit: int,
    more: Sequence[str],
    *,
    with_threads: bool,
) -> None:
    """``more`` are the columns that were asked for: images, cost."""
    threads = f"of {plural(found.threads, 'thread')}"
    total = found.total
    output.line(f"{amount(total.bytes)}B in {plural(total.files, 'file')} {threads}")
    if found.images:
        content = found.images.content_bytes
        share = _percent(total.image_bytes, content)
        output.line(
            f"{amount(content)}B of content, {share} of it images ({amount(total.image_bytes)}B)"
        )
    if "cost" in more:
        output.line(
            f"{money(total.spent.cost, total.spent.unpriced_tokens)} for tokens, at API prices"
        )
    for dimension in dimensions:
        output.line()
        _print_groups(dimension, found.by[dimension], total, limit, more)
    if with_threads:
        output.line()
        _print_threads(found.biggest, total, more)


def _print_groups(
    title: str, groups: "Mapping[str, Amount]", total: "Amount", limit: int, more: Sequence[str]
) -> None:
    output.line(_row("bytes", "share", "files", more, title))
    for key, used in islice(groups.items(), limit):
        output.line(_amount_row(used, total, key or "(none)", more))
    rest = _rest(groups, limit)
    if rest.files:
        count = len(groups) - limit
        output.line(_amount_row(rest, total, f"… {count:,} more", more))


def _print_threads(
    found: "Sequence[ThreadDiskUsage]", total: "Amount", more: Sequence[str]
) -> None:
    from cli.render.labels import label

    output.line(_row("bytes", "share", "files", more, "thread"))
    for thread in found:
        what = f"{thread.row['id']}  {one_line(label(thread.row))[:60]}"
        output.line(_amount_row(thread.amount, total, what, more))


def _amount_row(used: "Amount", total: "Amount", what: str, more: Sequence[str]) -> str:
    cost = money(used.spent.cost, used.spent.unpriced_tokens)
    values = {"images": amount(used.image_bytes), "cost": cost}
    share = _percent(used.bytes, total.bytes)
    shown = [values[name] for name in more]
    return _row(amount(used.bytes), share, f"{used.files:,}", shown, what)


def _row(size: str, share: str, files: str, more: Sequence[str], what: str) -> str:
    middle = "".join(f"  {value:>7}" for value in more)
    return f"{size:>7}  {share:>6}  {files:>8}{middle}  {one_line(what)}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


def _rest(groups: "Mapping[str, Amount]", limit: int) -> "Amount":
    from state.reports.disk import Amount

    rest = Amount()
    for used in islice(groups.values(), limit, None):
        rest.add(used.files, used.bytes, used.image_bytes, used.spent)
    return rest


def _document(
    found: "DiskUsage",
    dimensions: Sequence[str],
    limit: int,
    *,
    costs: bool,
    complete: bool,
) -> dict[str, Any]:
    from cli.render.labels import label

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
                    **entry(_rest(found.by[dimension], limit)),
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
