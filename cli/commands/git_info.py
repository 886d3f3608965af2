"""``threadkeep git-info``."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.arguments.filters import Selection, takes_selection_without_branch
from cli.arguments.options import ArchivedOption, locations
from cli.terminal.text import one_line

if TYPE_CHECKING:
    from cli.edit.batch import AppliedChange
    from state.thread_index import ThreadIndex

_FIELDS: Final = {"sha": "commit_hash", "branch": "branch", "originUrl": "repository_url"}


@takes_selection_without_branch
def command(
    context: typer.Context,
    sha: Annotated[str | None, typer.Option(metavar="SHA", help="The commit.")] = None,
    branch: Annotated[str | None, typer.Option(metavar="NAME", help="The branch.")] = None,
    origin: Annotated[
        str | None, typer.Option(metavar="URL", help="The repository's origin.")
    ] = None,
    clear_sha: Annotated[bool, typer.Option("--clear-sha", help="Remove the commit.")] = False,
    clear_branch: Annotated[
        bool, typer.Option("--clear-branch", help="Remove the branch.")
    ] = False,
    clear_origin: Annotated[
        bool, typer.Option("--clear-origin", help="Remove the origin.")
    ] = False,
    archived: ArchivedOption = False,
    *,
    selection: Selection,
) -> int:
    """Show the git commit, branch and origin of threads, or set them."""
    from cli.edit import batch
    from state.edit.metadata import Changed, git_info, set_git_info

    values: dict[str, str | None] = {}
    for field, value, clear in (
        ("sha", sha, clear_sha),
        ("branch", branch, clear_branch),
        ("origin", origin, clear_origin),
    ):
        if clear and value is not None:
            raise typer.BadParameter(f"--{field} and --clear-{field} cannot be combined")
        if clear or value is not None:
            values[field] = value
    if selection.dry_run and not values:
        raise typer.BadParameter("--dry-run needs a value to set")
    sqlite_home = locations(context).sqlite_home

    async def change(index: "ThreadIndex", id_: str, _: str) -> "AppliedChange":
        if values:
            changed, git = await set_git_info(
                index, id_, values, sqlite_home, dry_run=selection.dry_run
            )
        else:
            changed, git = Changed(id_), await git_info(index, id_)
        info = {name: git.get(key) for name, key in _FIELDS.items()}
        columns = [id_, *(one_line(value or "-") for value in info.values())]
        if selection.dry_run:
            columns.append("would be set")
        return batch.AppliedChange(
            {"gitInfo": info}, "\t".join(columns), changed.indexed, changed.codex_error
        )

    return batch.run(
        locations(context), "git-info", selection, change, archived=archived, reads=not values
    )
