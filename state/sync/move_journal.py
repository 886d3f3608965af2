"""A write-ahead journal of moves, beside the index.

``<index>.moves/<uuid>.json`` says which files go where. It is written before the first file is
moved, and removed when files and rows are as it says. The next process that opens the index
finishes the moves of one that was killed, so that a thread is always in one place, and Codex's own
database (:mod:`state.codex_db.notify`) says where. The process that moves holds
``<index>.moves.lock``.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from rollout.errors import WriterActive
from rollout.files.atomic import atomic_file, sync_folder
from rollout.files.layout import ROOTS
from rollout.files.move import (
    Move,
    MoveGroup,
    move_group,
    note_in_trash,
    remove_moved,
    undo_group,
)
from rollout.files.scan import is_away, stat_file
from rollout.files.trash import TrashRecord, folder_of, tidy
from rollout.files.writer_lock import WriterBarrier
from rollout.metadata.session_index import remove_names
from state.codex_db.notify import CODEX_ERRORS, CodexError, codex_transaction
from state.db.database import Database
from state.db.location import moves_folder, moves_under_way
from state.db.lock import locked
from state.errors import CodexLocked, FileUnusable, IndexBusy, StateError
from state.jobs.progress import SyncProgress
from state.rows.ledger import Changes, newest_first
from state.sync.emptying import Emptied, clear_user_data, remove_folders
from state.sync.sync import apply_changes

_VERSION: Final = 1
_FOLLOWED_FILES: Final = 1000
"""Moved files in one transaction: they are not read."""


@asynccontextmanager
async def exclusive_moves(database: Database, home: Path) -> AsyncGenerator[None]:
    """Hold the lock of the moves of an index. Earlier moves that were cut off are finished first.

    Raises:
        CodexLocked: Codex cannot be notified yet of earlier moves, which would be made again
            after these.
        IndexBusy: another process has held the lock for 10 seconds.
        IndexNotWritable: the lock file cannot be created.
    """
    async with locked(moves_folder(database.path)):
        _, waiting = await _finish(database, home)
        if waiting:
            raise waiting
        yield


async def finish_moves(database: Database, home: Path) -> list[str]:
    """Finish the moves of processes that were killed: why some of them cannot be finished. Moves of
    a running process are left to it."""
    if not moves_under_way(database.path):
        return []
    try:
        async with locked(moves_folder(database.path), patience_s=0):
            problems, _ = await _finish(database, home)
    except IndexBusy:
        return []
    return problems


async def move_all(
    database: Database, home: Path, groups: Sequence[MoveGroup], codex: Path
) -> dict[str, StateError]:
    """Move the files of groups, and update the rows in Codex's database at ``codex`` and in the
    index: the errors, by a group's thread.

    A group that fails stays as it was; the others are moved. If Codex cannot be notified, none is.
    The caller holds the locks, and does not cancel this: only the next process that opens the index
    would finish it. Raises FileUnusable if the journal cannot be written; nothing was moved.
    """
    workers = database.workers
    entry = await workers.finish(partial(_write_entry, database.path, home, groups, codex))
    moved = await workers.finish(partial(_move, home, groups, codex, undo=True))
    await _update_index(database, home, groups, moved)
    if not moved.left:
        await workers.finish(partial(_remove_entry, entry))
    return moved.failed


async def empty_folders(
    database: Database, home: Path, names: Sequence[str], codex: Path
) -> Emptied:
    """Remove folders of the trash for good. The caller holds the lock of the moves. Raises
    FileUnusable if the journal cannot be written; nothing was removed."""
    workers = database.workers
    entry = await workers.finish(partial(_write_entry, database.path, home, [], codex, names))
    done = await remove_folders(database, home, names)
    await workers.finish(partial(_remove_entry, entry))
    return done


async def _finish(database: Database, home: Path) -> tuple[list[str], CodexLocked | None]:
    """Why some moves cannot be finished, and why others wait for Codex's database."""
    folder = moves_folder(database.path)
    problems = []
    waiting = None
    for entry in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            groups, codex, emptied = _read(entry, home)
        except FileUnusable as error:
            problems.append(str(error))
            continue
        try:
            with WriterBarrier.acquire(home) as barrier:
                if written := barrier.writers(_threads_of(groups)):
                    raise next(iter(written.values()))
                moved = await database.workers.finish(
                    partial(_move, home, groups, codex, undo=False)
                )
                await _update_index(database, home, groups, moved)
        except (OSError, WriterActive) as error:
            problems.append(str(error))
            continue
        problems += moved.left
        if emptied:
            problems += (await remove_folders(database, home, emptied)).problems
        if moved.codex_error:
            problems.append(
                f"the files were moved, but Codex was not notified: {moved.codex_error};"
                " threadkeep codex-check shows what is left to fix"
            )
        if isinstance(moved.codex_error, CodexLocked):
            waiting = moved.codex_error
        elif not moved.left:
            _remove_entry(entry)
    for unwritten in folder.glob("*.new"):
        unwritten.unlink()  # the process was killed before it moved anything
    with suppress(OSError):
        folder.rmdir()
    return problems, waiting


@dataclass(slots=True)
class _Moved:
    failed: dict[str, StateError] = field(default_factory=dict)
    """Errors, by a group's thread."""
    left: list[str] = field(default_factory=list)
    """Errors of moves that could not be undone either."""
    codex_error: CodexError | None = None
    """Why Codex was not notified."""

    def done(self, groups: Sequence[MoveGroup]) -> list[MoveGroup]:
        """The groups that were moved."""
        return [group for group in groups if group.thread_id not in self.failed]


async def _update_index(
    database: Database, home: Path, groups: Sequence[MoveGroup], moved: _Moved
) -> None:
    await _follow(database, home, [move for group in groups for move in group.moves])
    if ids := [id_ for group in moved.done(groups) if group.purge for id_ in group.thread_ids]:
        await clear_user_data(database, ids)


def _move(home: Path, groups: Sequence[MoveGroup], codex: Path | None, *, undo: bool) -> _Moved:
    """Move the files and notify Codex. If it cannot be notified, the moves are undone, unless they
    were cut off before: then it may have been notified already."""
    moved = _Moved()
    try:
        with codex_transaction(codex) as rows:
            _carry_out(home, groups, moved)
            rows.follow(home, moved.done(groups))
    except CODEX_ERRORS as error:
        if undo:
            for group in moved.done(groups):
                moved.failed[group.thread_id] = error
                _take_back(home, group, moved)
        else:
            moved = _Moved(codex_error=error)
            _carry_out(home, groups, moved)
    _purge(home, groups, moved)
    for folder in _left_folders(groups, moved):
        tidy(home, folder)
    return moved


def _carry_out(home: Path, groups: Sequence[MoveGroup], moved: _Moved) -> None:
    try:
        note_in_trash(home, groups)
    except OSError as error:
        _fail(home, groups, error, moved)
        return
    for group in groups:
        try:
            move_group(home, group)
        except OSError as error:
            _fail(home, [group], error, moved)
    # Together, as one folder's write to the disk takes the other changes along.
    filled: defaultdict[str, list[MoveGroup]] = defaultdict(list)
    for group in moved.done(groups):
        for folder in {move.target.rpartition("/")[0] for move in group.moves}:
            filled[folder].append(group)
    for folder, some in filled.items():
        try:
            sync_folder(home / folder)
        except OSError as error:
            _fail(home, moved.done(some), error, moved)


def _fail(home: Path, groups: Sequence[MoveGroup], error: OSError, moved: _Moved) -> None:
    for group in groups:
        moved.failed[group.thread_id] = _unusable(home, error)
        _take_back(home, group, moved)


def _take_back(home: Path, group: MoveGroup, moved: _Moved) -> None:
    try:
        undo_group(home, group)
    except OSError as worse:
        moved.left.append(str(_unusable(home, worse)))


def _purge(home: Path, groups: Sequence[MoveGroup], moved: _Moved) -> None:
    leaving = [group for group in moved.done(groups) if group.purge]
    try:
        if leaving:
            remove_names(home, _threads_of(leaving))
    except OSError as error:
        moved.failed |= {group.thread_id: _unusable(home, error) for group in leaving}
        return
    for group in leaving:
        try:
            remove_moved(home, group)
        except OSError as error:
            moved.failed[group.thread_id] = _unusable(home, error)


def _left_folders(groups: Sequence[MoveGroup], moved: _Moved) -> set[str]:
    """The folders of the trash that files have left: for good, or back into the home."""
    back = (group for group in groups if group.purge or group.thread_id in moved.failed)
    folders = {group.trash for group in back if group.trash}
    sources = (folder_of(move.source) for group in groups for move in group.moves)
    return folders | {folder for folder in sources if folder}


def _threads_of(groups: Sequence[MoveGroup]) -> list[str]:
    return list(dict.fromkeys(id_ for group in groups for id_ in group.thread_ids))


def _unusable(home: Path, error: OSError) -> FileUnusable:
    unusable = FileUnusable.of(error, home)
    unusable.__cause__ = error
    return unusable


async def _follow(database: Database, home: Path, moves: Sequence[Move]) -> None:
    """Update the index, as a sync of just these paths does."""
    changes = Changes()
    for path in {path for move in moves for path in (move.source, move.target)}:
        if path.split("/", 1)[0] not in ROOTS:
            continue
        found = stat_file(home, path)
        if found is None:
            changes.vanished.append(path)
        elif not is_away(found):
            changes.to_read.append(found)
    gone = set(changes.vanished)
    changes.moved_from = {move.target: move.source for move in moves if move.source in gone}
    changes.to_read.sort(key=newest_first, reverse=True)
    await apply_changes(database, home, changes, SyncProgress(), batch_files=_FOLLOWED_FILES)


def _write_entry(
    index: Path,
    home: Path,
    groups: Sequence[MoveGroup],
    codex: Path,
    emptied: Sequence[str] = (),
) -> Path:
    """Write an entry, which is on the disk when this returns."""
    entry = moves_folder(index) / f"{uuid.uuid4()}.json"
    value = {
        "v": _VERSION,
        "home": str(home.resolve()),
        "codex": str(codex.absolute()),
        "groups": groups,
        "emptied": emptied,
    }
    try:
        entry.parent.mkdir(mode=0o700, exist_ok=True)
        with atomic_file(entry) as file:
            # A path may have bytes that are no text.
            file.write(json.dumps(value, default=asdict).encode())
    except OSError as error:
        raise FileUnusable.of(error, entry) from error
    return entry


def _read(entry: Path, home: Path) -> tuple[list[MoveGroup], Path | None, list[str]]:
    """The groups of an entry, Codex's database, which older entries do not name, and the folders of
    the trash that are removed. Raises FileUnusable if it cannot be read, or is of another home."""
    try:
        value = json.loads(entry.read_bytes())
        if value["v"] != _VERSION or value["home"] != str(home.resolve()):
            raise FileUnusable(entry, "it is of another version, or of another home")
        groups = [_group(group) for group in value["groups"]]
        codex = Path(value["codex"]) if "codex" in value else None
        return groups, codex, value.get("emptied", [])
    except OSError as error:
        raise FileUnusable.of(error, entry) from error
    except (ValueError, TypeError, KeyError) as error:
        raise FileUnusable(entry, "it is damaged") from error


def _group(value: dict[str, Any]) -> MoveGroup:
    moves = tuple(Move(**move) for move in value["moves"])
    records = tuple(
        TrashRecord(**{**record, "needs": tuple(record["needs"])})
        for record in value.get("records", ())
    )
    return MoveGroup(**{**value, "moves": moves, "records": records})


def _remove_entry(entry: Path) -> None:
    """Remove an entry, and the folder if it is empty then."""
    entry.unlink()
    with suppress(OSError):
        entry.parent.rmdir()
