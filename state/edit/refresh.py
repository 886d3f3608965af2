"""Update the index after a change of the home, and Codex's own database."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from state.codex_db.database import codex_database
from state.codex_db.notify import CodexError, notify_codex
from state.errors import IndexBusy
from state.sync.from_codex import remember_written
from state.sync.sync import apply_inputs
from state.thread_index import ThreadIndex


async def refresh_files(index: ThreadIndex, paths: Sequence[str]) -> bool:
    """Update the rows of the rollouts at ``paths``, relative to the home; some may be gone. Gives
    False if another process held the index for too long: then the next sync does it."""
    try:
        await index.refresh(paths)
    except IndexBusy:
        return False
    return True


async def refresh_names(index: ThreadIndex) -> bool:
    """Update the rows from ``session_index.jsonl``. Gives False if the index was held for too
    long."""
    try:
        await apply_inputs(index.database, index.home)
    except IndexBusy:
        return False
    return True


async def update_codex(
    index: ThreadIndex, changes: Mapping[str, Mapping[str, str | None]], sqlite_home: Path | None
) -> CodexError | None:
    """Set in Codex's own database what was set here, as :func:`notify_codex` does. What it takes
    does not come back as a change by Codex."""

    def notify() -> CodexError | None:
        return notify_codex(codex_database(index.home, sqlite_home), changes)

    error = await index.database.workers.finish(notify)
    if error is None:
        await remember_written(index.database, changes)
    return error
