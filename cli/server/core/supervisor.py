"""Keeps the store of an app-server open and its index fresh, whatever becomes of the index."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from cli.arguments.locations import Locations
from rollout.files.scan import check_home, scan_home
from state.errors import IndexDamaged, IndexMissing, StateError
from state.fulltext.indexer import keep_fulltext
from state.repair.recovery import recover
from state.thread_index import ThreadIndex, open_index
from state.thread_store import ThreadStore
from state.turns.cache import TurnIndex
from state.watch.changes import SeenThreads
from state.watch.watcher import AGAIN_S, Watcher

_FIRST_FILES: Final = 50
_FILL_AGAIN_S: Final = 60.0
_log = logging.getLogger("threadkeep.server")


class Supervisor:
    """Made in a running event loop; :meth:`run` has it work."""

    def __init__(self, locations: Locations, opened: Callable[[ThreadStore], None]) -> None:
        self._locations = locations
        self._opened = opened
        self._lost: asyncio.Future[StateError] = asyncio.Future()
        self.seen_threads = SeenThreads()
        self.newest_indexed = asyncio.Event()
        """Set once the index has the newest threads."""
        self.complete = False
        """Whether the index has been filled; from then on it only catches up."""

    def note_lost(self, error: StateError) -> None:
        """Somebody met this error: open the index again if it says that the index is gone."""
        if isinstance(error, IndexDamaged | IndexMissing) and not self._lost.done():
            self._lost.set_result(error)

    async def run(self) -> None:
        """Open the store, hand it over, and keep its index fresh until cancelled; then close it.

        Raises:
            RolloutError, StateError: it cannot be opened.
        """
        check_home(self._locations.home)
        index, held = await self._open()
        store = ThreadStore(index, self._locations.sqlite_home)
        try:
            self._opened(store)
            while True:
                self._lost = asyncio.Future()
                error = _detached(await self._keep_fresh(index, store.turns))
                _log.warning("%s; it is opened again", error)
                await held.aclose()  # first: as long as it is open, nobody else gets to the file
                index, held = await self._open_again(error)
                await store.move_to(index)
        finally:
            await store.close()
            await held.aclose()

    async def _open(self, damage: IndexDamaged | None = None) -> tuple[ThreadIndex, AsyncExitStack]:
        path = self._locations.index
        if damage is not None:
            aside = await recover(path, damage)
            if aside is not None:
                _log.warning("%s; it was put aside as %s", damage, aside)
        async with AsyncExitStack() as stack:
            try:
                index = await stack.enter_async_context(open_index(self._locations.home, path))
            except IndexDamaged as found:
                if damage is not None:
                    raise
                return await self._open(found)
            return index, stack.pop_all()

    async def _open_again(self, error: StateError) -> tuple[ThreadIndex, AsyncExitStack]:
        while True:
            try:
                return await self._open(error if isinstance(error, IndexDamaged) else None)
            except StateError as another:
                if str(another) != str(error):
                    _log.error("%s", another)
                error = _detached(another)
                await asyncio.sleep(AGAIN_S)

    async def _keep_fresh(self, index: ThreadIndex, turns: TurnIndex) -> StateError:
        """Gives why the index is of no use any more, when it is not."""
        try:
            if (await index.backfill_status()).status != "complete":
                await _index_newest(index)
        except StateError as error:
            _log.warning("%s", error)
        self.newest_indexed.set()
        watcher = Watcher(index, self.seen_threads, on_trouble=_log_trouble)
        running = asyncio.create_task(watcher.run())
        ready = asyncio.create_task(watcher.ready.wait())
        filling: asyncio.Task[None] | None = None
        searched = asyncio.create_task(keep_fulltext(index, watcher.ready))
        try:
            ends: set[asyncio.Future[Any]] = {running, searched, self._lost}
            await asyncio.wait({ready, *ends}, return_when=asyncio.FIRST_COMPLETED)
            self.complete = watcher.ready.is_set()
            filling = asyncio.create_task(_index_turns(turns))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done():
                return self._lost.result()
            await (running if running.done() else searched)  # which only end by an error
            raise RuntimeError("the watcher has ended")
        except StateError as error:
            return error
        finally:
            self.complete = False
            tasks = [*filter(None, (running, ready, searched, filling))]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _detached(error: StateError) -> StateError:
    """An error without its history: that holds on to tasks, these to what they were at when they
    were cancelled, and that to locks of the file that is to be opened again."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


async def _index_turns(turns: TurnIndex) -> None:
    """Have the turns of long threads indexed before anybody asks for them."""
    while True:
        try:
            await turns.fill()
        except StateError as error:
            _log.warning("turns are not indexed: %s", error)
        await asyncio.sleep(_FILL_AGAIN_S)


def _log_trouble(error: Exception | None) -> None:
    if error is None:
        _log.info("the index is in step")
    else:
        _log.warning("the index is behind: %s", error)


async def _index_newest(index: ThreadIndex) -> None:
    """Have the newest threads in an index that is being made, before the backfill has even found
    all files: they are in the folders that are looked at first."""

    def newest_indexed() -> list[str]:
        files = (file.path for file in scan_home(index.home) if file.ignored is None)
        return list(itertools.islice(files, _FIRST_FILES))

    await index.refresh(await index.database.workers.run(newest_indexed))
