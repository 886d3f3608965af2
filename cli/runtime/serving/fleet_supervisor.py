"""What a server of a fleet has in place of a supervisor: nothing is kept in step, as machines
push, and pushes are looked for while a page follows them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from cli.arguments.locations import Locations
from cli.runtime.cached import cache_folder
from cli.runtime.serving.supervisor import Supervisor, detached
from state.errors import StateError
from state.fleet.machines import last_push_steps
from state.fleet.reading.index import FleetIndex, open_fleet
from state.fleet.store import FleetStore
from state.thread_store import ThreadStore

_AGAIN_S: Final = 1.0
"""Between a failure to reach the fleet at first and the next try, in seconds."""
_LOOK_S: Final = 5.0
"""Between two looks whether a machine has pushed, in seconds."""
_log = logging.getLogger("threadkeep.server")


class FleetSupervisor(Supervisor):
    """Opens the store of a fleet when that can first be reached. From then on each answer says
    whether it can be."""

    def __init__(self, locations: Locations, opened: Callable[[ThreadStore], None]) -> None:
        super().__init__(locations, opened)
        self._index: FleetIndex | None = None
        self._looking = asyncio.Lock()
        self._looked_s = 0.0
        self._last_push: str | None = None

    async def changes(self, thread_id: str | None) -> AsyncIterator[None]:
        """Yields when a machine has pushed: of which thread is not asked."""
        before = await self._pushed()
        while True:
            await asyncio.sleep(_LOOK_S)
            if (last := await self._pushed()) != before:
                before = last
                yield None

    async def _pushed(self) -> str | None:
        """When a machine pushed last, asked once for all who follow."""
        async with self._looking:
            if self._index is not None and time.monotonic() > self._looked_s + _LOOK_S / 2:
                with suppress(StateError):  # each page that cannot be answered says so
                    self._last_push = await self._index.database.query(last_push_steps())
                self._looked_s = time.monotonic()
            return self._last_push

    async def run(self) -> None:
        """See :meth:`Supervisor.run`. It is tried again whatever keeps the fleet from being read:
        most of that an administrator mends."""
        while True:
            try:
                await self._open_and_wait()
            except StateError as error:
                if str(error) != str(self.lost):
                    _log.error("%s", error)
                self.lost = detached(error)
            await asyncio.sleep(_AGAIN_S)

    async def _open_and_wait(self) -> None:
        here = self._locations
        assert here.fleet is not None
        async with open_fleet(here.home, here.index, here.fleet) as index:
            await index.see(here.machine, here.users)
            store = FleetStore(index, cache_folder(here.fleet))
            try:
                self.lost, self.complete = None, True
                self.newest_indexed.set()
                self._index = index
                self._opened(store)
                await asyncio.Event().wait()
            finally:
                self.complete, self._index = False, None
                await store.close()
