"""The machines of a fleet as their last push left them, and how fresh a copy is."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, NamedTuple

from state.db.steps import Steps
from state.fleet.reading.dialect import Native

if TYPE_CHECKING:
    from state.fleet.reading.index import FleetIndex

_MS: Final = "(extract(epoch FROM {}) * 1000)::bigint"
_MACHINES: Final = Native(
    f"SELECT name, user_name, level, version, {_MS.format('pushed_at')}, pending FROM machines"
    " WHERE revoked_at IS NULL ORDER BY pushed_at NULLS FIRST, name LIMIT %s"
)
_COUNT: Final = Native("SELECT count(*) FROM machines WHERE revoked_at IS NULL")
_NAMES: Final = Native(
    "SELECT name, user_name FROM machines"
    " ORDER BY revoked_at IS NOT NULL, pushed_at DESC NULLS LAST, name LIMIT %s"
)
_COPY: Final = Native(
    f"SELECT m.name, m.user_name, c.level, {_MS.format('c.pushed_at')} FROM copies c"
    " JOIN machines m ON m.machine_id = c.machine_id WHERE c.id = %s AND c.machine_id = %s"
)
_LAST: Final = Native("SELECT max(pushed_at)::text FROM machines")
_DATABASE: Final = Native(
    "SELECT pg_database_size(current_database()), (SELECT numbackends FROM pg_stat_database"
    " WHERE datname = current_database())"
)


class MachineState(NamedTuple):
    """A machine, as its last push left it."""

    name: str
    user: str
    level: str
    version: str
    """Of threadkeep."""
    pushed_at_ms: int | None
    """None if it has not pushed yet."""
    pending: int
    """Threads that it was still to push then."""


class Copy(NamedTuple):
    """A copy of a thread."""

    machine: str
    user: str
    level: str
    pushed_at_ms: int


class DatabaseState(NamedTuple):
    """The database of a fleet."""

    size_bytes: int
    connections: int


def machines_steps(most: int) -> Steps[tuple[int, list[MachineState]]]:
    """How many machines a fleet has, and at most so many of them, those first that have not pushed
    for the longest time."""
    ((count,),) = yield _COUNT, []
    return count, [MachineState(*row) for row in (yield _MACHINES, [most])]


def names_steps(most: int) -> Steps[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The names of at most so many machines, those that pushed last first, and of their users. What
    a revoked machine has pushed stays, so it is among the last of them."""
    rows = yield _NAMES, [most]
    users = dict.fromkeys(user for _, user in rows if user)
    return tuple(name for name, _ in rows), tuple(users)


def copy_steps(thread_id: str, machine_id: int) -> Steps[Copy | None]:
    """The copy that a machine has of a thread; None if the fleet does not have it any more."""
    return next((Copy(*row) for row in (yield _COPY, [thread_id, machine_id])), None)


def database_steps() -> Steps[DatabaseState]:
    """How large the database is, and how many connections it has."""
    return DatabaseState(*(yield _DATABASE, [])[0])


def last_push_steps() -> Steps[str | None]:
    """When a machine pushed last."""
    ((last,),) = yield _LAST, []
    return None if last is None else str(last)


async def pushes(index: "FleetIndex", every_s: float) -> AsyncGenerator[None]:
    """Yields at first, and when a machine has pushed since it was looked last, which is done every
    so often. Raises FleetError if the fleet cannot be read."""
    before: str | None = ""
    while True:
        last = await index.database.query(last_push_steps())
        if last != before:
            before = last
            yield None
        await asyncio.sleep(every_s)
