"""Where a command works. Standard library only: see :mod:`cli.remote.client`."""

import os
from dataclasses import dataclass
from pathlib import Path

from state.db.location import index_path
from state.userdata.folders import check_current_folder


@dataclass(frozen=True, slots=True)
class Locations:
    """Where the home and its index are."""

    home: Path
    index: Path
    sqlite_home: Path | None = None
    """Where Codex's own database lies, if not in the home: ``CODEX_SQLITE_HOME``."""


def locations_of(home: Path | None, database: Path | None) -> Locations:
    """The locations that options and environment name.

    Raises:
        FolderUnknown: one begins with ``~``, and the folder of that user is not known.
        InvalidFolder: one is relative, and the current folder has been removed.
    """
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]  # it names no folder: what the system knows of the user counts
    home = _absolute(home or Path("~/.codex"))
    if database is None:
        state = os.environ.get("XDG_STATE_HOME", "")
        # The XDG specification has relative values ignored.
        folder = Path(state) if os.path.isabs(state) else _absolute(Path("~/.local/state"))
        database = index_path(home, folder)
    sqlite_home = os.environ.get("CODEX_SQLITE_HOME")
    return Locations(
        home,
        _absolute(database),
        _absolute(Path(sqlite_home)) if sqlite_home else None,
    )


def _absolute(path: Path) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:  # as in a container: no HOME, and a user without a name
        from state.errors import HomeFolderUnknown

        raise HomeFolderUnknown(path) from None
    check_current_folder(path)
    return path.absolute()
