"""The threads of the index for the picker: keys of a whole list in chunks, rows of what is seen."""

from array import array
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Final

from cli.browse.threads.entries import Entry, entry_steps, pinned_steps
from state.query.cursor import Cursor
from state.query.listing import Key, any_steps, count_steps, key_steps
from state.query.model import Counted, Query
from state.query.rows import ids_steps, row_ids_steps
from state.thread_index import ThreadIndex

FIRST_KEYS: Final = 500
CHUNK: Final = 5_000
_KEPT: Final = 1_000
"""Rows that are kept in memory; a screen shows a few dozen."""


class ThreadSource:
    """Threads of an index, with a small cache of their rows."""

    index: ThreadIndex
    """Set once it is open; until then there is what was known at the start."""

    def __init__(self, entries: Mapping[int, Entry] | None = None) -> None:
        self._entries: dict[int, Entry] = dict(entries or {})
        self._stale: set[int] = set()
        """Row ids whose rows may have changed since they were read."""

    def entry(self, row_id: int) -> Entry | None:
        """A thread, if it was read."""
        return self._entries.get(row_id)

    def lacks(self, row_ids: Iterable[int]) -> list[int]:
        """Those of some row ids that have to be read."""
        return [each for each in row_ids if each not in self._entries or each in self._stale]

    def outdate(self) -> None:
        """Have all rows read again. Until then they are shown as they were."""
        self._stale.update(self._entries)

    async def load(self, row_ids: Sequence[int]) -> None:
        """Read threads."""
        found = await self.index.database.query(entry_steps(row_ids))
        for row_id in row_ids:
            self._entries.pop(row_id, None)  # to the end, as one that was used last
        self._entries.update(found)
        self._stale.difference_update(row_ids)
        while len(self._entries) > _KEPT:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._stale.discard(oldest)

    async def keys(self, query: Query) -> AsyncGenerator["array[int]"]:
        """The row ids of a list in its order: a few, then the others in chunks."""
        after: Cursor | None = None
        count = FIRST_KEYS
        while True:
            keys = await self.index.database.query(key_steps(query, after, count))
            yield array("q", (row_id for _, _, row_id in keys))
            if len(keys) < count:
                return
            after, count = behind(query, keys[-1]), CHUNK

    async def pinned(self, query: Query) -> "array[int]":
        """The row ids of the pinned threads of a list, which come first in it."""
        return array("q", await self.index.database.query(pinned_steps(query)))

    async def counted(self, query: Query) -> Counted:
        """How many threads a list has, and what it leaves out."""
        return await self.index.database.query(count_steps(query))

    async def any(self) -> bool:
        """Whether there is any thread at all."""
        return await self.index.database.query(any_steps())

    async def ids(self, row_ids: Sequence[int]) -> list[str]:
        """The ids of threads by their row ids, in that order."""
        found = await self.index.database.query(ids_steps(row_ids))
        return [found[row_id] for row_id in row_ids if row_id in found]

    async def row_ids(self, ids: Sequence[str]) -> dict[str, int]:
        """The row ids of threads, by id."""
        return await self.index.database.query(row_ids_steps(ids))


def behind(query: Query, key: Key) -> Cursor:
    """The place behind a thread of a list."""
    return Cursor(query.sort_key, query.descending, query.filters, key[0], key[1])
