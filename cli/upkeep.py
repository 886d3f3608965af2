"""Commands about the index and the files as a whole: fill, check, mend."""

import sys
from typing import Annotated

import typer

from cli.arguments.options import JsonOption, LimitOption, LogFileOption, LogLevelOption, locations
from state.checks.findings import KEPT_FINDINGS

app = typer.Typer(rich_markup_mode=None)


@app.command()
def backfill(
    context: typer.Context,
    batch_size: Annotated[
        int, typer.Option(min=1, max=200, help="Files in one transaction.")
    ] = 200,
    lease_seconds: Annotated[
        float, typer.Option(min=1, help="After so long a silent worker may be replaced.")
    ] = 900,
    force: Annotated[bool, typer.Option("--force", help="Read every file again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill the index of the whole home. Ctrl-C is safe: the next run goes on from there."""
    from cli.commands import index_jobs as jobs

    status = jobs.run_backfill(
        locations(context),
        batch_files=batch_size,
        lease_s=lease_seconds,
        force=force,
        as_json=as_json,
    )
    raise typer.Exit(status)


@app.command()
def sync(context: typer.Context, as_json: JsonOption = False) -> None:
    """Catch up with files that were added, changed, moved or removed."""
    from cli.commands import index_jobs as jobs

    raise typer.Exit(jobs.run_sync(locations(context), as_json=as_json))


@app.command()
def watch(
    context: typer.Context,
    log_level: LogLevelOption = None,
    log_file: LogFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep the index in step, and print a line for each thread that changes, until Ctrl-C."""
    from cli.commands import watch as command
    from cli.runtime import logs

    logs.begin(log_level, log_file)
    raise typer.Exit(command.run(locations(context), as_json=as_json))


@app.command()
def reindex(context: typer.Context, as_json: JsonOption = False) -> None:
    """Build the index anew beside the old one, and swap it in when it is whole."""
    from cli.commands import index_jobs as jobs

    raise typer.Exit(jobs.run_reindex(locations(context), as_json=as_json))


@app.command()
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Tell how the index stands: the job, the counts, what could not be read."""
    from cli.commands import status as command

    raise typer.Exit(command.run(locations(context), as_json=as_json))


@app.command()
def verify(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every rollout, and compare it with its row.")
    ] = False,
    sample: Annotated[
        str | None, typer.Option(help="Read only so many of them, at random, such as 5%.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="Go on with a deep check where it was interrupted.")
    ] = None,
    limit: LimitOption = KEPT_FINDINGS,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong with the index and the files. Writes nothing. Exit status 1 if there
    is anything to mend."""
    from cli.commands import verify as command
    from state.repair.verify import Depth

    depth = None
    if deep or sample is not None or after is not None:
        depth = Depth(command.share_of(sample) if sample is not None else 1.0, after)
    raise typer.Exit(command.run(locations(context), depth, limit=limit, as_json=as_json))


@app.command()
def repair(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Do what the plan says.")] = False,
    plan: Annotated[
        str | None, typer.Option(help="With --apply: refuse unless this is still the plan.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put the index back as it was before the last repair.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Plan by what verify --deep finds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what would mend what verify finds; --apply does it. Never changes a rollout. Exit
    status 1 if there is something left to mend."""
    from cli.commands import repair as command

    if undo and (apply or deep or plan):
        raise typer.BadParameter("--undo goes alone")
    if plan and not apply:
        raise typer.BadParameter("--plan goes with --apply")
    if undo:
        status = command.take_back(locations(context), as_json=as_json)
    elif apply:
        status = command.apply(locations(context), deep=deep, plan_id=plan, as_json=as_json)
    else:
        status = command.show(locations(context), deep=deep, as_json=as_json)
    raise typer.Exit(status)


@app.command("codex-check")
def codex_check(
    context: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is safe in Codex's database.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put Codex's database back as it was before --fix.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix or --undo: do not ask.")] = False,
    limit: LimitOption = KEPT_FINDINGS,
    as_json: JsonOption = False,
) -> None:
    """Compare the files with Codex's own database. Writes nothing without --fix or --undo. Exit
    status 1 if there is anything to mend."""
    from cli.commands import codex_check as command

    if fix and undo:
        raise typer.BadParameter("--undo goes alone")
    if yes and not (fix or undo):
        raise typer.BadParameter("--yes goes with --fix or --undo")
    if (fix or undo) and not yes and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter("this changes Codex's database: where it cannot ask, add --yes")
    if undo:
        status = command.take_back(locations(context), ask=not yes, as_json=as_json)
    elif fix:
        status = command.fix(locations(context), ask=not yes, limit=limit, as_json=as_json)
    else:
        status = command.check(locations(context), limit=limit, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def du(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="project, source, age, era, provider, model, form, place or bucket; repeatable."
            " [default: all]",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each table.")] = 10,
    images: Annotated[
        bool, typer.Option("--images", help="Read every file, for the share of images.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what the rollout files take: by project, source, age and more, and the biggest."""
    from cli.commands import du as command

    try:
        dimensions = [command.Dimension(name) for name in by or ()]
    except ValueError as error:
        known = ", ".join(command.Dimension)
        raise typer.BadParameter(f"{error}; known are {known}") from None
    status = command.run(locations(context), dimensions, limit, images=images, as_json=as_json)
    raise typer.Exit(status)


@app.command("app-server")
def app_server(
    context: typer.Context,
    listen: Annotated[
        str,
        typer.Option(
            help="stdio://, unix://PATH or ws://127.0.0.1:PORT; unix:// alone is where list, show"
            " and query look for a server."
        ),
    ] = "stdio://",
    log_level: LogLevelOption = None,
    log_file: LogFileOption = None,
) -> None:
    """Serve stored threads over Codex's app-server protocol, until the input ends."""
    from cli.commands import app_server as command
    from cli.runtime import logs

    here, root = locations(context), context.find_root().command
    where = ["--home", str(here.home), "--db", str(here.index)]

    def program(args: list[str]) -> int:
        return int(root.main([*where, *args], "threadkeep", standalone_mode=False) or 0)

    serve = command.server_of(listen, here)
    logs.begin(log_level, log_file, waits=False)
    raise typer.Exit(command.run(here, program, serve))
