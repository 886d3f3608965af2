"""Files that commands write for people: whole or not at all, for their owner only."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cli.reading.errors import NoRegularFile
from state.errors import FileUnusable

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_replaceable(path: Path) -> None:
    """See that a file may be put at ``path``: that nothing is there, or a file, or a link to one.

    Raises:
        NoRegularFile: something else is there, or a link of the system's to what a process has
            open, which may be a file now.
    """
    folder = os.path.realpath(path.parent)
    if path.is_symlink() and (folder == "/dev" or folder.startswith("/proc/")):
        raise NoRegularFile(path, "a link of the system's")
    try:
        mode = path.stat().st_mode
    except OSError:  # whether it can be written, writing tells
        return
    if not stat.S_ISREG(mode):
        raise NoRegularFile(path, next((name for fits, name in _KINDS if fits(mode)), "special"))


def save(path: Path, content: Iterator[bytes]) -> int:
    """Write a file in one step, readable by its owner only: what was said may be private. Gives
    its size in bytes.

    Raises:
        FileUnusable: it cannot be written; what was there stays.
        NoRegularFile: what is there is no file.
    """
    check_replaceable(path)
    temporary = ""
    try:
        folder = path.parent
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            for piece in content:
                file.write(piece)
            size = file.tell()
        os.replace(temporary, path)
    except BaseException as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise FileUnusable(path, error.strerror or str(error)) from error
        raise
    return size
