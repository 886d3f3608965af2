"""Update the index after a change of the home."""

from collections.abc import Sequence

from state.errors import IndexBusy
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
