"""Keeps the store of a server open and its index fresh, and opens a lost index again."""

import asyncio
import importlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from cli.arguments.locations import Locations
from rollout.files.scan import check_home, scan_home
from state.errors import IndexDamaged, IndexMissing, StateError
from state.thread_index import ThreadIndex, open_index
from state.thread_store import ThreadStore
from state.turns.cache import TurnIndex
from state.watch.changes import SeenThreads

_NEWEST_FILES: Final = 50
_AGAIN_S: Final = 1.0
"""Between a failure to open the index and the next try, in seconds."""
_INDEX_TURNS_EVERY_S: Final = 60.0
_log = logging.getLogger("threadkeep.server")


class Supervisor:
    """Create it in a running event loop; it works inside :meth:`run`."""

    def __init__(self, locations: Locations, opened: Callable[[ThreadStore], None]) -> None:
        self._locations = locations
        self._opened = opened
        self._lost: asyncio.Future[StateError] = asyncio.Future()
        self.seen_threads = SeenThreads()
        self.newest_indexed = asyncio.Event()
        """Set when the index has the newest threads."""
        self.complete = False
        """Whether the index has all threads; from then on it only catches up."""
        self.behind: Exception | None = None
        """Why the index does not follow the files now, if it does not."""
        self.lost: StateError | None = None
        """Why the index cannot be used, while it is opened again."""

    def note_lost(self, error: StateError) -> None:
        """Open the index again if this error, which a request met, says that the index is gone."""
        if isinstance(error, IndexDamaged | IndexMissing) and not self._lost.done():
            self._lost.set_result(error)

    async def changes(self, thread_id: str | None) -> AsyncIterator[None]:
        """Yields whenever a thread, or any thread, may have changed."""
        async for change in self.seen_threads.changes():
            if thread_id in (None, change.thread_id):
                yield None

    async def run(self) -> None:
        """Open the store, pass it on, again whenever its index was opened again, and keep its index
        fresh until cancelled; then close it. Raises RolloutError or StateError if the store cannot
        be opened."""
        check_home(self._locations.home)
        index, opened = await self._open()
        store = ThreadStore(index, self._locations.sqlite_home)
        try:
            while True:
                self.lost = None
                self._opened(store)
                self._lost = asyncio.Future()
                self.lost = detached(await self._keep_fresh(index, store.turns))
                _log.warning("%s; the index is opened again", self.lost)
                await opened.aclose()  # first, as an open index locks its file
                index, opened = await self._open_again(self.lost)
                await store.move_to(index)
        finally:
            await store.close()
            await opened.aclose()

    async def _open(self, damage: IndexDamaged | None = None) -> tuple[ThreadIndex, AsyncExitStack]:
        here, path = self._locations, self._locations.index
        if damage is not None:
            from state.repair.recovery import recover  # loads SQLAlchemy

            if (aside := await recover(path, damage)) is not None:
                _log.warning("%s; the damaged index is kept as %s", damage, aside)
        async with AsyncExitStack() as stack:
            try:
                opened = open_index(here.home, path, here.sqlite_home)
                index = await stack.enter_async_context(opened)
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
                self.lost = error = detached(another)
                await asyncio.sleep(_AGAIN_S)

    async def _keep_fresh(self, index: ThreadIndex, turns: TurnIndex) -> StateError:
        """Return the error that makes the index unusable, when there is one."""
        # Loaded now, in a thread: requests are answered meanwhile.
        for name in ("state.fulltext.indexer", "state.watch.watcher"):
            await asyncio.to_thread(importlib.import_module, name)
        from state.fulltext.indexer import MESSAGES, keep_fulltext
        from state.watch.watcher import Watcher

        index.beside = MESSAGES
        try:
            if (await index.backfill_status()).status != "complete":
                await _index_newest(index)
        except StateError as error:
            _log.warning("%s", error)
        self.newest_indexed.set()
        watcher = Watcher(index, self.seen_threads, on_trouble=self._note_trouble)
        watching = asyncio.create_task(watcher.run())
        searchable = asyncio.create_task(keep_fulltext(index, watcher.ready))
        tasks = [watching, searchable, asyncio.create_task(watcher.ready.wait())]
        try:
            ends: set[asyncio.Future[Any]] = {watching, searchable, self._lost}
            await asyncio.wait({*ends, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            self.complete = watcher.ready.is_set()
            tasks.append(asyncio.create_task(_index_turns(turns)))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done():
                return self._lost.result()
            await (watching if watching.done() else searchable)  # which end only by an error
            raise RuntimeError("the watcher has ended")
        except StateError as error:
            return error
        finally:
            self.complete = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _note_trouble(self, error: Exception | None) -> None:
        self.behind = error
        if error is None:
            _log.info("the index is up to date")
        else:
            _log.warning("the index is behind: %s", error)


def detached(error: StateError) -> StateError:
    """The error without its traceback, which keeps cancelled tasks alive and with them locks on the
    file that has to be opened again."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def supervisor_of(here: Locations, opened: Callable[[ThreadStore], None]) -> Supervisor:
    """What keeps the store of a home, or of a fleet, for a server. Create it in a running event
    loop."""
    if here.fleet is None:
        return Supervisor(here, opened)
    from cli.runtime.serving.fleet_supervisor import FleetSupervisor

    return FleetSupervisor(here, opened)


async def _index_turns(turns: TurnIndex) -> None:
    """Index the turns of long threads before anybody asks for them, again and again."""
    while True:
        try:
            await turns.fill()
        except StateError as error:
            _log.warning("cannot index turns: %s", error)
        await asyncio.sleep(_INDEX_TURNS_EVERY_S)


async def _index_newest(index: ThreadIndex) -> None:
    """Index the newest threads of a new index at once, before the backfill has found all files.
    Folders are scanned newest first."""

    def newest() -> list[str]:
        files = (file.path for file in scan_home(index.home) if file.ignored is None)
        return list(itertools.islice(files, _NEWEST_FILES))

    await index.refresh(await index.database.workers.run(newest))
