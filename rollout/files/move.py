"""Moves the files of threads into the archive, out of it, into the trash and back.

Contents and names stay the same, and nothing is ever overwritten. A :class:`MoveGroup` is written
down before it is carried out. Moving it looks at what is done already, so that it can be repeated
after it was interrupted at any step.
"""

import errno
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.files.access import is_there
from rollout.files.atomic import NO_LINKS
from rollout.files.layout import ARCHIVED, SESSIONS, parse_name
from rollout.files.trash import TrashRecord, write_records


@dataclass(frozen=True, slots=True)
class Move:
    """One file of a thread, and where it goes; paths are relative to the home."""

    thread_id: str
    source: str
    target: str
    size: int = 0
    """In bytes, as the index has it."""


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
    """Whether the files are removed in the end."""
    records: tuple[TrashRecord, ...] = ()
    """What the manifest of the trash folder says of the threads."""

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


def occupied_target(home: Path, moves: Sequence[Move]) -> str | None:
    """The first target that is taken, by a file or by another move; None if all are free. Raises
    OSError if a file or its target cannot be accessed."""
    targets = set[str]()
    for move in moves:
        source = f"{home}/{move.source}"
        is_there(source)  # it may be gone, but not where that cannot be seen
        if move.target in targets or _other_file(source, f"{home}/{move.target}"):
            return move.target
        targets.add(move.target)
    return None


def note_in_trash(home: Path, groups: Sequence[MoveGroup]) -> None:
    """Write into the manifests of the trash what is going to be moved there, but for groups that
    have been moved already. Raises OSError if that cannot be written."""
    waiting: defaultdict[str, list[MoveGroup]] = defaultdict(list)
    for group in groups:
        if group.trash and group.records and _is_waiting(home, group):
            waiting[group.trash].append(group)
    for folder, some in waiting.items():
        threads = []
        for group in some:
            files: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
            for move in group.moves:
                files[move.thread_id].append((move.source, move.size))
            threads += [(record, files[record.thread_id]) for record in group.records]
        write_records(home, folder, threads)


def move_group(home: Path, group: MoveGroup) -> None:
    """Move the files of a group that are not moved yet. A file that is gone stays gone. Raises
    OSError if a file cannot be moved; :func:`undo_group` moves the others back."""
    for move in group.moves:
        source, target = f"{home}/{move.source}", f"{home}/{move.target}"
        if not is_there(source):
            continue
        if group.trash and not is_there(target):
            _rename(source, target)  # nobody else writes into the folder of this delete
        else:
            move_file(Path(source), Path(target))
    for move in group.moves:
        if group.touch_ns is not None and is_there(home / move.target):
            os.utime(home / move.target, ns=(group.touch_ns, group.touch_ns))


def remove_moved(home: Path, group: MoveGroup) -> None:
    """Delete for good what a group has moved. Raises OSError if some of it cannot be deleted."""
    for move in group.moves:
        (home / move.target).unlink(missing_ok=True)


def undo_group(home: Path, group: MoveGroup) -> None:
    """Move the files of a group back. Raises OSError if a file cannot be moved back."""
    for move in reversed(group.moves):
        source, target = home / move.source, home / move.target
        if is_there(target) and not _other_file(source, target):
            move_file(target, source)


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


def _other_file(source: Path | str, target: Path | str) -> bool:
    """Whether ``target`` exists and is not the file at ``source``."""
    try:
        there = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not os.path.samestat(os.lstat(source), there)
    except FileNotFoundError:
        return False  # it has been moved there already


def _is_waiting(home: Path, group: MoveGroup) -> bool:
    return any(is_there(f"{home}/{move.source}") for move in group.moves)


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
