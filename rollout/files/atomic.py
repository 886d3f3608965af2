"""A new file that is there wholly or not at all, and never in the place of another one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

_UNNAMED: Final[int | None] = getattr(os, "O_TMPFILE", None)
_NOT_HERE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write into, that is on the disk at ``target`` when the ``with`` ends without an
    error. Its folder is made when need be. Where the system knows files without a name a kill
    leaves nothing behind, else a file ``.NAME.new`` that the next try writes over.

    Raises:
        FileExistsError: something lies there already; it stays.
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    fresh = target.with_name(f".{target.name}.new")
    try:
        unnamed = _unnamed(target.parent)
        source = str(fresh) if unnamed is None else f"/proc/self/fd/{unnamed}"
        with fresh.open("wb") if unnamed is None else open(unnamed, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            try:  # with a descriptor of the folder, as a link to the link in /proc is made without
                os.link(source, target.name, dst_dir_fd=folder, follow_symlinks=True)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(target)) from None
        os.fsync(folder)
    finally:
        os.close(folder)
        fresh.unlink(missing_ok=True)


def _unnamed(folder: Path) -> int | None:
    """A file without a name in ``folder``; None where the system has no such thing."""
    if _UNNAMED is None or not os.path.exists("/proc/self/fd"):
        return None
    try:
        return os.open(folder, _UNNAMED | os.O_RDWR, 0o644)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return None
        raise
