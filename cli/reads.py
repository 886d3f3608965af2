"""Commands that read threads: one to be read, some to be kept elsewhere, all to be counted."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.arguments.filters import Filters, takes_filters
from cli.arguments.locations import Locations
from cli.arguments.options import (
    ArchivedOption,
    ForceOption,
    JsonOption,
    ThreadArgument,
    ThreadsArgument,
    locations,
)
from rollout.errors import without_expansion_limit
from state.db.location import journal_path
from state.userdata.folders import check_current_folder

app = typer.Typer(rich_markup_mode=None)


@app.command()
def show(
    context: typer.Context,
    thread: ThreadArgument,
    turn: Annotated[
        str | None,
        typer.Option(help="Only this turn: its id, or its number; -1 is the last."),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only so many turns, the last.")] = None,
    full: Annotated[bool, typer.Option("--full", help="MetadataReducer nothing.")] = False,
    meta: Annotated[
        bool, typer.Option("--meta", help="Instead what is known of it: settings, lineage, files.")
    ] = False,
    pager: Annotated[
        bool, typer.Option("--pager/--no-pager", help="Page what is longer than the screen.")
    ] = True,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a thread for reading: its turns, messages, commands and patches."""
    from cli.commands import show as command

    if turn is not None and last is not None:
        raise typer.BadParameter("--turn and --last exclude each other")
    if meta:
        if turn is not None or last is not None or full:
            raise typer.BadParameter("--meta goes with no turns and nothing to unfold")
        raise typer.Exit(command.run_meta(locations(context), thread, as_json=as_json))
    from cli.render.reading import TurnSelection

    wanted = TurnSelection(turn, last)
    with without_expansion_limit(force):
        status = command.run(
            locations(context), thread, wanted, full=full, paged=pager, as_json=as_json
        )
    raise typer.Exit(status)


@app.command()
def export(
    context: typer.Context,
    threads: ThreadsArgument,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="md, html, json or jsonl. [default: as --output ends, else md]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A file; a folder for files that are named by ids (FOLDER/ is made); - is stdout.",
        ),
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Without secrets, e-mails, home folders, user names.")
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write threads as files that stand by themselves: Markdown, HTML, JSON or raw lines."""
    from cli.commands import export as command

    target = None if output in (None, "-") else Path(output)
    kinds = [each.value for each in command.Kind]
    named = kind or (target.suffix[1:] if target and target.suffix[1:] in kinds else "md")
    if named not in kinds:
        raise typer.BadParameter(f"--format is one of {', '.join(kinds)}")
    threads = [*dict.fromkeys(threads)]
    folder = target is not None and (target.is_dir() or str(output).endswith(os.sep))
    if target is not None and folder and target.exists() and not target.is_dir():
        raise typer.BadParameter(f"{target} is no folder")
    if (len(threads) > 1 or threads == ["-"]) and not folder:
        raise typer.BadParameter("several threads go into a folder: --output FOLDER/")
    if as_json and target is None:
        raise typer.BadParameter("--json tells what was written with --output")
    _check_target(locations(context), target, folder=folder)
    with without_expansion_limit(force):
        status = command.run(
            locations(context),
            threads,
            command.Kind(named),
            target,
            folder=folder,
            redact=redact,
            as_json=as_json,
        )
    raise typer.Exit(status)


@app.command()
@takes_filters
def stats(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Count by day, month, project, model, provider or source. Repeatable."
            " [default: day, project, model]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only threads created from then on: 2026-11-20, a time, 12h, 7d, 2w."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only threads created before then; as --since.")
    ] = None,
    turns: Annotated[
        bool, typer.Option("--turns", help="Count turns too, which reads every rollout.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many rows of each table.")] = 30,
    page: Annotated[
        Path | None, typer.Option("--html", help="Write a page with charts to this file.")
    ] = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    as_json: JsonOption = False,
) -> None:
    """Count threads, turns and tokens by day, project and model. Status 1 if there are none."""
    from cli.commands import stats as command

    for name in by or ():
        if name not in command.DIMENSIONS:
            raise typer.BadParameter(f"--by is one of {', '.join(command.DIMENSIONS)}")
    limits: list[int | None] = []
    for option, text in (("--since", since), ("--until", until)):
        try:
            limits.append(None if text is None else command.moment(text))
        except (ValueError, OverflowError):
            forms = (
                "a day (2026-11-20), a time (2026-11-20T12:00), or an age (30m, 12h, 7d, 2w, 1y)"
            )
            raise typer.BadParameter(f"{option} is {forms}") from None
    if page == Path("-"):
        raise typer.BadParameter("--html writes a page to a file, and not to stdout: name a file")
    _check_target(locations(context), page)
    status = command.run(
        locations(context),
        filters.query(archived=archived),
        since_ms=limits[0],
        until_ms=limits[1],
        by=by or [],
        limit=limit,
        turns=turns,
        page=page,
        as_json=as_json,
    )
    raise typer.Exit(status)


def _check_target(here: Locations, target: Path | None, *, folder: bool = False) -> None:
    """Refuse to write where the threads are, or over the index: what is written takes the place
    of what was there. Refuse it where there is no folder, too, and where something is that is no
    file, nor the ``folder`` that is named."""
    if target is None:
        return
    check_current_folder(target)
    if not target.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {target.parent}: make it first")
    real, home, index = (Path(os.path.realpath(path)) for path in (target, here.home, here.index))
    if real == home or real.is_relative_to(home):
        raise typer.BadParameter(f"{target} lies in the Codex home, where nothing is written")
    ours = real.parent == index.parent and real.name.startswith(index.name)
    if ours or real == Path(os.path.realpath(journal_path(here.index))):
        raise typer.BadParameter(f"{target} belongs to the index")
    if not folder:
        from cli.terminal.save_file import check_replaceable

        check_replaceable(target)
