"""Moves the files of threads into the archive, out of it and into the trash.

Contents and names stay the same, and nothing is ever overwritten. A :class:`MoveGroup` is written
down before it is carried out. Moving it looks at what is done already, so that it can be repeated
after it was interrupted at any step.
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollout.files.access import is_there
from rollout.files.atomic import NO_LINKS, sync_folder, write_synced
from rollout.files.layout import ARCHIVED, SESSIONS, parse_name

TRASH: Final = ".threadkeep-trash"
"""Below the home: a folder for each delete, with the files under their old paths."""
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Move:
    """One file of a thread, and where it goes; paths are relative to the home."""

    thread_id: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class MoveGroup:
    """Files that are moved all or not at all: those of a thread and of the threads below it."""

    thread_id: str
    moves: tuple[Move, ...]
    touch_ns: int | None = None
    """The new mtime of the files, if they get one."""
    trash: str | None = None
    """The trash folder of this delete, relative to the home."""
    purge: bool = False
    """Whether that folder is removed in the end."""

    @property
    def thread_ids(self) -> list[str]:
        """The threads whose files it moves, in order."""
        return list(dict.fromkeys(move.thread_id for move in self.moves))


def archive_path(path: str) -> str:
    """Where a file goes in the archive, which is flat."""
    return f"{ARCHIVED}/{path.rsplit('/', 1)[-1]}"


def session_path(path: str, created_at_ms: int) -> str:
    """Where an archived file goes back to: the folder of the day in its name, or of
    ``created_at_ms`` (UTC) if its name has none."""
    file = path.rsplit("/", 1)[-1]
    name = parse_name(file)
    if name and name.started_at:
        year, month, day = name.started_at[:10].split("-")
    else:
        year, month, day = time.strftime("%Y-%m-%d", time.gmtime(created_at_ms // 1000)).split("-")
    return f"{SESSIONS}/{year}/{month}/{day}/{file}"


def trash_folder(home: Path, thread_id: str, taken: Collection[str] = ()) -> str:
    """A new folder for a delete, relative to the home. Raises OSError if the trash cannot be
    accessed."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder, number = f"{TRASH}/{stamp}-{thread_id}", 1
    while folder in taken or is_there(home / folder):
        number += 1
        folder = f"{TRASH}/{stamp}-{thread_id}-{number}"
    return folder


def occupied_target(home: Path, moves: Sequence[Move]) -> str | None:
    """The first target that is taken, by a file or by another move; None if all are free. Raises
    OSError if a file or its target cannot be accessed."""
    targets = set[str]()
    for move in moves:
        is_there(home / move.source)  # it may be gone, but not where that cannot be seen
        if move.target in targets or _other_file(home / move.source, home / move.target):
            return move.target
        targets.add(move.target)
    return None


def move_group(home: Path, group: MoveGroup) -> None:
    """Move the files of a group that are not moved yet. A file that is gone stays gone. Raises
    OSError if a file cannot be moved; :func:`undo_group` moves the others back."""
    if group.trash:
        _write_manifest(home, group)
    for move in group.moves:
        if is_there(home / move.source):
            move_file(home / move.source, home / move.target)
    for move in group.moves:
        if group.touch_ns is not None and is_there(home / move.target):
            os.utime(home / move.target, ns=(group.touch_ns, group.touch_ns))
    for folder in {(home / move.target).parent for move in group.moves}:
        sync_folder(folder)


def purge(home: Path, group: MoveGroup) -> None:
    """Delete for good what a group has moved into the trash. Raises OSError if some of it cannot be
    deleted and stays in the trash."""
    if group.trash and is_there(home / group.trash):
        shutil.rmtree(home / group.trash)
    with suppress(OSError):  # not empty, or gone
        (home / TRASH).rmdir()


def undo_group(home: Path, group: MoveGroup) -> None:
    """Move the files of a group back. Raises OSError if a file cannot be moved back."""
    for move in reversed(group.moves):
        source, target = home / move.source, home / move.target
        if is_there(target) and not _other_file(source, target):
            move_file(target, source)
    if group.trash:
        (home / group.trash / MANIFEST).unlink(missing_ok=True)
    for folder in _emptied(home, group):
        with suppress(OSError):  # not empty, or never made
            folder.rmdir()


def move_file(source: Path, target: Path) -> None:
    """Move a file to a path where there is none. A kill in the middle leaves it under both names
    until it is moved again. Raises FileExistsError if another file is there, and OSError if it
    cannot be moved."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if _other_file(source, target):
            raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if is_there(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        return
    source.unlink(missing_ok=True)


def _other_file(source: Path, target: Path) -> bool:
    """Whether ``target`` exists and is not the file at ``source``."""
    try:
        there = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not os.path.samestat(source.lstat(), there)
    except FileNotFoundError:
        return False  # it has been moved there already


def _write_manifest(home: Path, group: MoveGroup) -> None:
    """Write a list of what is in a folder of the trash, for people and programs."""
    folder = home / str(group.trash)
    if not any(is_there(home / move.source) for move in group.moves):
        return  # all is moved; a purge may have removed the folder
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "version": 1,
        "thread_id": group.thread_id,
        "threads": group.thread_ids,
        "files": [{"thread_id": move.thread_id, "path": move.source} for move in group.moves],
    }
    write_synced(folder / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")


def _emptied(home: Path, group: MoveGroup) -> Iterator[Path]:
    """The folders that were made for a group, innermost first."""
    if not group.trash:
        return
    for folder, _, _ in os.walk(home / group.trash, topdown=False):
        yield Path(folder)
    yield home / TRASH
