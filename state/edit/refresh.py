"""Update the index after a change of the home."""

from rollout.files.scan import stat_file
from state.errors import IndexBusy
from state.sync.sync import apply_inputs
from state.thread_index import ThreadIndex


async def refresh_file(index: ThreadIndex, path: str, before: str | None = None) -> bool:
    """Update the row of the rollout at ``path``, relative to the home. Gives False if another
    process held the index for too long: then the next sync does it. ``before`` is the path until
    now, if it has changed."""
    gone = [before] if before and stat_file(index.home, before) is None else []
    try:
        await index.refresh([path, *gone])
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
