"""The full-text search kept in step with an index that is itself kept in step with the files."""

import asyncio
from concurrent.futures import BrokenExecutor
from typing import Final, NoReturn

from state.errors import IndexBusy, IndexUnavailable, LeaseHeld, LeaseLost
from state.fulltext.indexer import fill_said
from state.query.listing import Steps
from state.thread_index import ThreadIndex

LOOK_S: Final = 0.5
"""So often it is looked whether threads are new or changed, in seconds."""
_PASSING: Final = (IndexBusy, IndexUnavailable, LeaseHeld, LeaseLost, BrokenExecutor, OSError)


def _waiting_steps() -> Steps[bool]:
    pending = yield ("SELECT 1 FROM said_pending LIMIT 1", [])
    return bool(pending)


async def keep_said(index: ThreadIndex, ready: asyncio.Event) -> NoReturn:
    """Fill the search once the index is ``ready``, and again whenever it changes, until cancelled.

    Raises:
        IndexDamaged: the index is no usable database any more.
    """
    await ready.wait()
    while True:
        try:
            # Most looks find nothing, in a few microseconds.
            waiting = index.database.at_once(_waiting_steps())
            if waiting is not False:
                await fill_said(index)
        except _PASSING as error:
            task = asyncio.current_task()
            if task and task.cancelling():  # a cancelled write may end by another error
                raise asyncio.CancelledError from error
            # Whatever it is, it passes: what is pending stays so.
        await asyncio.sleep(LOOK_S)
