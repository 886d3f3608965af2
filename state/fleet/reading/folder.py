"""The folder in which copies of rollouts are kept: private, one writer a file, nothing for ever."""

import asyncio
import errno
import os
import shutil
import stat
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from rollout.files.writer_lock import try_lock

HOME: Final = "home"
INDEX: Final = "index.sqlite3"
_MARKS: Final = "marks"
_LONGEST_S: Final = 7 * 24 * 3600
_LOOK_S: Final = 3600
"""Copies that nobody has used for so long go, which is looked at so often."""
_WAIT_S: Final = 0.02
_PATIENCE_S: Final = 60.0


class Mark:
    """What is known of a file in the cache; whoever holds it may write the file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> bytes:
        """What was noted last; empty for a new file."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def write(self, data: bytes) -> None:
        """Note what the file is. Raises OSError if that cannot be written."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)

    def use(self) -> None:
        """Note that the file is used now."""
        os.utime(self._descriptor)


def home_of(cache: Path, machine_id: int) -> Path:
    """Where the rollouts of a machine lie, as they do in its own home."""
    return cache / str(machine_id) / HOME


def index_of(home: Path) -> Path:
    """Where the index of a home in the cache lies."""
    return home.with_name(INDEX)


def make_private(cache: Path, below: str = "") -> Path:
    """The folder ``below`` one of a cache, made for nobody else if need be. Raises OSError if that
    cannot be, or if something else is in its place: no link leads out of a cache."""
    cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = cache
    for name in ("", *filter(None, below.split("/"))):
        folder = folder / name
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        info = os.lstat(folder)
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
            raise OSError(errno.ENOTDIR, "it is no folder of yours", str(folder))
        if folder == cache and info.st_mode & 0o077:
            folder.chmod(0o700)
    return folder


@asynccontextmanager
async def marked(cache: Path, machine_id: int, path: str) -> AsyncGenerator[Mark]:
    """Hold the mark of the file at ``path`` in the home of a machine. Raises OSError if there can
    be none, or if another process has held it for too long."""
    folder, _, name = path.rpartition("/")
    until = time.monotonic() + _PATIENCE_S
    while True:
        place = make_private(cache, f"{machine_id}/{_MARKS}/{folder}") / name
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            while not try_lock(descriptor):
                if time.monotonic() > until:
                    raise OSError(errno.EBUSY, "another process has been fetching it", str(place))
                await asyncio.sleep(_WAIT_S)
            if _is_still(place, descriptor):
                yield Mark(descriptor)
                return
        finally:
            os.close(descriptor)


def _is_still(place: Path, descriptor: int) -> bool:
    """Whether nobody has removed the open file at a place meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(place))
    except FileNotFoundError:
        return False


def remove_unused(cache: Path) -> None:
    """Remove the copies that nobody has used for a week, if nobody has looked for them in the last
    hour. What cannot be removed stays."""
    looked = cache / "looked"
    now = time.time()
    with suppress(OSError):
        if now - looked.lstat().st_mtime < _LOOK_S:
            return
    with suppress(OSError):
        looked.touch(mode=0o600)
        for machine in [each for each in cache.iterdir() if each.name.isdecimal()]:
            for mark in [*_files(machine / _MARKS)]:
                _remove_if_unused(machine, mark, now)
            _remove_empty(machine)


def _remove_if_unused(machine: Path, mark: Path, now: float) -> None:
    with suppress(OSError):
        descriptor = os.open(mark, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if now - os.fstat(descriptor).st_mtime > _LONGEST_S and try_lock(descriptor):
                file = machine / HOME / mark.relative_to(machine / _MARKS)
                for each in (file, file.with_name(f".{file.name}.new")):  # as a kill leaves it
                    each.unlink(missing_ok=True)
                mark.unlink()
        finally:
            os.close(descriptor)


def _remove_empty(machine: Path) -> None:
    for root in (machine / _MARKS, machine / HOME):
        for folder, _, _ in os.walk(root, topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(folder)
    if not (machine / _MARKS).exists() and not (machine / HOME).exists():
        shutil.rmtree(machine, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)
