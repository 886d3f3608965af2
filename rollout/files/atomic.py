"""Writes that are on the disk when they return: new files, files in the place of others, lines."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from rollout.files.access import is_there

_UNNAMED: Final[int | None] = getattr(os, "O_TMPFILE", None)
NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK})
"""What a file system says that knows no links, or no more of them."""
_NOT_HERE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """A new file to write into, which is on the disk at ``target`` when the ``with`` ends without
    an error. Its folder is made if there is none. Where the system knows files without a name, a
    kill leaves nothing behind; elsewhere it leaves ``.NAME.new``, which the next try overwrites.

    Raises:
        FileExistsError: something is there already; it stays.
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
                reason = error.errno
                if reason in NO_LINKS and unnamed is None:
                    reason = errno.EEXIST if is_there(target) else None
                if reason is not None:
                    raise OSError(reason, os.strerror(reason), str(target)) from None
                fresh.rename(target)
        os.fsync(folder)
    finally:
        os.close(folder)
        fresh.unlink(missing_ok=True)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file, on the disk when this returns. Raises OSError if it cannot be written; part of
    it may be there."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Put new content in the place of a file, in one step, with the same permissions. Raises
    OSError if it cannot be done; the file is as it was."""
    fresh = path.with_name(f".{path.name}.new")
    write_synced(fresh, data)
    fresh.chmod(path.stat().st_mode & 0o777)
    fresh.replace(path)


def append_lines(path: Path, lines: bytes, mode: int = 0o644) -> None:
    """Append whole lines to a file, on the disk when this returns. A torn last line is ended first,
    so that only it is lost. ``mode``: of the file if there is none yet. Raises OSError if they
    cannot all be written; what was is a torn line."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    with open(descriptor, "r+b", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        rest = memoryview(b"\n" * torn + lines)
        while rest:  # an unbuffered write may take a part, on a disk that is nearly full
            rest = rest[file.write(rest) :]
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, if the folder exists. Raises OSError if that
    fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
