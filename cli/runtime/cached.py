"""Threads of a fleet where the code that reads every home finds them: in the user's cache."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli.arguments.locations import Locations
from cli.runtime.open_index import read_index
from cli.terminal import output
from state.errors import HomeFolderUnknown
from state.query.model import ANY
from state.thread_index import ThreadIndex, open_index

if TYPE_CHECKING:
    from cli.render.reading import Reading
    from state.fleet.reading.cache import CachedThread
    from state.query.marks import Marks
    from state.query.model import Query
    from state.query.rows import Row


class FleetThread(NamedTuple):
    """A thread of a fleet that is here to be read."""

    row: "Row"
    """As the fleet has that copy."""
    marks: "Marks"
    cached: "CachedThread"

    @property
    def here(self) -> Locations:
        """The locations of the home in which it is."""
        from state.fleet.reading.folder import index_of

        return Locations(self.cached.home, index_of(self.cached.home))

    async def read(
        self, open_reading: "Callable[[ThreadIndex, Row], Awaitable[Reading]]"
    ) -> "Reading":
        """What ``open_reading`` makes of it in that home."""
        async with open_index(self.here.home, self.here.index) as index:
            await index.catch_up()
            reading = await open_reading(index, await index.thread(self.row["id"]))
        return self.named(reading)

    def named(self, reading: "Reading") -> "Reading":
        """A reading of it with what its files do not say: machine and user, its name, what was put
        on it by hand, and what the settings of its machine say."""
        from state.fleet.reading.cache import as_cached

        row = {**reading.row, **as_cached(self.row, reading.row)}
        return replace(reading, row=row, details=reading.details | {"marks": self.marks})


def say_passed_over(row: "Row", which: str = "") -> None:
    """Say that an older copy of a thread of a fleet is read, if it is; ``which`` names the thread
    where there are several."""
    from cli.render.labels import passed_over_note

    if note := passed_over_note(row):
        output.say(f"{which}: {note}" if which else note)


def cache_folder(address: str) -> Path:
    """Where copies of the threads of a fleet are kept. Raises HomeFolderUnknown if the user has no
    folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base if os.path.isabs(base) else "~/.cache")  # the XDG specification says so
    try:
        folder = folder.expanduser()
    except RuntimeError:
        raise HomeFolderUnknown(folder) from None
    digest = blake2b(address.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return folder / "threadkeep" / f"fleet-{digest}"


def bring(here: Locations, reference: str) -> FleetThread:
    """The thread of a fleet that ``reference`` means, brought here: its newest copy that has what
    is in it, or that of the machine that ``here`` names. Raises what :func:`fleet_thread`
    raises."""

    async def work(index: ThreadIndex) -> FleetThread:
        return await fleet_thread(index, await index.thread(reference))

    return read_index(here, work)


async def fleet_thread(index: ThreadIndex, row: "Row", query: "Query" = ANY) -> FleetThread:
    """The thread of a row of what ``query`` sees of a fleet, brought here. Raises what
    :func:`state.fleet.reading.readable.readable` raises."""
    from state.fleet.reading.index import FleetIndex
    from state.fleet.reading.readable import readable

    assert isinstance(index, FleetIndex)
    marks = (await index.details(row["id"], query))["marks"]
    found = await readable(index, row, cache_folder(index.database.address), query)
    return FleetThread(found.row, marks, found.cached)
