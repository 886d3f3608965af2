"""Keep the index in step while the picker is open."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

from rollout.errors import HomeNotFound
from state import errors
from state.db.location import journal_state
from state.fulltext.indexer import MESSAGES, caught_up_fulltext
from state.jobs.progress import JobProgress
from state.sync.paths import MOST_PATHS, sync_paths
from state.thread_index import ThreadIndex

_FIRST_S: Final = 0.1
RELOAD_S: Final = 1.0
"""Between two looks at an index that is being filled, in seconds."""
LOOK_AGAIN_S: Final = 2.0
"""Between two looks while another process fills the index, and after a failure, in seconds."""
_PASSING: Final = (errors.IndexBusy, errors.LeaseHeld, errors.LeaseLost, HomeNotFound, OSError)


class IndexSync:
    """Catches up with the files, then follows them."""

    def __init__(
        self,
        index: ThreadIndex,
        changed: Callable[[], Awaitable[None]],
        report: Callable[[JobProgress | None, str], None],
    ) -> None:
        """``changed`` is awaited when the list may be another one; ``report`` is called with the
        progress of a job, None when none runs, and with why the index is behind, if it is."""
        self._index, self._changed, self._report = index, changed, report
        self._paths: set[str] | None = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Do so until cancelled. Raises IndexDamaged and the like if the index cannot be used."""
        self._index.beside = MESSAGES
        while not await self._caught_up():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(LOOK_AGAIN_S)
        from state.watch.fs_events import FileEvents

        events = asyncio.create_task(FileEvents(self._index.home, self._note).follow())
        marks = asyncio.create_task(self._follow_journal())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                paths, self._paths = self._paths, set()
                await self._follow(paths)
        finally:
            for task in (events, marks):
                task.cancel()
            await asyncio.gather(events, marks, return_exceptions=True)

    async def _follow_journal(self) -> None:
        """Show what another process has set: it has put that into the index, too."""
        path = self._index.database.path
        known = journal_state(path)
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            if (now := journal_state(path)) != known:
                known = now
                await self._changed()

    async def _caught_up(self) -> bool:
        """Catch up, showing how far that is: whether nothing is left to do."""
        reloading = asyncio.create_task(self._reload_for_ever())
        why = ""
        done = False
        try:
            counts = await self._index.catch_up(lambda now: self._report(now, ""))
            if counts is None:
                job = await self._index.backfill_status()
                why = f"indexing: {job.progress} so far, by {job.owner}"
            else:
                await self._changed()
                await caught_up_fulltext(self._index, lambda now: self._report(now, ""))
            done = counts is not None
        except _PASSING as error:
            why = f"not caught up with the files: {error}"
        finally:
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
        self._report(None, why)
        await self._changed()
        return done

    async def _reload_for_ever(self) -> None:
        """Show what there is so far, now and then."""
        wait_s = _FIRST_S  # the first threads as soon as they are there
        while True:
            await asyncio.sleep(wait_s)
            await self._changed()
            wait_s = min(wait_s * 2, RELOAD_S)

    def _note(self, paths: Collection[str] | None) -> None:
        if paths is None or self._paths is None or len(self._paths) + len(paths) >= MOST_PATHS:
            self._paths = None
        else:
            self._paths.update(paths)
        self._wake.set()

    async def _follow(self, paths: set[str] | None) -> None:
        index = self._index
        try:
            ids = None
            if paths is not None:
                ids = await sync_paths(index.database, index.home, paths)
                if ids is not None and not ids:
                    return
            if ids is None:
                counts = await index.sync()
                if not (counts.done or counts.dropped):
                    return
        except _PASSING as error:
            self._report(None, f"not caught up with the files: {error}")
            self._note(paths)
            await asyncio.sleep(LOOK_AGAIN_S)
            return
        self._report(None, "")
        await self._changed()
        with suppress(*_PASSING):
            await caught_up_fulltext(self._index)
