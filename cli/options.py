"""Options that commands share, and the places they lead to."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from state.place import index_path

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
ThreadsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="THREAD",
        help="Ids, unique prefixes of some, names or paths; - takes ids from stdin, one a line.",
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the home and its index are."""

    home: Path
    index: Path
    sqlite_home: Path | None = None
    """Where Codex's own database lies, if not in the home: ``CODEX_SQLITE_HOME``."""


def places_of(home: Path | None, database: Path | None) -> Places:
    """The places that options and environment name."""
    home = (home or Path("~/.codex")).expanduser().absolute()
    if database is None:
        state = os.environ.get("XDG_STATE_HOME", "")
        # The XDG specification has relative values ignored.
        folder = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
        database = index_path(home, folder)
    sqlite_home = os.environ.get("CODEX_SQLITE_HOME")
    return Places(
        home,
        database.expanduser().absolute(),
        Path(sqlite_home).expanduser().absolute() if sqlite_home else None,
    )


def places(context: typer.Context) -> Places:
    """The places of the running command."""
    found = context.find_object(Places)
    if found is None:
        raise RuntimeError("the places are set before any command runs")
    return found
