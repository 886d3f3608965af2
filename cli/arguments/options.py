"""Options that commands share, and the locations they lead to."""

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.arguments.locations import Locations

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="CODEX_HOME",
        show_envvar=True,
        help="The Codex home whose threads to keep. [default: ~/.codex]",
        show_default=False,
    ),
]
DatabaseOption = Annotated[
    Path | None,
    typer.Option(
        "--db",
        envvar="THREADKEEP_DB",
        show_envvar=True,
        help="The index file. [default: in the user's state folder, one for each home]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON (see docs/json.md).")]

LogLevelOption = Annotated[
    str | None,
    typer.Option(
        "--log-level",
        metavar="LEVELS",
        envvar="THREADKEEP_LOG",
        help="What is logged: error, warn, info, debug or off, also of single targets:"
        " warn,threadkeep.server=debug.",
        show_default=False,
    ),
]
LogFileOption = Annotated[
    Path | None,
    typer.Option("--log-file", help="Log to this file as well; it and four older ones are kept."),
]

LimitOption = Annotated[
    int, typer.Option("--limit", min=1, help="How many findings to show; all are counted.")
]

ThreadArgument = Annotated[
    str,
    typer.Argument(
        metavar="THREAD",
        help="An id, a unique prefix of one, a name or a path.",
        show_default=False,
    ),
]
ArchivedOption = Annotated[
    bool, typer.Option("--archived", help="The archived threads, and only those.")
]
_THREADS: Final = typer.Argument(
    metavar="THREAD...",
    help="Ids, unique prefixes of some, names or paths; - takes ids from stdin, one a line.",
    show_default=False,
)
ThreadsArgument = Annotated[list[str], _THREADS]
AnyThreadsArgument = Annotated[list[str] | None, _THREADS]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Read a compressed rollout to its end, however far it expands."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def locations(context: typer.Context) -> Locations:
    """The locations of the running command."""
    found = context.find_object(Locations)
    if found is None:
        raise RuntimeError("the locations are set before any command runs")
    return found
