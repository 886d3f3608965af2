"""A fleet in the place of the index of a home: the same reads, of copies on many machines."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from rollout.files.layout import parse_name, parse_uuid
from rollout.files.text import storable_text
from state.db.steps import Result, Steps
from state.errors import POSITION, AmbiguousThread, InvalidQuery, ThreadNotFound, ThreadNotInFleet
from state.fleet.reading.database import FleetDatabase, open_fleet_database
from state.fleet.reading.fulltext.relevance import rank
from state.fleet.reading.fulltext.search import search
from state.fleet.reading.lists import pages
from state.fleet.reading.lists.filters import Known
from state.fleet.reading.rates import look_up_rates
from state.fleet.reading.scope import Machine, Scope, machines_steps, scope_of
from state.jobs.progress import Report, SyncProgress
from state.prices.spending import Spending, known_spending_steps
from state.query.cursor import Cursor
from state.query.listing import Key, short_id_steps
from state.query.model import Counted, Page, Query
from state.query.resolve import is_id_prefix
from state.query.rows import Row
from state.sync.unread import Unread, Waiting
from state.thread_index import ThreadIndex

_MOST: Final = 100
_MACHINES_S: Final = 60.0
"""How long the names of machines are taken for those that there are."""
LATEST: Final = Query(sort_key="recency_at")


class FleetIndex(ThreadIndex):
    """The index of a fleet. Make one with :func:`open_fleet`. What changes an index, it refuses."""

    database: FleetDatabase

    def __init__(self, home: Path, database: FleetDatabase) -> None:
        super().__init__(home, database)
        self.search = partial(search, self)
        self.rank = partial(rank, self)
        self._machines: list[Machine] | None = None
        self._machines_until_s = 0.0
        self._users: tuple[str, ...] = ()
        self._known = Known()

    async def see(self, machine: str | None, users: Sequence[str]) -> None:
        """Have what names no machine and no user be of these. Raises InvalidQuery if there is no
        such one."""
        self._users = tuple(users)
        query = replace(LATEST, machine=machine, users=self._users)
        self.database.scope = await self.scope(query)

    def seen(self, query: Query) -> Query:
        """The query with the users that it is to be of where it names none."""
        if self._users and query.machine is None and not query.users:
            return replace(query, users=self._users)
        return query

    async def page(self, query: Query) -> Page:
        """The page that ``query`` asks for. Raises what
        :func:`state.query.listing.page_steps` does, and InvalidQuery for a machine or user that
        there is not."""
        seen = self.seen(query)
        return await self.read(lambda: pages.page_steps(seen, self._known), seen)

    async def stored_page(self, query: Query) -> Page:
        """The same."""
        return await self.page(query)

    async def keys(self, query: Query, after: Cursor | None, count: int) -> list[Key]:
        """The first ``count`` keys of the list behind a place."""
        seen = self.seen(query)
        return await self.read(lambda: pages.key_steps(seen, after, count, known=self._known), seen)

    async def count(self, query: Query) -> Counted:
        """How many threads the list of ``query`` has, and what the defaults keep out of it, each
        up to :data:`state.query.model.MOST_COUNTED`."""
        seen = self.seen(query)
        return await self.read(lambda: pages.count_steps(seen, self._known), seen)

    async def rows_of(self, ids: Sequence[str], query: Query = LATEST) -> dict[str, Row]:
        """The rows of threads, by id."""
        return await self.read(lambda: pages.rows_steps(ids), query)

    async def short_ids(self, ids: Sequence[str]) -> dict[str, str]:
        """For each id the shortest prefix, of eight letters or more, that only it has."""
        return await self.read(lambda: short_id_steps(ids))

    async def thread(self, reference: str, query: Query = LATEST) -> Row:
        """The row of the thread that an id, a unique prefix of one, a name, the path of its file or
        a place in the list means.

        Raises:
            AmbiguousThread: more than one thread matches.
            ThreadNotFound: none does.
        """
        seen = self.seen(query)
        row = await self.read(lambda: _thread_steps(reference, seen), seen)
        if row is None:
            raise ThreadNotInFleet(reference)
        return row

    async def resolve(self, reference: str) -> list[str]:
        """The ids of the threads that ``reference`` may mean, at most 100."""
        return await self.read(lambda: _resolve_steps(reference, self.seen(LATEST)))

    async def not_found(self, references: Sequence[str]) -> dict[str, ThreadNotFound]:
        """Why there is no thread for some references: nothing is known of it."""
        return {reference: ThreadNotInFleet(reference) for reference in references}

    async def details(self, thread_id: str, query: Query = LATEST) -> dict[str, Any]:
        """All that the fleet has of a thread, as :meth:`ThreadIndex.details`; its files and tools
        stay on its machine. Raises ThreadNotFound if there is none."""
        return await self.read(lambda: pages.details_steps(thread_id), query)

    async def look_up_prices(self, query: Query = LATEST) -> bool:
        """Look up the prices of all models that were used in what ``query`` sees. Raises
        InvalidPrices if the user's list of prices cannot be used."""
        await look_up_rates(self.database, None, await self.scope(query))
        return True

    async def spending(self, ids: Sequence[str], query: Query = LATEST) -> dict[str, Spending]:
        """What threads have spent: see :meth:`ThreadIndex.spending`."""
        await look_up_rates(self.database, ids, await self.scope(query))
        return await self.read(lambda: known_spending_steps(ids), query)

    async def machines(self) -> list[Machine]:
        """All machines of the tenant, by name."""
        if self._machines is None or time.monotonic() > self._machines_until_s:
            self._machines_until_s = time.monotonic() + _MACHINES_S
            tenant_id = self.database.scope.tenant_id
            self._machines = await self.database.again(lambda: machines_steps(tenant_id))
        return self._machines

    async def catch_up(
        self, report: Report | None = None, *, waiting: Waiting | None = None
    ) -> SyncProgress:
        """Nothing: machines push when they do."""
        return SyncProgress()

    async def sync(
        self,
        report: Report | None = None,
        *,
        reread: bool = False,
        waiting: Waiting | None = None,
    ) -> SyncProgress:
        """Nothing."""
        return SyncProgress()

    async def unread(self) -> Unread:
        """Nothing."""
        return Unread.sorted(())

    async def refresh(self, paths: Sequence[str]) -> bool:
        """Nothing."""
        return False

    async def backfill(self, *_: Any, **__: Any) -> NoReturn:
        """Raises InvalidQuery."""
        raise InvalidQuery("a fleet is filled by what its machines push")

    async def read(self, make: Callable[[], Steps[Result]], query: Query = LATEST) -> Result:
        """What steps give, of what ``query`` sees of the fleet."""
        return await self.database.again(make, await self.scope(query))

    async def scope(self, query: Query) -> Scope:
        """What of the fleet ``query`` sees. Raises InvalidQuery if it names a machine or user that
        there is not."""
        if query.machine is None and not query.users:
            return self.database.scope
        tenant_id = self.database.scope.tenant_id
        try:
            return scope_of(query, tenant_id, await self.machines())
        except InvalidQuery:
            self._machines = None  # it may be a new one
            return scope_of(query, tenant_id, await self.machines())


def _thread_steps(reference: str, query: Query) -> Steps[Row | None]:
    ids = yield from _resolve_steps(reference, query)
    rows = yield from pages.rows_steps(ids)
    if len(ids) > 1:
        found = sorted(rows.values(), key=lambda row: (row["recency_at_ms"], row["id"]))[::-1]
        short_ids = yield from short_id_steps([row["id"] for row in found])
        raise AmbiguousThread(reference, ids, found, short_ids)
    return rows.get(ids[0]) if ids else None


def _resolve_steps(reference: str, query: Query) -> Steps[list[str]]:
    """As :func:`state.query.resolve.resolve_steps`, but that a path means the thread whose id it
    ends with: which files there are, only their machine knows."""
    reference = storable_text(reference)
    if POSITION.fullmatch(reference):
        place = int(reference[1:])
        keys = yield from pages.key_steps(query, None, place)
        return [id_ for _, id_, _ in keys[place - 1 :]]
    name = parse_name(reference)
    exact = parse_uuid(reference) or (name.thread_id if name else None)
    conditions = [("id = ?", [exact])] if exact else []
    if not exact:
        if is_id_prefix(prefix := reference.lower()):
            conditions.append(("id >= ? AND id < ?", [prefix, f"{prefix}~"]))
        conditions.append(("md5(name) = md5(?) AND name = ?", [reference, reference]))  # an index
    for condition, parameters in conditions:
        sql = f"SELECT id FROM threads WHERE {condition} ORDER BY id LIMIT {_MOST}"
        if rows := (yield (sql, parameters)):
            return [id_ for (id_,) in rows]
    return []


@asynccontextmanager
async def open_fleet(home: Path, index: Path, address: str) -> AsyncGenerator[FleetIndex]:
    """The fleet at ``address``, read on the machine whose ``home`` and ``index`` these are. Raises
    what :func:`state.fleet.server.connect.connected` does."""
    async with open_fleet_database(index, address) as database:
        yield FleetIndex(home, database)
