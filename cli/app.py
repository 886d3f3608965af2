"""Commands joined together; ``main`` turns our errors into one line and an exit status.

Commands import what they need in their bodies: help and completion must stay quick.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import db
from cli.options import (
    AllSourcesOption,
    AncestorOption,
    ArchivedOption,
    CwdOption,
    DatabaseOption,
    DryRunOption,
    ExcludeOption,
    HomeOption,
    JsonOption,
    LimitOption,
    ParentOption,
    ProviderOption,
    SearchOption,
    SourceOption,
    ThreadArgument,
    ThreadsArgument,
    YesOption,
    places,
    places_of,
)
from state.findings import KEPT_FINDINGS

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
        from importlib.metadata import version

        typer.echo(f"threadkeep {version('threadkeep')}")
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
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many threads at most.")] = 25,
    all_pages: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    sort: Annotated[str, typer.Option(help="created_at, updated_at or recency_at.")] = "updated_at",
    ascending: Annotated[bool, typer.Option("--asc", help="Oldest first.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    archived: ArchivedOption = False,
    source: SourceOption = None,
    all_sources: AllSourcesOption = False,
    provider: ProviderOption = None,
    cwd: CwdOption = None,
    search: SearchOption = None,
    parent: ParentOption = None,
    ancestor: AncestorOption = None,
    exclude: ExcludeOption = None,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """List threads, the newest first. Exit status 1 if there are none."""
    from cli import list_ as command
    from state.listing import Query

    query = Query(
        sort_key=sort,
        descending=not ascending,
        cursor=cursor,
        archived=archived,
        source_kinds=tuple(source or ()),
        all_sources=all_sources,
        providers=tuple(provider or ()),
        cwds=tuple(cwd) if cwd else None,
        search=search,
        parent_id=parent,
        ancestor_id=ancestor,
        excluded_ids=tuple(exclude or ()),
    )
    count = None if all_pages else limit
    status = command.run(places(context), query, count, catch_up=sync, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def show(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(help="An id, a unique prefix of one, a name or a path.")],
    as_json: JsonOption = False,
) -> None:
    """Show what is known of one thread."""
    from cli import show as command

    raise typer.Exit(command.run(places(context), thread, as_json=as_json))


@app.command()
def explain(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(help="An id, a unique prefix of one, a name or a path.")],
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
def archive(
    context: typer.Context,
    threads: ThreadsArgument = None,
    source: SourceOption = None,
    all_sources: AllSourcesOption = False,
    provider: ProviderOption = None,
    cwd: CwdOption = None,
    search: SearchOption = None,
    parent: ParentOption = None,
    ancestor: AncestorOption = None,
    exclude: ExcludeOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Move threads, and what they have spawned, into the archive."""
    from cli import moves as command
    from state.moves import Action

    query = command.query_of(
        archived=False,
        source=source,
        all_sources=all_sources,
        provider=provider,
        cwd=cwd,
        search=search,
        parent=parent,
        ancestor=ancestor,
        exclude=exclude,
    )
    chosen = command.Chosen(threads or [], query, dry_run=dry_run, yes=yes, as_json=as_json)
    raise typer.Exit(command.run(places(context), Action.ARCHIVE, chosen))


@app.command()
def unarchive(
    context: typer.Context,
    threads: ThreadsArgument = None,
    source: SourceOption = None,
    all_sources: AllSourcesOption = False,
    provider: ProviderOption = None,
    cwd: CwdOption = None,
    search: SearchOption = None,
    parent: ParentOption = None,
    ancestor: AncestorOption = None,
    exclude: ExcludeOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take threads, and what they have spawned, out of the archive."""
    from cli import moves as command
    from state.moves import Action

    query = command.query_of(
        archived=True,
        source=source,
        all_sources=all_sources,
        provider=provider,
        cwd=cwd,
        search=search,
        parent=parent,
        ancestor=ancestor,
        exclude=exclude,
    )
    chosen = command.Chosen(threads or [], query, dry_run=dry_run, yes=yes, as_json=as_json)
    raise typer.Exit(command.run(places(context), Action.UNARCHIVE, chosen))


@app.command()
def delete(
    context: typer.Context,
    threads: ThreadsArgument = None,
    archived: ArchivedOption = False,
    source: SourceOption = None,
    all_sources: AllSourcesOption = False,
    provider: ProviderOption = None,
    cwd: CwdOption = None,
    search: SearchOption = None,
    parent: ParentOption = None,
    ancestor: AncestorOption = None,
    exclude: ExcludeOption = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove them for good, not into the trash.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Move threads, and what they have spawned, into the trash of the home."""
    from cli import moves as command
    from state.moves import Action

    query = command.query_of(
        archived=archived,
        source=source,
        all_sources=all_sources,
        provider=provider,
        cwd=cwd,
        search=search,
        parent=parent,
        ancestor=ancestor,
        exclude=exclude,
    )
    chosen = command.Chosen(threads or [], query, dry_run=dry_run, yes=yes, as_json=as_json)
    action = Action.PURGE if purge else Action.DELETE
    raise typer.Exit(command.run(places(context), action, chosen))


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
    from cli import jobs

    status = jobs.run_backfill(
        places(context),
        batch_files=batch_size,
        lease_s=lease_seconds,
        force=force,
        as_json=as_json,
    )
    raise typer.Exit(status)


@app.command()
def sync(context: typer.Context, as_json: JsonOption = False) -> None:
    """Catch up with files that were added, changed, moved or removed."""
    from cli import jobs

    raise typer.Exit(jobs.run_sync(places(context), as_json=as_json))


@app.command()
def reindex(context: typer.Context, as_json: JsonOption = False) -> None:
    """Build the index anew beside the old one, and swap it in when it is whole."""
    from cli import jobs

    raise typer.Exit(jobs.run_reindex(places(context), as_json=as_json))


@app.command()
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Tell how the index stands: the job, the counts, what could not be read."""
    from cli import status as command

    raise typer.Exit(command.run(places(context), as_json=as_json))


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
    from cli import verify as command
    from state.verify import Depth

    depth = None
    if deep or sample is not None or after is not None:
        depth = Depth(command.share_of(sample) if sample is not None else 1.0, after)
    raise typer.Exit(command.run(places(context), depth, limit=limit, as_json=as_json))


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
    from cli import repair as command

    if undo and (apply or deep or plan):
        raise typer.BadParameter("--undo goes alone")
    if plan and not apply:
        raise typer.BadParameter("--plan goes with --apply")
    if undo:
        status = command.take_back(places(context), as_json=as_json)
    elif apply:
        status = command.apply(places(context), deep=deep, plan_id=plan, as_json=as_json)
    else:
        status = command.show(places(context), deep=deep, as_json=as_json)
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
    from cli import codex_check as command

    if fix and undo:
        raise typer.BadParameter("--undo goes alone")
    if yes and not (fix or undo):
        raise typer.BadParameter("--yes goes with --fix or --undo")
    if (fix or undo) and not yes and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter("this changes Codex's database: where it cannot ask, add --yes")
    if undo:
        status = command.take_back(places(context), ask=not yes, as_json=as_json)
    elif fix:
        status = command.fix(places(context), ask=not yes, limit=limit, as_json=as_json)
    else:
        status = command.check(places(context), limit=limit, as_json=as_json)
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
    from cli import du as command

    try:
        dimensions = [command.Dimension(name) for name in by or ()]
    except ValueError as error:
        known = ", ".join(command.Dimension)
        raise typer.BadParameter(f"{error}; known are {known}") from None
    status = command.run(places(context), dimensions, limit, images=images, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def fork(
    context: typer.Context,
    thread: ThreadArgument,
    through_turn: Annotated[
        str | None, typer.Option(metavar="ID", help="The last turn that the fork has.")
    ] = None,
    before_turn: Annotated[
        str | None, typer.Option(metavar="ID", help="The first turn that it does not have.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new thread that begins as this one did, and print its id."""
    from cli import fork as command

    if through_turn is not None and before_turn is not None:
        raise typer.BadParameter("--through-turn and --before-turn exclude each other")
    status = command.run(
        places(context), thread, last_turn=through_turn, before_turn=before_turn, as_json=as_json
    )
    raise typer.Exit(status)


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
def rename(
    context: typer.Context,
    thread: ThreadArgument,
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Name a thread, here and in Codex."""
    from cli import edit as command

    raise typer.Exit(command.run_rename(places(context), thread, name, as_json=as_json))


@app.command("git-info")
def git_info(
    context: typer.Context,
    thread: ThreadArgument,
    sha: Annotated[str | None, typer.Option(help="The commit.")] = None,
    branch: Annotated[str | None, typer.Option(help="The branch.")] = None,
    origin: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the repository comes from.")
    ] = None,
    clear_sha: Annotated[bool, typer.Option("--clear-sha", help="No commit.")] = False,
    clear_branch: Annotated[bool, typer.Option("--clear-branch", help="No branch.")] = False,
    clear_origin: Annotated[bool, typer.Option("--clear-origin", help="No origin.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the git facts of a thread, or set them."""
    from cli import edit as command

    changes: dict[str, str | None] = {}
    for field, value, clear in (
        ("sha", sha, clear_sha),
        ("branch", branch, clear_branch),
        ("origin", origin, clear_origin),
    ):
        if clear and value is not None:
            raise typer.BadParameter(f"--{field} and --clear-{field} exclude each other")
        if clear or value is not None:
            changes[field] = value
    raise typer.Exit(command.run_git_info(places(context), thread, changes, as_json=as_json))


@app.command()
def memory(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[THREAD]... MODE",
            help="Threads as for show, - takes ids from stdin; and enabled or disabled.",
            show_default=False,
        ),
    ],
    source: SourceOption = None,
    all_sources: AllSourcesOption = False,
    provider: ProviderOption = None,
    cwd: CwdOption = None,
    search: SearchOption = None,
    parent: ParentOption = None,
    ancestor: AncestorOption = None,
    exclude: ExcludeOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether Codex may make memories of threads."""
    from cli import edit as command
    from cli import moves

    query = moves.query_of(
        archived=False,
        source=source,
        all_sources=all_sources,
        provider=provider,
        cwd=cwd,
        search=search,
        parent=parent,
        ancestor=ancestor,
        exclude=exclude,
    )
    chosen = moves.Chosen(words[:-1], query, dry_run=dry_run, yes=yes, as_json=as_json)
    raise typer.Exit(command.run_memory(places(context), words[-1], chosen))


@app.command()
def relink(
    context: typer.Context,
    old: Annotated[str | None, typer.Argument(help="Where a folder was.")] = None,
    new: Annotated[str | None, typer.Argument(help="Where it is now.")] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="OLD", help="Forget that this folder has moved.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a folder has moved, so that list --cwd NEW finds its threads; or list those."""
    from cli import facts

    if (old is None) != (new is None) or (old is not None and remove is not None):
        raise typer.BadParameter("give OLD and NEW, or --remove OLD, or nothing")
    status = facts.run_relink(places(context), old, new, removed=remove, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def dump(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Where to. [default: stdout]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what was set by hand (names, relinked folders) as lines of text."""
    from cli import facts

    raise typer.Exit(facts.run_dump(places(context), file, as_json=as_json))


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="A dump. [default: stdin]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Merge a dump with what is set here: of two facts about one thing the newer counts."""
    from cli import facts

    raise typer.Exit(facts.run_restore(places(context), file, as_json=as_json))


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


app.add_typer(db.app)


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
    except KeyboardInterrupt:
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
