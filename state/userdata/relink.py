"""Record that a folder has moved, or take that back. Rollouts stay as they are."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.text import is_storable
from state.clock import now_ms
from state.db.database import Database
from state.db.schema import threads
from state.errors import AliasCycle, AliasNotFound, InvalidFolder
from state.userdata.folders import absolute_folder, cwd_key, origins
from state.userdata.journal import append_settings
from state.userdata.model import LATEST_MS, FolderAlias
from state.userdata.store import all_aliases, put_settings, write_user_data


async def aliases(database: Database) -> list[FolderAlias]:
    """The aliases in force, ordered by their old folder."""
    async with database.read() as connection:
        return [alias for alias in await all_aliases(connection) if alias.value is not None]


async def relink(database: Database, old: str, new: str) -> tuple[FolderAlias, int]:
    """Record that ``old`` and everything below it is at ``new`` now. Gives the alias, and how many
    threads have run there.

    Raises:
        AliasCycle: ``new`` leads to ``old`` already.
        FileUnusable: the journal cannot be written.
        InvalidFolder: one of them is not a path.
    """
    old, new = _folder(old), _folder(new)
    async with write_user_data(database) as connection:
        known = await all_aliases(connection)
        others = {
            alias.alias: alias.value
            for alias in known
            if alias.value is not None and cwd_key(alias.alias) != cwd_key(old)
        }
        if cwd_key(new) in origins([old], others):
            raise AliasCycle(old, new)
        alias = await _set(database, connection, known, old, new)
        return alias, await _count_below(connection, cwd_key(old))


async def unlink(database: Database, old: str) -> FolderAlias:
    """Take back the alias of ``old``, and give it.

    Raises:
        AliasNotFound: there is none.
        FileUnusable: the journal cannot be written.
        InvalidFolder: it is not a path.
    """
    old = _folder(old)
    async with write_user_data(database) as connection:
        known = await all_aliases(connection)
        for alias in known:
            if alias.value is not None and cwd_key(alias.alias) == cwd_key(old):
                await _set(database, connection, known, old, None)
                return alias
    raise AliasNotFound(Path(old))


async def _set(
    database: Database,
    connection: AsyncConnection,
    known: list[FolderAlias],
    old: str,
    new: str | None,
) -> FolderAlias:
    times = [alias.set_at_ms for alias in known if cwd_key(alias.alias) == cwd_key(old)]
    # Newer than what it replaces, even if the clock was set back.
    set_at_ms = min(max(now_ms(), *(time + 1 for time in times), 0), LATEST_MS)
    alias = FolderAlias(old, new, set_at_ms)
    append_settings(database.path, [alias])
    await put_settings(connection, [alias])
    return alias


async def _count_below(connection: AsyncConnection, key: str) -> int:
    c = threads.c.cwd_key
    stem = key.rstrip("/")
    below = (c > f"{stem}/") & (c < f"{stem}0")  # "0" is what follows "/"
    counted = sa.select(sa.func.count()).select_from(threads).where((c == key) | below)
    return await connection.scalar(counted) or 0


def _folder(text: str) -> str:
    if not is_storable(text):
        raise InvalidFolder(f"{text!r} is not UTF-8")
    if not text.strip() or "\0" in text:
        raise InvalidFolder(f"{text!r} is not a folder")
    return absolute_folder(text)
