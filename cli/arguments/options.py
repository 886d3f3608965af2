"""Options that commands share."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.arguments.locations import Locations

HomeOption = Annotated[
    str | None,
    typer.Option(
        "--home",
        metavar="DIR",
        envvar="CODEX_HOME",
        show_envvar=True,
        help="The Codex home. [default: ~/.codex]",
        show_default=False,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="FILE",
        envvar="THREADKEEP_DB",
        show_envvar=True,
        help="The index file. [default: one for each home, in the user's state folder]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON (threadkeep help json).")]

LogLevelOption = Annotated[
    str | None,
    typer.Option(
        "--log-level",
        metavar="LEVELS",
        envvar="THREADKEEP_LOG",
        help="What to log: error, warn, info, debug or off, also for single targets:"
        " warn,threadkeep.server=debug.",
        show_default=False,
    ),
]
LogFileOption = Annotated[
    Path | None,
    typer.Option(
        "--log-file", metavar="FILE", help="Also log to this file. Up to four older ones are kept."
    ),
]


def limit_option(text: str, usual: bool | str = True) -> Any:
    """The option ``--limit`` with its line of help. ``usual`` says in words what it is by default;
    True shows the value itself."""
    return typer.Option("-n", "--limit", metavar="N", min=1, help=text, show_default=usual)


RowsLimitOption = Annotated[int, limit_option("Rows of each table.")]
FindingsLimitOption = Annotated[int, limit_option("Findings to show. All are counted.")]
SyncOption = Annotated[
    bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
]
PagerOption = Annotated[
    bool, typer.Option("--pager/--no-pager", help="Use a pager for more than one screen.")
]
CursorOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Continue where a page ended.")
]

ThreadArgument = Annotated[
    str,
    typer.Argument(
        metavar="THREAD",
        help="An id, a unique prefix of one (4 characters or more), a name or a path; -1 is the"
        " thread that was used last, -2 the one before.",
        show_default=False,
    ),
]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="Only archived threads.")]
AnyThreadsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="THREAD...",
        help="Ids, unique prefixes of ids (4 characters or more), names or paths; -1 is the thread"
        " that was used last, -2 the one before; - reads ids from stdin, one per line.",
        show_default=False,
    ),
]
_TAGS: Final = typer.Argument(
    metavar="TAGS",
    help="Tags, with commas between them: letters, digits and signs without blanks; case does not"
    " matter.",
    show_default=False,
)
TagsArgument = Annotated[str, _TAGS]
OptionalTagsArgument = Annotated[str | None, _TAGS]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Read a compressed rollout to its end, however large it gets."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]


def locations(context: typer.Context) -> Locations:
    """The locations of the running command."""
    found = context.find_object(Locations)
    if found is None:
        raise RuntimeError("the locations are set before any command runs")
    return found
