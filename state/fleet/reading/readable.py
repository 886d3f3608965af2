"""Which copy of a thread is read: the newest one, or, where only an older one has what is in the
thread, that one, which then says so."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from state.db.steps import Steps
from state.errors import ContentNotPushed
from state.fleet.reading.cache import CachedThread, cached_thread
from state.fleet.reading.dialect import Native
from state.fleet.server.schema import METADATA
from state.query.model import Query

if TYPE_CHECKING:
    from state.fleet.reading.index import FleetIndex
    from state.query.rows import Row

PASSED_OVER: Final = "passed_over"
"""The key of a row that has the :class:`PassedOver` copy, if there is one."""
_MOST: Final = 100
_COPIES: Final = Native(
    "SELECT m.name, c.updated_at_ms, c.size_bytes, c.level, EXISTS (SELECT 1 FROM rollouts r"
    " WHERE r.machine_id = c.machine_id AND r.thread_id = c.id)"
    " FROM copies c JOIN machines m ON m.machine_id = c.machine_id"
    " WHERE c.id = %s ORDER BY c.updated_at_ms DESC, c.size_bytes DESC, c.machine_id DESC"
    f" LIMIT {_MOST}"
)


class _Copy(NamedTuple):
    machine: str
    updated_at_ms: int
    size_bytes: int
    level: str
    is_raw: bool
    """Whether the fleet has rollouts of it."""

    @property
    def age(self) -> tuple[int, int]:
        """The same where a home is on two machines, as by a copy of all its files."""
        return self.updated_at_ms, self.size_bytes


class PassedOver(NamedTuple):
    """The newest copy of a thread, where an older one is read."""

    machine: str
    lacks: str
    """What of it was not pushed: its ``rollout`` or its ``messages``."""


class Readable(NamedTuple):
    """A thread that can be read."""

    row: "Row"
    """Of the copy that it is, with :data:`PASSED_OVER` if there is a newer one."""
    cached: CachedThread


async def readable(fleet: "FleetIndex", row: "Row", cache: Path, query: Query) -> Readable:
    """The thread of a row of what ``query`` sees, brought into the folder ``cache``: where that
    names no machine, the newest copy with a rollout, else the newest one with messages. Raises what
    :func:`state.fleet.reading.cache.cached_thread` raises, and InvalidQuery if there is no such
    machine."""
    scope = await fleet.scope(query)
    if scope.machine is not None or len(row["machines"]) < 2:
        return Readable(row, await cached_thread(fleet, row, cache))
    copies = await fleet.read(lambda: _copies_steps(row["id"]), query)
    refused: ContentNotPushed | None = None
    for copy in sorted(copies, key=lambda copy: (not copy.is_raw, copy.level == METADATA)):
        is_given = copy.machine == row["machine"]
        found = row if is_given else await _row_of(fleet, row["id"], copy.machine)
        if found is None:
            continue  # taken back meanwhile
        try:
            cached = await cached_thread(fleet, found, cache)
        except ContentNotPushed as error:
            refused = refused or error
            continue
        if copy.age != copies[0].age:
            lacks = "messages" if cached.only_messages else "rollout"
            found = {**found, PASSED_OVER: PassedOver(copies[0].machine, lacks)}
        return Readable(found, cached)
    raise refused or ContentNotPushed(row["id"], row["machine"])


def _copies_steps(thread_id: str) -> Steps[list[_Copy]]:
    """The copies of a thread, the newest one first."""
    return [_Copy(*copy) for copy in (yield _COPIES, [thread_id])]


async def _row_of(fleet: "FleetIndex", thread_id: str, machine: str) -> "Row | None":
    found = await fleet.rows_of([thread_id], Query(machine=machine))
    return found.get(thread_id)
