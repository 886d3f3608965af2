"""What filters can choose, and how many threads each has: asked of the index now and then."""

import asyncio
import math
import time
from typing import Final

from cli.filter.known import known_machines, known_of
from cli.filter.language import Known
from state.query.model import Query
from state.query.projects import Projects
from state.reports.counts import Counts, counts_steps
from state.thread_index import ThreadIndex

_FRESH_S: Final = 2.0
"""It is read again when it is asked for and older than that. Of 20,000 threads that takes 35 ms,
for which nobody waits ..."""
_OLD_S: Final = 10.0
"""... who does not find it as old as this."""
_FLEET_FRESH_S: Final = 300.0
"""That of a fleet may be older: it may have many more threads and folders ..."""
_FLEET_PATIENCE_S: Final = 0.5
"""... and a page does not wait for it."""
EVERY: Final = Query(sort_key="recency_at")
"""The list without filters, whose threads are counted."""


class Catalog:
    """What an index has."""

    def __init__(self) -> None:
        self._found: tuple[Known, Counts] = Known(), Counts({}, {}, {}, Projects({}))
        self._read_s: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def of(self, index: ThreadIndex) -> tuple[Known, Counts]:
        """What the index had a moment ago. Raises StateError if it has not been read lately, and
        cannot be read now."""
        age_s = math.inf if self._read_s is None else time.monotonic() - self._read_s
        if index.database.is_fleet:
            return await self._of_fleet(index, age_s)
        if age_s > _OLD_S or not self._found[1].projects:  # an index may be being filled
            await asyncio.shield(self._begin(index))
        elif age_s > _FRESH_S:
            self._begin(index)
        return self._found

    async def _of_fleet(self, index: ThreadIndex, age_s: float) -> tuple[Known, Counts]:
        """What a fleet had some minutes ago; for a moment only its machines and users, as the rest
        of many folders takes seconds."""
        if age_s > _FLEET_FRESH_S:
            await asyncio.wait({self._begin(index)}, timeout=_FLEET_PATIENCE_S)
        if self._read_s is None:
            return await known_machines(index), self._found[1]
        return self._found

    def outdate(self) -> None:
        """Have it read again, as something was changed here."""
        self._read_s = self._reading = None

    def _begin(self, index: ThreadIndex) -> asyncio.Task[None]:
        """Read it, once for all who ask meanwhile."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(index))
            self._reading.add_done_callback(_heard)
        return self._reading

    async def _read(self, index: ThreadIndex) -> None:
        found = await known_of(index), await index.read(lambda: counts_steps(EVERY), EVERY)
        if asyncio.current_task() is self._reading:  # else something was changed since
            self._found, self._read_s = found, time.monotonic()


def _heard(reading: asyncio.Task[None]) -> None:
    """An error is told to those who wait; the list tells all others of it."""
    if not reading.cancelled():
        reading.exception()
