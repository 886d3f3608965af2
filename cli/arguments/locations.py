"""Where a command works. Standard library only: see :mod:`cli.remote.client`."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

from state.db.location import index_path


class Locations(NamedTuple):
    """Where the home and its index are."""

    home: Path
    index: Path  # type: ignore[assignment]
    sqlite_home: Path | None = None
    """Where Codex's own database is, if not in the home: ``CODEX_SQLITE_HOME``."""
    fleet: str | None = None
    """The address of a fleet that is read in the place of the index ..."""
    machine: str | None = None
    """... of this machine, ..."""
    users: tuple[str, ...] = ()
    """... or of these users, where nothing else is said."""


def locations_of(home: str | None, database: str | None) -> Locations:
    """The locations that options and environment name.

    Raises:
        HomeFolderUnknown: one begins with ``~``, and the folder of that user is not known.
        InvalidFolder: one is relative, and the current folder has been removed.
    """
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]  # it names no folder: what the system knows of the user counts
    codex_home = _absolute(Path("~/.codex" if home is None else home))
    if database is not None:
        index = _absolute(Path(database))
    else:
        state = os.environ.get("XDG_STATE_HOME", "")
        # The XDG specification has relative values ignored.
        folder = Path(state) if os.path.isabs(state) else _absolute(Path("~/.local/state"))
        index = index_path(codex_home, folder)
    sqlite_home = os.environ.get("CODEX_SQLITE_HOME")
    return Locations(codex_home, index, _absolute(Path(sqlite_home)) if sqlite_home else None)


def options_of(here: Locations) -> str:
    """The options that lead a command to the same place, as they are typed; empty if the
    environment does."""
    named = {"home": os.environ.get("CODEX_HOME"), "db": os.environ.get("THREADKEEP_DB")}
    usual = locations_of(named["home"] or None, named["db"] or None)
    options = "" if here.home == usual.home else f"--home {shlex.quote(str(here.home))}"
    if here.index != locations_of(str(here.home), named["db"] or None).index:
        options += f" --db {shlex.quote(str(here.index))}"
    return options.strip()


def _absolute(path: Path) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:  # as in a container: no HOME, and a user without a name
        from state.errors import HomeFolderUnknown

        raise HomeFolderUnknown(path) from None
    if not path.is_absolute():
        from state.userdata.folders import check_current_folder

        check_current_folder(path)
    return path.absolute()
