"""What every change of the home has in common: its errors, and the index that follows it."""

from rollout.files.scan import stat_file
from state.errors import IndexBusy
from state.sync.sync import apply_inputs
from state.thread_index import ThreadIndex


async def refresh_file(index: ThreadIndex, path: str, before: str | None = None) -> bool:
    """Have the row of the rollout at ``path``, relative to the home, follow it: False if another
    process held the index for too long, so that the next sync has to. ``before`` is where it
    was until now, if not there."""
    gone = [before] if before and stat_file(index.home, before) is None else []
    try:
        await index.refresh([path, *gone])
    except IndexBusy:
        return False
    return True


async def refresh_names(index: ThreadIndex) -> bool:
    """Have the rows follow ``session_index.jsonl``: False if the index was held for too long."""
    try:
        await apply_inputs(index.database, index.home)
    except IndexBusy:
        return False
    return True
