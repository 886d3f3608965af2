"""Record that a folder has moved, or take that back. Rollouts stay as they are."""

import sqlite3
from pathlib import Path

from rollout.files.text import is_storable
from state.clock import now_ms
from state.db.database import Database
from state.errors import AliasCycle, AliasNotFound, InvalidFolder
from state.userdata.folders import absolute_folder, cwd_key, origins
from state.userdata.journal import append_settings
from state.userdata.model import LATEST_MS, FolderAlias
from state.userdata.store import all_aliases, change_user_data, put_settings


async def aliases(database: Database) -> list[FolderAlias]:
    """The aliases in force, ordered by their old folder."""
    return [alias for alias in await database.look(all_aliases) if alias.value is not None]


async def relink(database: Database, old: str, new: str) -> tuple[FolderAlias, int]:
    """Record that ``old`` and everything below it is at ``new`` now. Gives the alias, and how many
    threads have run there.

    Raises:
        AliasCycle: ``new`` leads to ``old`` already.
        FileUnusable: the journal cannot be written.
        InvalidFolder: one of them is not a path.
    """
    old, new = _folder(old), _folder(new)

    def record(connection: sqlite3.Connection) -> tuple[FolderAlias, int]:
        known = all_aliases(connection)
        others = {
            alias.alias: alias.value
            for alias in known
            if alias.value is not None and cwd_key(alias.alias) != cwd_key(old)
        }
        if cwd_key(new) in origins([old], others):
            raise AliasCycle(old, new)
        alias = _set(database, connection, known, old, new)
        return alias, _count_below(connection, cwd_key(old))

    return await change_user_data(database, record)


async def unlink(database: Database, old: str) -> FolderAlias:
    """Take back the alias of ``old``, and give it.

    Raises:
        AliasNotFound: there is none.
        FileUnusable: the journal cannot be written.
        InvalidFolder: it is not a path.
    """
    old = _folder(old)

    def take_back(connection: sqlite3.Connection) -> FolderAlias:
        known = all_aliases(connection)
        for alias in known:
            if alias.value is not None and cwd_key(alias.alias) == cwd_key(old):
                _set(database, connection, known, old, None)
                return alias
        raise AliasNotFound(Path(old))

    return await change_user_data(database, take_back)


def _set(
    database: Database,
    connection: sqlite3.Connection,
    known: list[FolderAlias],
    old: str,
    new: str | None,
) -> FolderAlias:
    times = [alias.set_at_ms for alias in known if cwd_key(alias.alias) == cwd_key(old)]
    # Newer than what it replaces, even if the clock was set back.
    set_at_ms = min(max(now_ms(), *(time + 1 for time in times), 0), LATEST_MS)
    alias = FolderAlias(old, new, set_at_ms)
    append_settings(database.path, [alias])
    put_settings(connection, [alias])
    return alias


def _count_below(connection: sqlite3.Connection, key: str) -> int:
    stem = key.rstrip("/")
    sql = "SELECT count(*) FROM threads WHERE cwd_key = ? OR (cwd_key > ? AND cwd_key < ?)"
    # "0" is what follows "/"
    counted: int = connection.execute(sql, [key, f"{stem}/", f"{stem}0"]).fetchone()[0]
    return counted


def _folder(text: str) -> str:
    if not is_storable(text):
        raise InvalidFolder(f"{text!r} is not UTF-8")
    if not text.strip() or "\0" in text:
        raise InvalidFolder(f"{text!r} is not a folder")
    return absolute_folder(text)
