"""What a server of a fleet has in place of a supervisor: nothing is kept in step, as machines
push."""

import asyncio
import logging
from typing import Final

from cli.runtime.cached import cache_folder
from cli.runtime.serving.supervisor import Supervisor, detached
from state.errors import StateError
from state.fleet.reading.index import open_fleet
from state.fleet.store import FleetStore

_AGAIN_S: Final = 1.0
"""Between a failure to reach the fleet at first and the next try, in seconds."""
_log = logging.getLogger("threadkeep.server")


class FleetSupervisor(Supervisor):
    """Opens the store of a fleet when that can first be reached. From then on each answer says
    whether it can be."""

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
                self._opened(store)
                await asyncio.Event().wait()
            finally:
                self.complete = False
                await store.close()
