"""Commands that change threads, or what users set for them."""

from pathlib import Path
from typing import Annotated

import typer

from cli.arguments.filters import Filters, Selection, takes_filters, takes_selection
from cli.arguments.options import (
    ArchivedOption,
    DryRunOption,
    JsonOption,
    ThreadArgument,
    YesOption,
    locations,
)
from state.userdata.folders import check_current_folder

app = typer.Typer(rich_markup_mode=None)


@app.command()
def rename(
    context: typer.Context,
    thread: ThreadArgument,
    name: Annotated[
        str | None,
        typer.Argument(
            help="What to call it; with - for the thread, both come from stdin: an id, a tab and"
            " a name on each line.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Name a thread, here and in Codex."""
    from cli.commands import edit as command

    chosen = Selection(references=[thread], dry_run=dry_run, as_json=as_json)
    raise typer.Exit(command.run_rename(locations(context), thread, name, chosen))


@app.command()
@takes_selection
def fork(
    context: typer.Context,
    through_turn: Annotated[
        str | None, typer.Option(metavar="ID", help="The last turn that the fork has.")
    ] = None,
    before_turn: Annotated[
        str | None, typer.Option(metavar="ID", help="The first turn that it does not have.")
    ] = None,
    *,
    chosen: Selection,
) -> None:
    """Make a new thread that begins as this one did, and print its id."""
    from cli.commands import edit as command

    status = command.run_fork(
        locations(context), chosen, last_turn=through_turn, before_turn=before_turn
    )
    raise typer.Exit(status)


@app.command()
@takes_selection
def archive(context: typer.Context, *, chosen: Selection) -> None:
    """Move threads, and what they have spawned, into the archive."""
    from cli.commands import archive as command
    from state.edit.move_plan import Action

    raise typer.Exit(command.run(locations(context), Action.ARCHIVE, chosen))


@app.command()
@takes_selection
def unarchive(context: typer.Context, *, chosen: Selection) -> None:
    """Take threads, and what they have spawned, out of the archive."""
    from cli.commands import archive as command
    from state.edit.move_plan import Action

    raise typer.Exit(command.run(locations(context), Action.UNARCHIVE, chosen, archived=True))


@app.command()
@takes_selection
def delete(
    context: typer.Context,
    archived: ArchivedOption = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove them for good, not into the trash.")
    ] = False,
    *,
    chosen: Selection,
) -> None:
    """Move threads, and what they have spawned, into the trash of the home."""
    from cli.commands import archive as command
    from state.edit.move_plan import Action

    action = Action.PURGE if purge else Action.DELETE
    raise typer.Exit(command.run(locations(context), action, chosen, archived=archived))


@app.command("git-info")
@takes_selection
def git_info(
    context: typer.Context,
    sha: Annotated[str | None, typer.Option(help="The commit.")] = None,
    branch: Annotated[str | None, typer.Option(help="The branch.")] = None,
    origin: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the repository comes from.")
    ] = None,
    clear_sha: Annotated[bool, typer.Option("--clear-sha", help="No commit.")] = False,
    clear_branch: Annotated[bool, typer.Option("--clear-branch", help="No branch.")] = False,
    clear_origin: Annotated[bool, typer.Option("--clear-origin", help="No origin.")] = False,
    archived: ArchivedOption = False,
    *,
    chosen: Selection,
) -> None:
    """Show the git facts of threads, or set them."""
    from cli.commands import edit as command

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
    raise typer.Exit(command.run_git_info(locations(context), changes, chosen, archived=archived))


@app.command()
@takes_filters
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
    *,
    filters: Filters,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether Codex may make memories of threads."""
    from cli.commands import edit as command

    chosen = Selection(
        references=words[:-1], filters=filters, dry_run=dry_run, yes=yes, as_json=as_json
    )
    raise typer.Exit(command.run_memory(locations(context), words[-1], chosen))


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
    from cli.commands import user_settings as facts

    if (old is None) != (new is None) or (old is not None and remove is not None):
        raise typer.BadParameter("give OLD and NEW, or --remove OLD, or nothing")
    status = facts.run_relink(locations(context), old, new, removed=remove, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def dump(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Where to. [default: stdout]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what was set by hand (names, relinked folders) as lines of text."""
    from cli.commands import user_settings as facts

    if file is not None:
        check_current_folder(file)
    raise typer.Exit(facts.run_dump(locations(context), file, as_json=as_json))


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
    from cli.commands import user_settings as facts

    raise typer.Exit(facts.run_restore(locations(context), file, as_json=as_json))
