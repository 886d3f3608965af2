"""Commands joined together; ``main`` turns our errors into one line and an exit status.

Commands import what they need in their bodies: help and completion must stay quick.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import __version__, changes, db, upkeep
from cli.filters import Filters, takes_filters
from cli.options import (
    ArchivedOption,
    DatabaseOption,
    HomeOption,
    JsonOption,
    ThreadArgument,
    ThreadsArgument,
    places,
)
from cli.places import places_of

if TYPE_CHECKING:
    from rollout.errors import RolloutError
    from state.errors import StateError

app = typer.Typer(
    name="threadkeep",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keep, list and find Codex threads: the rollout files are the truth, an index beside"
    " them makes them fast.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"threadkeep {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    home: HomeOption = None,
    database: DatabaseOption = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Set the places that every command works on."""
    context.obj = places_of(home, database)


@app.command("list")
@takes_filters
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many threads at most.")] = 25,
    all_pages: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    sort: Annotated[str, typer.Option(help="created_at, updated_at or recency_at.")] = "updated_at",
    ascending: Annotated[bool, typer.Option("--asc", help="Oldest first.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """List threads, the newest first. Exit status 1 if there are none."""
    from cli import list_ as command

    query = filters.query(sort_key=sort, descending=not ascending, cursor=cursor, archived=archived)
    count = None if all_pages else limit
    status = command.run(places(context), query, count, catch_up=sync, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def show(
    context: typer.Context,
    thread: ThreadArgument,
    turn: Annotated[
        str | None,
        typer.Option(help="Only this turn: its id, or its number; -1 is the last."),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only so many turns, the last.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Fold nothing.")] = False,
    meta: Annotated[
        bool, typer.Option("--meta", help="Instead what is known of it: settings, lineage, files.")
    ] = False,
    pager: Annotated[
        bool, typer.Option("--pager/--no-pager", help="Page what is longer than the screen.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Show a thread for reading: its turns, messages, commands and patches."""
    from cli import show as command

    if turn is not None and last is not None:
        raise typer.BadParameter("--turn and --last exclude each other")
    if meta:
        if turn is not None or last is not None or full:
            raise typer.BadParameter("--meta goes with no turns and nothing to unfold")
        raise typer.Exit(command.run_meta(places(context), thread, as_json=as_json))
    from cli.reading.thread import Wanted

    wanted = Wanted(turn, last)
    status = command.run(places(context), thread, wanted, full=full, paged=pager, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def export(
    context: typer.Context,
    threads: ThreadsArgument = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="md, html, json or jsonl. [default: as --output ends, else md]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file, or a folder for files that are named by ids."),
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Without secrets, e-mails, home folders, user names.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write threads as files that stand by themselves: Markdown, HTML, JSON or raw lines."""
    from cli import export as command

    kinds = [each.value for each in command.Kind]
    named = kind or (target.suffix[1:] if target and target.suffix[1:] in kinds else "md")
    if named not in kinds:
        raise typer.BadParameter(f"--format is one of {', '.join(kinds)}")
    if not threads:
        raise typer.BadParameter("name threads, or give their ids on stdin to -")
    folder = target is not None and target.is_dir()
    if (len(threads) > 1 or threads == ["-"]) and not folder:
        raise typer.BadParameter("several threads go into a folder that is there: --output DIR")
    if as_json and target is None:
        raise typer.BadParameter("--json tells what was written with --output")
    status = command.run(
        places(context), threads, command.Kind(named), target, redact=redact, as_json=as_json
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
        typer.Option(help="Only threads created from then on: 2026-11-20, a time, or 7d."),
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
    from cli import stats as command

    for name in by or ():
        if name not in command.DIMENSIONS:
            raise typer.BadParameter(f"--by is one of {', '.join(command.DIMENSIONS)}")
    limits: list[int | None] = []
    for option, text in (("--since", since), ("--until", until)):
        try:
            limits.append(None if text is None else command.moment(text))
        except (ValueError, OverflowError):
            raise typer.BadParameter(f"{option} is a day (2026-11-20), a time, or 7d") from None
    status = command.run(
        places(context),
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


@app.command()
def explain(
    context: typer.Context,
    thread: ThreadArgument,
    cwd: Annotated[
        Path | None,
        typer.Option(
            help="The folder that Codex's picker is opened in. [default: the current one]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell why a thread is listed or not, here and in Codex's picker."""
    from cli import explain as command

    raise typer.Exit(command.run(places(context), thread, cwd, as_json=as_json))


@app.command()
def resume(
    context: typer.Context,
    thread: ThreadArgument,
    execute: Annotated[bool, typer.Option("--exec", help="Do it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the command that goes on with a thread in Codex, in its folder; --exec runs it."""
    from cli import resume as command

    if execute and as_json:
        raise typer.BadParameter("--exec and --json exclude each other")
    raise typer.Exit(command.run(places(context), thread, execute=execute, as_json=as_json))


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One statement that reads; - takes it from stdin.")],
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Ask the index in SQL, read-only. docs/schema.md describes its views."""
    from cli import query as command

    raise typer.Exit(command.run(places(context), sql, catch_up=sync, as_json=as_json))


for group in (changes.app, upkeep.app, db.app):
    app.add_typer(group)


def main() -> None:
    """Run the command line; every error of ours becomes one line and its exit status."""
    from rollout.errors import RolloutError
    from state.errors import FileUnusable, StateError

    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        app()
    except (RolloutError, StateError) as error:
        sys.exit(_tell(error))
    except OSError as error:  # a file that vanished under us, a disk that went away
        named = Path(str(error.filename or "a file"))
        sys.exit(_tell(FileUnusable(named, error.strerror or str(error))))
    except BaseException as error:
        # asyncio gives an interrupt as the one or, now and then, as the other; it is not imported
        # here, where the quick path goes without it.
        if not isinstance(error, KeyboardInterrupt) and type(error).__name__ != "CancelledError":
            raise
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _tell(error: "RolloutError | StateError") -> int:
    from cli.errors import document, outcome
    from cli.output import data, one_line

    found = outcome(error)
    if "--json" in sys.argv:
        data(document(error))
    else:
        print(f"threadkeep: {one_line(str(error))}\n  {found.hint}", file=sys.stderr)
    return found.status
