"""Bring the index in step with the files: scan, compare, and read only what has changed."""

import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.scan import is_away, stat_file
from rollout.files.text import printable_path
from state.db.database import Database, Writer
from state.db.location import INPUTS_KEY
from state.db.sql import meta, set_meta
from state.db.steps import Steps
from state.errors import FileUnusable
from state.jobs.pool import ReadPool, warn_once
from state.jobs.progress import Report, SyncProgress
from state.rows import thread_rows as rows
from state.rows.home_config import home_inputs
from state.rows.ledger import LEDGER_SQL, Changes, Ledger, away_in, ledger_of, scan_changes
from state.rows.writer import NAMES_UNREAD, Context, forget_files, load_context, store_files
from state.sync.copies import compare_copies
from state.sync.filling import Filling, reread
from state.sync.unread import Waiting
from state.userdata.model import chosen_names
from state.userdata.store import (
    change_user_data,
    follows_journal,
    names_set,
    newer_names,
    recorded_names,
)

BATCH_FILES: Final = 200
"""Files in one transaction."""
_FORGOTTEN_FILES: Final = 1000
"""Vanished files in one transaction: each costs little, but all of them a look at all threads."""
_HOME: Final = "home"


async def sync(
    database: Database,
    home: Path,
    *,
    report: Report | None = None,
    reread: bool = False,
    waiting: Waiting | None = None,
) -> SyncProgress:
    """Bring the index in step with ``home``, one transaction a batch, the last changed files first.

    It is safe beside any other sync or backfill, because what is stored depends on the files alone.
    Raises Answered if ``waiting`` needs no more.
    """
    changes = await find_changes(database, home, reread=reread)
    counts = SyncProgress(files=changes.files, total=len(changes.to_read), away=away_in(changes))
    await apply_journal(database)
    await apply_inputs(database, home)
    if changes:
        await apply_changes(*(database, home, changes, counts), report=report, waiting=waiting)
    else:
        await compare_copies(database, home, database.transact)
    return counts


async def find_changes(database: Database, home: Path, *, reread: bool = False) -> Changes:
    """How a scan of ``home`` differs from the ledger."""
    ledger = await database.query(_ledger_steps())
    return await database.workers.run(partial(scan_changes, home, ledger, reread=reread))


def _ledger_steps() -> Steps[Ledger]:
    return ledger_of((yield LEDGER_SQL, []))


async def apply_changes(
    database: Database,
    home: Path,
    changes: Changes,
    counts: SyncProgress,
    *,
    batch_files: int = BATCH_FILES,
    report: Report | None = None,
    waiting: Waiting | None = None,
) -> None:
    """Store the changes that :func:`find_changes` found."""
    context = load_context(home)
    async with ReadPool(home) as pool:
        filling = Filling(
            *(database, database.transact, pool, changes, context, counts, batch_files),
            report=report,
            waiting=waiting,
        )
        await filling.first()
        await filling.rest()
        await finish_changes(database.transact, home, changes, pool, counts, context)
    await compare_copies(database, home, database.transact)
    if report:
        report(counts)


async def finish_changes(
    write: Writer,
    home: Path,
    changes: Changes,
    pool: ReadPool,
    counts: SyncProgress,
    context: Context,
) -> None:
    """Put ignored entries into the ledger, and forget vanished files that have not come back."""
    for start in range(0, len(changes.ignored), BATCH_FILES):
        some = changes.ignored[start : start + BATCH_FILES]
        await write(partial(store_files, outcomes=some, context=context))
    for start in range(0, len(changes.vanished), _FORGOTTEN_FILES):
        paths = changes.vanished[start : start + _FORGOTTEN_FILES]
        gone = [path for path in paths if _is_gone(home, path)]
        stored = await write(partial(forget_files, paths=gone))
        counts.dropped += stored.dropped
        await reread(write, pool, stored, context)


def _is_gone(home: Path, path: str) -> bool:
    """Whether no scan gives an entry for ``path``: nothing is there, or a folder that could not be
    accessed before and can be now."""
    found = stat_file(home, path)
    return found is None or (not is_away(found) and os.path.isdir(home / path))


async def apply_journal(database: Database) -> None:
    """Have the index follow the journal of user data, which a killed process may have left ahead
    of it. If the journal cannot be read, the index keeps the user data that it has."""
    followed = await database.look(partial(follows_journal, index=database.path))
    if followed:
        return
    try:
        await change_user_data(database, lambda _: None)  # which applies the journal first
    except FileUnusable as error:
        warn_once(f"user data may be out of date: {error}")


async def follows_inputs(database: Database, home: Path) -> bool:
    """Whether the index has the names and the default provider that the home has now."""
    inputs = await database.workers.run(partial(home_inputs, home))
    return await database.look(partial(meta, key=INPUTS_KEY)) == inputs


async def apply_inputs(database: Database, home: Path, write: Writer | None = None) -> None:
    """Apply changes of ``session_index.jsonl`` and ``config.toml``: names and default provider."""
    if not await follows_inputs(database, home):
        await (write or database.transact)(partial(_apply_inputs, home))


def _apply_inputs(home: Path, connection: sqlite3.Connection) -> None:
    # Read under the lock: a name that is given meanwhile is not replaced by an older one.
    context = load_context(home)
    if context.inputs == NAMES_UNREAD:
        return  # the index keeps the names that it has
    named = connection.execute("SELECT id FROM threads WHERE name NOT NULL")
    wanted: dict[str, str | None] = {id_: None for (id_,) in named}
    names = newer_names(context.names, recorded_names(connection))
    rows.rename(connection, wanted | chosen_names(names, names_set(connection)))
    rows.set_default_provider(connection, context.default_provider)
    set_meta(connection, {INPUTS_KEY: context.inputs, _HOME: printable_path(str(home))})
