"""The threads of a fleet as a store: lists from PostgreSQL, contents from the cache of rollouts."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from state.errors import IndexDamaged, InvalidQuery
from state.fleet.reading.cache import as_cached
from state.fleet.reading.folder import index_of
from state.fleet.reading.readable import readable
from state.query.model import ANY, Page, Query
from state.query.rows import Row
from state.thread_index import ThreadIndex
from state.thread_store import ThreadStore, open_store
from state.turns.answers import TurnAnswers

if TYPE_CHECKING:
    from state.fleet.reading.index import FleetIndex

_MOST_HOMES: Final = 16
"""Homes of the cache, each of one machine, that are open at a time."""
_REFUSED: Final = "a fleet is only read: a thread is changed on its machine"
Result = TypeVar("Result")


class FleetStore(ThreadStore):
    """Only reads: the machine of a thread changes it. Close it before the index."""

    index: "FleetIndex"

    def __init__(self, index: "FleetIndex", cache: Path) -> None:
        """``cache`` is the folder that rollouts are brought into."""
        super().__init__(index)
        self._cache = cache
        self._homes: dict[Path, tuple[ThreadStore, AsyncExitStack]] = {}
        self._opening = asyncio.Lock()

    async def holding(self, row: Row, query: Query = ANY) -> tuple[ThreadStore, Row]:
        """The store of the home in the cache that the thread is brought into, and the row of the
        copy that it is, with what is said of files as the cache has them. Raises what
        :func:`state.fleet.reading.readable.readable` raises."""
        found = await readable(self.index, row, self._cache, query)
        store = await self._opened(found.cached.home)
        there = await store.read_thread(row["id"])
        return store, as_cached(found.row, there)

    async def _opened(self, home: Path) -> ThreadStore:
        async with self._opening:
            if home in self._homes and not index_of(home).exists():
                _, stack = self._homes.pop(home)  # removed, as nobody had used it for long
                await stack.aclose()
            if home not in self._homes:
                self._homes[home] = await _open(home)
            found = self._homes[home] = self._homes.pop(home)  # to the end, as used last
            while len(self._homes) > _MOST_HOMES:
                _, stack = self._homes.pop(next(iter(self._homes)))
                await stack.aclose()
            return found[0]

    async def list_threads(self, query: Query) -> Page:
        return await self.index.page(query)

    async def read_thread(self, thread_id: str) -> Row:
        return await self.index.thread(self._id(thread_id))

    async def lists_items(self, thread_id: str) -> bool:
        store, _ = await self.holding(await self.read_thread(thread_id))
        return await store.lists_items(thread_id)

    async def with_turns(self, thread_id: str, work: Callable[[TurnAnswers], Result]) -> Result:
        store, _ = await self.holding(await self.read_thread(thread_id))
        return await store.with_turns(thread_id, work)

    async def close(self) -> None:
        async with self._opening:
            for _, stack in self._homes.values():
                await stack.aclose()
            self._homes.clear()
        await super().close()

    async def move_to(self, index: ThreadIndex) -> NoReturn:
        raise InvalidQuery(_REFUSED)

    async def _written_out(self, thread_id: str) -> NoReturn:
        raise InvalidQuery(_REFUSED)

    async def _lock(self, thread_id: str) -> NoReturn:
        raise InvalidQuery(_REFUSED)


async def _open(home: Path) -> tuple[ThreadStore, AsyncExitStack]:
    """The store of a home in the cache, and what closes it. A damaged index is made anew: it has
    nothing that the rollouts do not have."""
    stack, index = AsyncExitStack(), index_of(home)
    try:
        return await stack.enter_async_context(open_store(home, index)), stack
    except IndexDamaged:
        for path in index.parent.glob(f"{index.name}*"):
            path.unlink(missing_ok=True)
    return await stack.enter_async_context(open_store(home, index)), stack
