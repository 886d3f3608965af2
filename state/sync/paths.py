"""Bring the index in step with a few paths that have changed."""

import os
from collections.abc import Collection
from pathlib import Path
from stat import S_ISREG
from typing import Final

from rollout.files.layout import ROOTS, logical_path, parse_name
from rollout.files.scan import FoundFile, stat_file
from state.db.database import Database
from state.db.sql import AMONG, listed
from state.db.steps import Steps
from state.jobs.progress import SyncProgress
from state.rows.ledger import LEDGER_SQL, Ledger, compare_with_ledger, ledger_of
from state.sync.sync import apply_changes

MOST_PATHS: Final = 100
"""From so many paths on, a scan of the home costs no more."""


async def sync_paths(database: Database, home: Path, paths: Collection[str]) -> set[str] | None:
    """Read what has changed at ``paths``, relative to the home: the ids of the threads concerned.
    None, with nothing done, where only a scan can tell what has happened. Raises IndexBusy if
    another process kept the write lock."""
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
        return None  # it may have been moved, and the index may know that already
    known, before = await database.query(_ledger_steps([*gone, *(file.path for file in found)]))
    changes = compare_with_ledger(found, known)
    if changes:
        await apply_changes(database, home, changes, SyncProgress(files=changes.files))
    _, after = await database.query(_ledger_steps([file.path for file in found]))
    return before | after


def _kind(home: Path, path: str) -> str:
    """What an event at ``path`` concerns: a ``rollout`` that is there or was, ``nothing`` that
    matters, or ``anything``, such as all of a folder, a name or a setting."""
    root, _, rest = path.partition("/")
    folder, name = os.path.split(rest)
    if root not in ROOTS or not name:
        return "anything"
    base = os.path.realpath(home / root)
    if os.path.realpath(os.path.join(base, folder)) != os.path.join(base, folder).rstrip("/"):
        return "nothing"  # behind a symbolic link, which no scan follows
    try:
        info = (home / path).lstat()
    except OSError:
        return "rollout" if parse_name(name) else "anything"  # it may have been a folder
    if not S_ISREG(info.st_mode):
        return "anything"
    # Other files only go into the ledger, with the next scan.
    return "rollout" if parse_name(name) else "nothing"


def _name(path: str) -> str:
    return logical_path(path.rsplit("/", 1)[-1])


def _ledger_steps(paths: Collection[str]) -> Steps[tuple[Ledger, set[str]]]:
    """What the ledger has of some paths, and the threads that they are of."""
    among, asked = f" WHERE path {AMONG}", [listed(paths)]
    known = ledger_of((yield LEDGER_SQL + among, asked))
    ids = yield f"SELECT thread_id FROM rollout_files{among} AND thread_id IS NOT NULL", asked
    return known, {id_ for (id_,) in ids}
