"""Bring the index in step with a few files of which somebody has told that they were touched."""

import os
from collections.abc import Collection
from pathlib import Path
from stat import S_ISREG
from typing import Final

import sqlalchemy as sa

from rollout.files.layout import ROOTS, logical_path, parse_name
from rollout.files.scan import FoundFile, stat_file
from state.db.database import Database
from state.db.schema import rollout_files
from state.db.sql import among
from state.jobs.progress import SyncProgress
from state.sync.ledger import Ledger, compare_with_ledger
from state.sync.sync import apply_changes

MOST_PATHS: Final = 100
"""From so many on, looking at all files costs no more."""
_c = rollout_files.c
_LEDGER_COLUMNS: Final = (
    _c.path,
    _c.size_bytes,
    _c.mtime_ns,
    _c.inode,
    _c.retry,
    _c.extractor_version,
    _c.reason,
    _c.thread_id,
)


async def sync_paths(database: Database, home: Path, paths: Collection[str]) -> set[str] | None:
    """Read what has changed of the files at ``paths``, relative to the home, and give the ids of
    the threads that they belong to. None where only a look at everything tells what has happened;
    nothing was done then.

    Raises:
        IndexBusy: another process kept the write lock.
    """
    if len(paths) >= MOST_PATHS:
        return None
    found: list[FoundFile] = []
    gone: list[str] = []
    for path in paths:
        kind = _kind(home, path)
        if kind == "anything":
            return None
        if kind == "rollout":
            file = stat_file(home, path)
            if file is None:
                gone.append(path)
            else:
                found.append(file)
    names = {_name(file.path) for file in found}
    if not all(_name(path) in names for path in gone):
        return None  # it may be somewhere else now, and whoever moved it may have told the index
    known, before = await _ledger(database, [*gone, *(file.path for file in found)])
    changes = compare_with_ledger(found, known)
    if changes:
        await apply_changes(database, home, changes, SyncProgress(files=changes.files))
    _, after = await _ledger(database, [file.path for file in found])
    return before | after


def _kind(home: Path, path: str) -> str:
    """What an event at ``path`` is about: a ``rollout`` that is there or was, ``nothing`` that
    matters, or else ``anything``: a folder with all that is in it, a name, a setting."""
    root, _, rest = path.partition("/")
    folder, name = os.path.split(rest)
    if root not in ROOTS or not name:
        return "anything"
    base = os.path.realpath(home / root)
    if os.path.realpath(os.path.join(base, folder)) != os.path.join(base, folder).rstrip("/"):
        return "nothing"  # behind a symbolic link, which a scan does not follow
    try:
        info = (home / path).lstat()
    except OSError:
        return "rollout" if parse_name(name) else "anything"  # it may have been a folder
    if not S_ISREG(info.st_mode):
        return "anything"
    # Other files concern only the ledger, and the next look at everything notes them.
    return "rollout" if parse_name(name) else "nothing"


def _name(path: str) -> str:
    return logical_path(path.rsplit("/", 1)[-1])


async def _ledger(database: Database, paths: Collection[str]) -> tuple[Ledger, set[str]]:
    """The ledger of some paths, and the ids of the threads that it has for them."""
    known: Ledger = {}
    ids: set[str] = set()
    async with database.read() as connection:
        asked = sa.select(*_LEDGER_COLUMNS).where(among(_c.path, paths))
        for path, *entry, thread_id in await connection.execute(asked):
            known[path] = tuple(entry)
            if thread_id is not None:
                ids.add(thread_id)
    return known, ids
