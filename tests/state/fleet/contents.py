"""A fleet with rollouts in it, for tests of what reads them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from state.db.steps import Steps
from state.fleet.push.raw import RawContent
from state.fleet.push.text import TextContent
from state.fleet.reading.cache import CachedThread, bring
from state.fleet.reading.database import FleetDatabase, open_fleet_database
from state.fleet.reading.rollouts import Copy
from state.fleet.reading.scope import machines_steps
from state.fleet.server.connect import connected
from state.thread_index import ThreadIndex, open_index
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.copied import Copy as Copied

MONTH = date(2026, 5, 1)


@dataclass
class Thread:
    """A thread that is pushed."""

    id: str
    month: date = MONTH


@dataclass
class Machine:
    """A machine that pushes its rollouts."""

    name: str
    home: Path
    index: ThreadIndex
    connection: "psycopg.AsyncConnection[Any]"

    async def push(self, *ids: str, month: date = MONTH) -> None:
        """Push some threads as they are now."""
        await self.index.sync()
        content = RawContent(self.index)
        threads = [Thread(each, month) for each in ids]
        await content.prepare(self.connection, threads)
        async with self.connection.transaction():
            await content.send(self.connection, threads)

    async def push_messages(self, fleet: Fleet, *ids: str) -> None:
        """Push the messages of some threads, whose rows the fleet has."""
        found = rows(
            fleet,
            "SELECT id, row_id, threadkeep.month_of(created_at_ms) FROM threadkeep.threads"
            " JOIN threadkeep.machines USING (tenant_id, machine_id)"
            " WHERE machines.name = %s AND id = ANY(%s)",
            [self.name, [*ids]],
        )
        copies = [Copied(*row) for row in found]
        content = TextContent(self.index, str)
        await content.prepare(self.connection, copies)
        async with self.connection.transaction():
            await content.send(self.connection, copies)


@asynccontextmanager
async def machine(
    fleet: Fleet, folder: Path, name: str = "one", user: str = "me"
) -> AsyncIterator[Machine]:
    """A machine whose home and index are in a folder."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    async with (
        open_index(home, folder / "index.sqlite3") as index,
        connected(fleet.machine(name, user=user)) as connection,
    ):
        await index.backfill()
        yield Machine(name, home, index, connection)


class Reader:
    """A reader of a fleet, with a cache of its own."""

    def __init__(self, address: str, database: FleetDatabase, cache: Path) -> None:
        self.address = address
        self.database = database
        self.cache = cache
        self.asked = 0

    async def bring(self, thread_id: str, path: Path | str, name: str = "one") -> CachedThread:
        """Bring the copy that a machine has of a thread."""
        tenant_id = self.database.scope.tenant_id
        machines = await self.database.query(machines_steps(tenant_id))
        (found,) = [each for each in machines if each.name == name]
        scope = self.database.scope._replace(machine=found)

        async def ask(steps: Steps[Any]) -> Any:
            self.asked += 1
            return await self.database.query(steps, scope)

        copy = Copy(thread_id, found.machine_id, found.name, found.user)
        return await bring(ask, self.database.workers, self.cache, copy, str(path))


@asynccontextmanager
async def reader(fleet: Fleet, cache: Path, address: str = "") -> AsyncIterator[Reader]:
    """A reader."""
    address = address or fleet.reader()
    async with open_fleet_database(cache, address) as database:
        yield Reader(address, database, cache)


def run(fleet: Fleet, folder: Path, work: Callable[[Machine, Reader], Awaitable[None]]) -> None:
    """Run ``work`` with a machine and a reader."""

    async def both() -> None:
        async with machine(fleet, folder) as pushing, reader(fleet, folder / "cache") as reading:
            await work(pushing, reading)

    asyncio.run(both())


def rows(fleet: Fleet, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """What an administrator sees."""
    with fleet.administered() as admin:
        return admin.execute(sql, parameters).fetchall()


def execute(fleet: Fleet, sql: str, parameters: Sequence[Any] = ()) -> None:
    """What an administrator does."""
    with fleet.administered() as admin:
        admin.execute(sql, parameters)
