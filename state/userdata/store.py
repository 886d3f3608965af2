"""User data, which rollouts do not hold: in the index, and first in a journal beside it.

The journal ``facts.jsonl`` is append-only, one JSON object a line, of two kinds:
``{"v":1,"thread_id":…,"key":…,"value":…,"set_at_ms":…}`` for a thread, and
``{"v":1,"alias":…,"value":…,"set_at_ms":…}`` for a folder that moved. The last line for a
thread and key, or for a folder, wins. It outlives the database, so user data survives a lost index.
A null value takes a setting back.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.metadata.model import ThreadMetadata
from rollout.metadata.session_index import ThreadName
from rollout.schema.modes import PAGINATED
from state.db.connect import BUSY_TIMEOUT_S
from state.db.database import Database, open_database
from state.db.location import JOURNAL_KEY, NO_JOURNAL, journal_state
from state.db.lock import locked
from state.db.schema import index_meta, path_aliases, rollout_files, threads, user_data
from state.db.sql import among, forget_inputs, set_meta
from state.userdata.folders import cwd_key
from state.userdata.journal import read_settings
from state.userdata.model import USER_SET_COLUMNS, FolderAlias, Setting, UserValue


@asynccontextmanager
async def open_with_user_data(
    path: Path, *, patience_s: float = BUSY_TIMEOUT_S
) -> AsyncGenerator[Database]:
    """The index database at ``path``; see :func:`state.db.database.open_database`. One that is
    created or migrated holds what the journal has from the start: the journal of an older index may
    hold what its program did not know. Raises FileUnusable if the journal cannot be read."""

    async def migrated(connection: AsyncConnection) -> None:
        await put_settings(connection, read_settings(path))
        await note_journal(connection, path)

    async with open_database(path, patience_s=patience_s, migrated=migrated) as database:
        yield database


@asynccontextmanager
async def write_user_data(database: Database) -> AsyncGenerator[AsyncConnection]:
    """A transaction for changes of user data. It also holds the index's lock, so that a reindex
    swaps in its new index before or after it, and first applies what a killed process left in the
    journal alone. Raises FileUnusable if the journal cannot be read."""
    async with locked(database.path), database.write() as connection:
        await follow_journal(connection, database.path)
        yield connection
        await note_journal(connection, database.path)


async def follows_journal(connection: AsyncConnection, index: Path) -> bool:
    """Whether the index has applied the journal in its present state."""
    c = index_meta.c
    applied = await connection.scalar(sa.select(c.value).where(c.key == JOURNAL_KEY))
    return bool((applied or NO_JOURNAL) == journal_state(index))


async def follow_journal(connection: AsyncConnection, index: Path) -> None:
    """Apply what the journal has and the index may lack; the next sync updates names. Call this
    with the index's lock held. Raises FileUnusable if the journal cannot be read."""
    if await follows_journal(connection, index):
        return
    await put_settings(connection, read_settings(index))
    await forget_inputs(connection)
    await note_journal(connection, index)


async def note_journal(connection: AsyncConnection, index: Path) -> None:
    """Record that the index has applied the journal in its present state."""
    await set_meta(connection, {JOURNAL_KEY: journal_state(index)})


async def put_settings(connection: AsyncConnection, settings: Sequence[Setting]) -> None:
    """Store settings in the index, and update the columns of rows that they decide, but for names.
    A setting older than the stored one changes nothing."""
    values = [given for given in settings if isinstance(given, UserValue)]
    aliases = [
        {
            "old_key": cwd_key(given.alias),
            "old": given.alias,
            "new": given.value,
            "new_key": None if given.value is None else cwd_key(given.value),
            "set_at_ms": given.set_at_ms,
        }
        for given in settings
        if isinstance(given, FolderAlias)
    ]
    await _put(connection, user_data, ("thread_id", "key"), [asdict(given) for given in values])
    await _put(connection, path_aliases, ("old_key",), aliases)
    for key in USER_SET_COLUMNS:
        if ids := [given.thread_id for given in values if given.key == key]:
            await _override(connection, key, ids)


async def _override(connection: AsyncConnection, key: str, ids: Sequence[str]) -> None:
    """Update a column of rows to what users set."""
    c, u = threads.c, user_data.c
    ours = (u.thread_id == c.id) & (u.key == key)
    given = sa.select(u.value).where(ours, u.value.is_not(None))
    concerned = among(c.id, ids) & (c.history_mode == PAGINATED)
    await connection.execute(
        sa.update(threads)
        .where(concerned, given.exists())
        .values({key: sa.func.nullif(given.scalar_subquery(), "")})
    )
    taken_back = sa.select(c.id).where(
        concerned, sa.select(u.key).where(ours, u.value.is_(None)).exists()
    )
    freed = list(await connection.scalars(taken_back))
    if freed:  # what the file says is not in the row: it is to be read again
        for table, column in ((threads, c.id), (rollout_files, rollout_files.c.thread_id)):
            await connection.execute(
                sa.update(table).where(among(column, freed)).values(extractor_version=0)
            )


async def _put(
    connection: AsyncConnection,
    table: sa.Table,
    subject: tuple[str, ...],
    values: list[dict[str, Any]],
) -> None:
    if not values:
        return
    entry = insert(table)
    await connection.execute(
        entry.on_conflict_do_update(
            index_elements=subject,
            set_={name: entry.excluded[name] for name in values[0] if name not in subject},
            where=entry.excluded.set_at_ms >= table.c.set_at_ms,
        ),
        values,
    )


async def all_settings(connection: AsyncConnection) -> list[Setting]:
    """Every setting in the index."""
    found: list[Setting] = [
        UserValue(**row._mapping) for row in await connection.execute(sa.select(user_data))
    ]
    return [*found, *await all_aliases(connection)]


async def values_of_threads(
    connection: AsyncConnection, thread_ids: Sequence[str]
) -> list[UserValue]:
    """What users set for threads, including what they took back."""
    which = among(user_data.c.thread_id, thread_ids)
    found = await connection.execute(sa.select(user_data).where(which))
    return [UserValue(**row._mapping) for row in found]


async def all_aliases(connection: AsyncConnection) -> list[FolderAlias]:
    """Every alias in the index, including those that were taken back."""
    c = path_aliases.c
    rows = await connection.execute(sa.select(c.old, c.new, c.set_at_ms).order_by(c.old_key))
    return [FolderAlias(*row) for row in rows]


def recorded_name(metadata: ThreadMetadata) -> ThreadName | None:
    """The name in a rollout itself, from a ``thread_name_updated`` event; None without one."""
    if metadata.rollout_name is None:
        return None
    return ThreadName(metadata.rollout_name, metadata.rollout_name_ms)


def newer_names(
    written: Mapping[str, ThreadName], recorded: Mapping[str, ThreadName]
) -> dict[str, ThreadName]:
    """The newer name of each thread, from ``session_index.jsonl`` or from its rollout; the former
    where it has no time."""
    names = dict(written)
    for thread_id, name in recorded.items():
        rival = written.get(thread_id)
        if rival is None or 0 < rival.set_at_ms < name.set_at_ms:
            names[thread_id] = name
    return names


async def recorded_names(
    connection: AsyncConnection, thread_ids: Sequence[str] | None = None
) -> dict[str, ThreadName]:
    """The names in the rollouts of some threads or of all."""
    c = threads.c
    asked = sa.select(c.id, c.rollout_name, c.rollout_name_ms).where(c.rollout_name.is_not(None))
    if thread_ids is not None:
        asked = asked.where(among(c.id, thread_ids))
    return {row[0]: ThreadName(row[1], row[2]) for row in await connection.execute(asked)}
