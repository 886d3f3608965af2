"""Whether something is at a path, and what it is that refuses an access.

``os.path.exists`` and its relatives say no where they cannot look, too: in a folder without
permission, on a drive that fails. What cannot be looked at is not gone.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path


def is_there(path: Path | str) -> bool:
    """Whether something is at ``path``, be it a link that leads nowhere. Raises OSError if that
    cannot be seen."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def can_be_read(path: Path) -> bool:
    """Whether the first byte of a file can be read, if it has one."""
    try:
        with path.open("rb", buffering=0) as file:
            file.read(1)
    except OSError:
        return False
    return True


def readable_files(home: Path, paths: Iterable[str]) -> set[str]:
    """Those of the files at ``paths``, relative to the home, whose first byte can be read. In a
    folder that cannot be entered none is tried: a whole home costs one look for each folder."""
    entered: dict[str, bool] = {}
    readable: set[str] = set()
    for path in paths:
        folder = os.path.dirname(path)
        if folder not in entered:
            entered[folder] = os.access(home / folder, os.X_OK)
        if entered[folder] and can_be_read(home / path):
            readable.add(path)
    return readable


def refusing(error: OSError, path: Path) -> Path:
    """What an error is about that names files, or else ``path``: if a permission is missing, the
    file or folder that lacks it, which is often not the one that the system names."""
    given = [error.filename, error.filename2]
    named = [Path(os.fsdecode(name)) for name in given if isinstance(name, str | bytes)] or [path]
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        for name in named:
            if (lacking := _lacking(name, moved=len(named) > 1)) is not None:
                return lacking
    return named[-1]


def _lacking(path: Path, *, moved: bool) -> Path | None:
    """What lacks a permission: a folder above ``path`` or, unless it is ``moved``, the file."""
    folder = path
    for above in reversed(path.parents):
        if not os.access(above, os.F_OK):
            break
        folder = above
        if not os.access(folder, os.X_OK):
            return folder
    wanted = os.R_OK | os.W_OK | (os.X_OK if os.path.isdir(path) else 0)
    if not moved and os.access(path, os.F_OK) and not os.access(path, wanted):
        return path
    return None if os.access(folder, os.W_OK) else folder
