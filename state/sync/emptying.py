"""Remove folders of the trash for good, with the names and the user data of threads that are
nowhere else."""

import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rollout.files.access import is_there
from rollout.files.trash import EMPTYING, TRASH, TrashFolder, folder_names, read_folder, tidy
from rollout.metadata.session_index import remove_names
from state.clock import now_ms
from state.db.database import Database
from state.db.sql import AMONG, listed
from state.db.steps import select_steps
from state.errors import FileUnusable
from state.userdata.journal import append_settings
from state.userdata.store import change_user_data, put_settings, values_of_threads


@dataclass(slots=True)
class Emptied:
    """What became of folders of the trash."""

    removed: list[TrashFolder] = field(default_factory=list)
    """What was in those that are gone."""
    problems: list[str] = field(default_factory=list)
    """Why some of it could not be removed, and stays there."""


async def remove_folders(database: Database, home: Path, names: Iterable[str]) -> Emptied:
    """Remove folders of the trash. It can be repeated after a kill at any step."""
    workers, emptied = database.workers, Emptied()
    names = list(dict.fromkeys(name.removesuffix(EMPTYING) for name in names))
    try:
        leaving = await workers.finish(partial(_set_aside, home, names))
    except OSError as error:
        return Emptied(problems=[str(FileUnusable.of(error, home / TRASH))])
    try:
        held = {thread.thread_id for folder in leaving for thread in folder.threads}
        asked = select_steps(f"SELECT id FROM threads WHERE id {AMONG}", [listed(held)])
        kept = {id_ for (id_,) in await database.query(asked)}
        gone = await workers.finish(partial(_nowhere_else, home, leaving, held - kept))
        await workers.finish(partial(remove_names, home, gone))
        await clear_user_data(database, gone)
    except OSError as error:
        emptied.problems.append(str(FileUnusable.of(error, home / TRASH)))
    found = {folder.delete_id: folder for folder in leaving}
    for name in names:
        try:
            await workers.finish(partial(_remove, home, name))
        except OSError as error:
            emptied.problems.append(str(FileUnusable.of(error, home / TRASH / name)))
        else:
            if name in found:
                emptied.removed.append(found[name])
    return emptied


async def clear_user_data(database: Database, thread_ids: Sequence[str]) -> None:
    """Take back what users set for threads that are gone for good."""
    if not thread_ids:
        return

    def clear(connection: sqlite3.Connection) -> None:
        held = values_of_threads(connection, thread_ids)
        cleared = [
            replace(each, value=None, set_at_ms=now_ms()) for each in held if each.value is not None
        ]
        if cleared:
            append_settings(database.path, cleared)
            put_settings(connection, cleared)

    await change_user_data(database, clear)


def _set_aside(home: Path, names: Sequence[str]) -> list[TrashFolder]:
    """Rename the folders, so that nobody restores a part of one. Gives what is in them."""
    found = []
    for name in names:
        whole, aside = home / TRASH / name, home / TRASH / f"{name}{EMPTYING}"
        if is_there(whole) and not is_there(aside):
            whole.rename(aside)
        if is_there(aside):
            found.append(replace(read_folder(home, aside.name), delete_id=name))
    return found


def _nowhere_else(home: Path, leaving: Sequence[TrashFolder], ids: set[str]) -> list[str]:
    """Those of the threads that have no file in the home, nor in another folder of the trash."""
    for folder in leaving:
        for thread in folder.threads:
            if any(is_there(home / path) for path in thread.files):
                ids.discard(thread.thread_id)
    aside = {f"{folder.delete_id}{EMPTYING}" for folder in leaving}
    for name in set(folder_names(home)) - aside:
        ids.difference_update(thread.thread_id for thread in read_folder(home, name).threads)
    return sorted(ids)


def _remove(home: Path, name: str) -> None:
    aside = f"{name}{EMPTYING}"
    if is_there(home / TRASH / aside):
        shutil.rmtree(home / TRASH / aside)
    tidy(home, f"{TRASH}/{aside}")
