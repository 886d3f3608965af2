"""Bring a thread from the cache into a home, as the rollout that Codex goes on in.

Nothing is overwritten. Where the thread is here as it was before, its rollouts get the lines that
they lack. The rollout that a thread goes on in comes first of the new ones, in one step with the
others: where a kill has left some of them out, the next pull adds them, as what is there is the
same.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from rollout.errors import HistoryIncomplete, RolloutError
from rollout.files.access import is_there
from rollout.files.atomic import atomic_file, sync_folder
from rollout.files.layout import (
    COMPRESSED_SUFFIX,
    SESSIONS,
    logical_path,
    misplacement,
    parse_name,
    parse_uuid,
)
from rollout.files.move import session_path
from rollout.files.writer_lock import WriterLock
from rollout.history.segments import source_meta
from rollout.jsonl.reader import open_rollout
from rollout.metadata.extract import extract_file
from rollout.metadata.outcomes import Extracted
from state.edit.lineage import read_threads_steps
from state.errors import RolloutNotPushed, ThreadIsHere, file_errors
from state.fleet.reading.cache import CachedThread
from state.fleet.reading.growth import Growth, WrittenMeanwhile, append, blocks, growth
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex

_BLOCK_BYTES: Final = 256 * 1024


class Relation(StrEnum):
    """How the content of a file here is related to that of a copy."""

    SAME = "same"
    BEHIND = "behind"
    """It is the beginning of the copy."""
    AHEAD = "ahead"
    """The copy is its beginning."""
    DIFFERENT = "different"


class NewFile(NamedTuple):
    """A rollout that is brought here."""

    source: Path
    target: str
    """Relative to the home."""
    size: int


class Pulled(NamedTuple):
    """What was done, or would be."""

    cached: CachedThread
    files: tuple[NewFile, ...]
    """None if all were here already."""
    ahead: bool = False
    """Whether the thread has gone on here since its machine pushed it."""
    grown: tuple[Growth, ...] = ()
    """What is appended to rollouts that were here."""


async def pull(index: ThreadIndex, cached: CachedThread, *, dry_run: bool = False) -> Pulled:
    """Bring a thread into the home of ``index``, which is caught up with it.

    Raises, and nothing is changed, unless a disk is full: whole lines may have been appended then.
        CopyUnusable: what the fleet has is no rollout of this thread.
        DamagedCompression: a rollout is compressed, and damaged.
        FileUnusable: the home cannot be written, or a file cannot be read.
        RolloutNotPushed: the fleet has only its messages.
        ThreadIsHere: the thread is here and not as it is there, or a file is in the way.
        WriterActive: somebody is writing it here.
    """
    copy = cached.copy
    if cached.only_messages:
        raise RolloutNotPushed(copy.thread_id, copy.machine)
    workers = index.database.workers
    await index.sync()
    if dry_run:
        return await _planned(index, cached)
    lock = await workers.finish(
        partial(_locked, index.home, copy.thread_id), undo=WriterLock.release
    )
    with lock:
        await index.sync()  # until now, it may have been written
        planned = await _planned(index, cached)
        if planned.files or planned.grown:
            await workers.finish(partial(_put, index.home, cached, planned))
    if planned.files or planned.grown:
        await index.sync()
    return planned


def _locked(home: Path, thread_id: str) -> WriterLock:
    with file_errors(home):
        return WriterLock.acquire(home, thread_id)


async def _planned(index: ThreadIndex, cached: CachedThread) -> Pulled:
    nodes = await index.database.query(read_threads_steps([cached.copy.thread_id]))
    node = nodes.get(cached.copy.thread_id)
    paths = sorted(node.files if node else (), key=lambda path: misplacement(path) is None)
    here = {_rollout_id(path): path for path in paths}  # copies beside a file count less
    return await index.database.workers.run(partial(_plan, index, cached, here))


def _plan(index: ThreadIndex, cached: CachedThread, here: dict[str, str]) -> Pulled:
    """What is to be brought here; ``here`` are the paths of the thread's rollouts in the home, by
    their ids."""
    home = index.home
    with file_errors(home):
        for path in cached.own:
            _check_own(cached, path)
        there = {_rollout_id(path): path for path in cached.own}
        is_newest_here = _rollout_id(cached.own[0]) in here or not here
        missing = [path for id_, path in there.items() if id_ not in here]
        found = {
            id_: relation(home / here[id_], cached.home / path)
            for id_, path in there.items()
            if id_ in here
        }
        more = here.keys() - there.keys()
        _check_relations(cached, found, is_newest_here, bool(more))
        if more or Relation.AHEAD in found.values():
            return Pulled(cached, (), ahead=True)
        behind = [id_ for id_ in there if found.get(id_) is Relation.BEHIND]
        for id_ in behind:
            _check_can_grow(cached, home / here[id_])
        # The older ones first: the newer ones go on from them.
        grown = [growth(home, here[id_], cached.home / there[id_]) for id_ in reversed(behind)]
        find = rollout_locator(index)
        missing += [path for path in cached.others if find(_rollout_id(path)) is None]
        files = [_new_file(cached, path) for path in missing]
        for file in files:
            _check_target(cached, home, file.target)
    return Pulled(cached, tuple(files), grown=tuple(filter(None, grown)))


def _check_own(cached: CachedThread, path: str) -> None:
    """Raises CopyUnusable unless a rollout is one of this thread, by its name and by what it
    says."""
    copy = cached.copy
    name = parse_name(path)
    if name is None or name.thread_id != copy.thread_id or misplacement(_target(path)):
        raise copy.unusable(f"Codex would not find a file named {path.rpartition('/')[2]}")
    try:
        said = parse_uuid(source_meta(cached.home / path).get("id"))
    except HistoryIncomplete:  # of one of the first versions, whose files have no such line
        said = _id_of(cached.home, path)
    except RolloutError as error:
        raise copy.unusable(str(error)) from error
    if said is None:
        raise copy.unusable("its rollout cannot be read, and Codex could not go on with it")
    if said != copy.thread_id:
        raise copy.unusable(f"its rollout says that it is of thread {said}")


def _id_of(home: Path, path: str) -> str | None:
    """The thread that the index would take a file for."""
    outcome = extract_file(home, path)
    return outcome.metadata.id if isinstance(outcome, Extracted) else None


def _check_relations(
    cached: CachedThread, found: dict[str, Relation], is_newest_here: bool, has_more: bool
) -> None:
    """Raises ThreadIsHere unless what is here is the same as there, goes on from it, or is its
    beginning; ``has_more`` says that rollouts are not there.

    A Codex that knows the thread goes on in the rollout that its database names, and not in a newer
    one that has come beside it (seen with 0.169 and 0.171).
    """
    relations = set(found.values())
    behind = Relation.BEHIND in relations or not is_newest_here
    ahead = Relation.AHEAD in relations or has_more
    if Relation.DIFFERENT in relations or (behind and ahead):
        raise _is_here(cached, f"it differs from the copy of machine {cached.copy.machine}")
    if not is_newest_here:
        reason = f"it was reverted on machine {cached.copy.machine}, and Codex would not see that"
        raise _is_here(cached, reason)


def _check_can_grow(cached: CachedThread, path: Path) -> None:
    """Raises ThreadIsHere if nothing can be appended to a rollout that is here."""
    if path.name.endswith(COMPRESSED_SUFFIX):
        machine = cached.copy.machine
        reason = f"the copy of machine {machine} has gone on, but what is here is compressed"
        raise _is_here(cached, reason)


def relation(here: Path, there: Path) -> Relation:
    """How the content of two rollouts is related, be they compressed or not. Raises OSError if one
    of them cannot be read, and DamagedCompression if one is damaged."""
    with open_rollout(here) as one, open_rollout(there) as other:
        for mine, theirs in zip(blocks(one), blocks(other), strict=False):
            length = min(len(mine), len(theirs))
            if mine[:length] != theirs[:length]:
                return Relation.DIFFERENT
            if len(mine) != len(theirs):
                return Relation.BEHIND if len(mine) < len(theirs) else Relation.AHEAD
            if not mine:
                return Relation.SAME
    raise AssertionError


def _new_file(cached: CachedThread, path: str) -> NewFile:
    source = cached.home / path
    return NewFile(source, _target(path), source.stat().st_size)


def _target(path: str) -> str:
    """Where a rollout goes: into the folder of the day in its name, also out of an archive."""
    name = parse_name(path)
    return session_path(path, 0) if name and name.started_at else path


def _check_target(cached: CachedThread, home: Path, target: str) -> None:
    """Raises ThreadIsHere if a file is where a rollout would go, in whatever form, or if one of its
    folders is a link: nobody finds what is behind it."""
    place = home / SESSIONS
    for part in target.split("/")[1:-1]:
        place /= part
        if is_there(place) and (place.is_symlink() or not place.is_dir()):
            raise _taken(cached, place)
    logical = home / logical_path(target)
    for path in (logical, logical.with_name(logical.name + COMPRESSED_SUFFIX)):
        if is_there(path):
            raise _taken(cached, path)


def _taken(cached: CachedThread, path: Path) -> ThreadIsHere:
    return _is_here(cached, f"there is something at {path}")


def _is_here(cached: CachedThread, reason: str) -> ThreadIsHere:
    return ThreadIsHere(cached.copy.thread_id, cached.copy.machine, reason)


def _put(home: Path, cached: CachedThread, planned: Pulled) -> None:
    """Append what is missing, then make all new files, or none; the first of them first."""
    for grown in planned.grown:
        with file_errors(home / grown.target):
            try:
                append(home, grown)
            except WrittenMeanwhile:
                raise _is_here(cached, f"{home / grown.target} has just been written") from None
    _make(home, cached, planned.files)


def _make(home: Path, cached: CachedThread, files: Sequence[NewFile]) -> None:
    with file_errors(home):
        try:
            with ExitStack() as made:
                for file in reversed(files):  # what was opened last is put in its place first
                    target = made.enter_context(atomic_file(home / file.target))
                    _copy(file.source, target)
        except FileExistsError as error:
            raise _taken(cached, Path(error.filename)) from error
        for folder in {above for file in files for above in (home / file.target).parents}:
            if folder.is_relative_to(home):
                sync_folder(folder)


def _copy(source: Path, target: BinaryIO) -> None:
    with source.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            target.write(block)
        target.flush()
        info = os.fstat(file.fileno())
        os.utime(target.fileno(), ns=(info.st_mtime_ns, info.st_mtime_ns))


def _rollout_id(path: str) -> str:
    name = parse_name(path)
    return (name and name.rollout_id) or path
