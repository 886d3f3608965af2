"""A fleet's PostgreSQL in the place of an index's database, for what only reads."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from state.db.database import Database
from state.db.steps import Result, Steps, Work
from state.errors import FleetBusy, FleetLost, FleetNotReadable, InvalidQuery, StateError
from state.fleet.reading.dialect import (
    BY_VALUES,
    INDEXES,
    Binary,
    Native,
    is_about_indexes,
    translated,
)
from state.fleet.reading.scope import Scope
from state.fleet.server.connect import connected, log_in
from state.fleet.server.failures import translated as failing_as_fleets
from state.workers import Workers

if TYPE_CHECKING:
    import psycopg

_MOST_CONNECTIONS: Final = 4
_MOST_IDLE: Final = 2
_IDLE_S: Final = 60.0
"""A server that nobody asks keeps no connection for longer: PostgreSQL has few."""
_MANY_ROWS: Final = 1_000
"""What is made of so many takes a while, as it does of messages and of rollouts, which a ``Binary``
asks for: not in the event loop."""
_PREPARED_AFTER: Final = 2
"""A statement that is asked this often over one connection is kept there as it is planned: to plan
a page takes as long as to read it."""


class FleetDatabase(Database):
    """A fleet that is read. Make one with :func:`open_fleet_database`."""

    only_reads = True
    is_fleet = True

    def __init__(self, path: Path, address: str) -> None:
        super().__init__(path, 0.0)
        self.address = address
        self.scope = Scope(0)
        """What is seen where a query does not say."""
        self.rates = "[]"
        """The reader's prices, as JSON of rows of ``usage_rates``."""
        self.priced: set[Any] = set()
        """What they are of: a read that is under way needs the prices that were there before."""
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(_MOST_CONNECTIONS)
        # Not those of the database: they may wait for a read that needs one of these.
        self._computing = Workers(_MOST_CONNECTIONS)
        self._waiting: list[tuple[AsyncExitStack, Any]] = []
        self._uses = 0
        """How often a connection has come back."""
        self._closing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make a first connection, and find out whose threads it sees. Raises FleetError."""
        with failing_as_fleets():
            self._waiting.append(await self._connected())

    async def query(self, steps: Steps[Result], scope: Scope | None = None) -> Result:
        """What ``steps`` give, of one state of the fleet, as far as ``scope`` goes. Raises
        FleetError if PostgreSQL does not answer them."""
        seen = scope or self.scope
        with failing_as_fleets():
            async with self._transaction(seen) as connection:
                try:
                    return await self._run(steps, connection, seen)
                except StateError as error:
                    refused = error
        raise refused  # which is no reason to close the connection

    async def again(self, make: Callable[[], Steps[Result]], scope: Scope | None = None) -> Result:
        """The same of steps that can be begun anew: once more where a connection was lost, or where
        a standby gave up a read for the sake of what it has to catch up with."""
        try:
            return await self.query(make(), scope)
        except (FleetLost, FleetBusy):
            return await self.query(make(), scope)

    def query_here(self, steps: Steps[Result]) -> NoReturn:
        """Raises InvalidQuery: what is read in another thread is read of the home in the cache."""
        steps.close()
        raise InvalidQuery("this cannot be asked of a fleet")

    def inline(self, steps: Steps[Result]) -> None:
        """None: PostgreSQL is waited for."""
        steps.close()

    async def look(self, work: Work[Result]) -> NoReturn:
        """Raises InvalidQuery: there is no SQLite here."""
        raise InvalidQuery("this cannot be asked of a fleet")

    async def transact(self, work: Work[Result]) -> NoReturn:
        """Raises InvalidQuery: machines change their own index, and push."""
        raise InvalidQuery("a fleet is changed by what its machines push")

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        await self._close_waiting()

    async def _run(self, steps: Steps[Result], connection: Any, scope: Scope) -> Result:
        try:
            sql, given = next(steps)
            while True:
                if is_about_indexes(sql):
                    known = [] if scope.machine else [name for name in given if name in INDEXES]
                    sql, given = steps.send([(name,) for name in known])
                    continue
                if isinstance(sql, Native):
                    binary = isinstance(sql, Binary)
                    found = await connection.execute(str(sql), given, binary=binary)
                else:
                    made = translated(sql, scope.tenant_id)
                    found = await connection.execute(
                        made.sql,
                        made.parameters(given, self.rates),
                        prepare=False if sql.startswith(BY_VALUES) else None,
                    )
                rows = await found.fetchall()
                if len(rows) < _MANY_ROWS and not isinstance(sql, Binary):
                    sql, given = steps.send(rows)
                else:
                    sql, given = await self._computing.run(partial(_sent, steps, rows))
        except (StopIteration, _Ended) as done:
            result: Result = done.value
            return result

    @asynccontextmanager
    async def _transaction(self, scope: Scope) -> "AsyncGenerator[psycopg.AsyncConnection[Any]]":
        import psycopg

        async with self._free:
            stack, connection = await self._connected()
            try:
                try:
                    await connection.execute(scope.begin)
                except psycopg.OperationalError:  # lost since it was used last
                    await _closed(stack)
                    stack, connection = await self._connected(fresh=True)
                    await connection.execute(scope.begin)
                yield connection
                await connection.commit()  # a rollback would have psycopg forget what is prepared
            except BaseException:
                await _closed(stack)
                raise
            if self._closed or len(self._waiting) >= _MOST_IDLE:
                await _closed(stack)
            else:
                self._waiting.append((stack, connection))
                self._uses += 1
                self._loop.call_later(_IDLE_S, self._begin_to_close_idle, self._uses)

    def _begin_to_close_idle(self, uses: int) -> None:
        if uses == self._uses and not self._closed:  # nothing was asked since
            self._closing = self._loop.create_task(self._close_waiting())

    async def _close_waiting(self) -> None:
        while self._waiting:
            await _closed(self._waiting.pop()[0])

    async def _connected(
        self, *, fresh: bool = False
    ) -> "tuple[AsyncExitStack, psycopg.AsyncConnection[Any]]":
        """A connection of nobody else. With ``fresh``, those that wait are given up: the server
        has been started anew."""
        while self._waiting:
            stack, connection = self._waiting.pop()
            if not fresh and not connection.closed:
                return stack, connection
            await _closed(stack)
        stack = AsyncExitStack()
        connection = await stack.enter_async_context(connected(self.address))
        try:
            login = await log_in(connection)
            if not login.reads:
                raise FleetNotReadable(connection.info.user)
        except BaseException:
            await _closed(stack)
            raise
        if self.scope.tenant_id != login.tenant_id:  # later ones see what the first one does
            self.scope = Scope(login.tenant_id)
        _load_as_sqlite_does(connection)
        if login.is_direct:
            connection.prepare_threshold = _PREPARED_AFTER
        return stack, connection


class _Ended(Exception):
    """Steps have ended in another thread, out of which no StopIteration gets."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _sent(steps: Steps[Any], rows: list[Any]) -> Any:
    try:
        return steps.send(rows)
    except StopIteration as done:
        raise _Ended(done.value) from None


async def _closed(stack: AsyncExitStack) -> None:
    with suppress(Exception):
        await stack.aclose()


def _load_as_sqlite_does(connection: "psycopg.AsyncConnection[Any]") -> None:
    """Have values be of the types that SQLite has: numbers whole where they can be."""
    from psycopg.adapt import Loader

    class Number(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data)
            return int(text) if text.lstrip(b"-").isdigit() else float(text)

    class Truth(Loader):
        def load(self, data: Any) -> int:
            return int(bytes(data) == b"t")

    connection.adapters.register_loader("numeric", Number)
    connection.adapters.register_loader("bool", Truth)


@asynccontextmanager
async def open_fleet_database(path: Path, address: str) -> AsyncGenerator[FleetDatabase]:
    """The fleet at ``address``, closed on the way out; beside ``path``, the index of this machine,
    are its user's prices. Raises what :func:`state.fleet.server.connect.connected` and
    :func:`state.fleet.server.connect.log_in` do, and FleetNotReadable for a machine that only
    pushes."""
    database = FleetDatabase(path, address)
    try:
        await database.open()
        yield database
    finally:
        await database.close()
