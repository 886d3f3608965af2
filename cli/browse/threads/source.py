"""The threads of the index for the picker: keys of a whole list in chunks, rows of what is seen."""

from array import array
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cli.browse.threads.entries import MOST_PINNED, Entry, entry_steps
from state.db.steps import Result, Steps
from state.query.cursor import Cursor
from state.query.listing import Key, any_steps
from state.query.marks import NO_MARKS, marks_steps
from state.query.model import MOST_COUNTED, Counted, Query
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
        self.query = Query()
        """What is listed: of a fleet it says which copies are seen."""
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
        found = await self._read(row_ids)
        for row_id in row_ids:
            self._entries.pop(row_id, None)  # to the end, as one that was used last
        self._entries.update(found)
        self._stale.difference_update(row_ids)
        while len(self._entries) > _KEPT:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._stale.discard(oldest)

    async def _read(self, row_ids: Sequence[int]) -> dict[int, Entry]:
        if not self.index.database.is_fleet:
            return await self.index.database.query(entry_steps(row_ids))
        ids = await self._ask(lambda: ids_steps(row_ids))
        rows = await self.index.rows_of([*ids.values()], self.query)  # with their machines
        marks = await self._ask(lambda: marks_steps([*rows]))
        return {
            row_id: Entry(rows[id_], marks.get(id_, NO_MARKS))
            for row_id, id_ in ids.items()
            if id_ in rows
        }

    async def keys(self, query: Query) -> AsyncGenerator["array[int]"]:
        """The row ids of a list in its order: a few, then the others in chunks. A fleet may have
        millions, of which nobody scrolls through more than the first."""
        after: Cursor | None = None
        count, given = FIRST_KEYS, 0
        while True:
            keys = await self.index.keys(query, after, count)
            yield array("q", (row_id for _, _, row_id in keys))
            given += len(keys)
            if len(keys) < count or (self.index.database.is_fleet and given > MOST_COUNTED):
                return
            after, count = behind(query, keys[-1]), CHUNK

    async def pinned(self, query: Query) -> "array[int]":
        """The row ids of the pinned threads of a list, which come first in it."""
        if query.pinned is not None:
            return array("q")
        keys = await self.index.keys(replace(query, pinned=True), None, MOST_PINNED)
        return array("q", (row_id for _, _, row_id in keys))

    async def counted(self, query: Query) -> Counted:
        """How many threads a list has, and what it leaves out."""
        return await self.index.count(query)

    async def any(self) -> bool:
        """Whether there is any thread at all."""
        return await self.index.database.query(any_steps())

    async def ids(self, row_ids: Sequence[int]) -> list[str]:
        """The ids of threads by their row ids, in that order."""
        found = await self._ask(lambda: ids_steps(row_ids))
        return [found[row_id] for row_id in row_ids if row_id in found]

    async def row_ids(self, ids: Sequence[str]) -> dict[str, int]:
        """The row ids of threads, by id."""
        return await self._ask(lambda: row_ids_steps(ids))

    async def _ask(self, make: Callable[[], Steps[Result]]) -> Result:
        return await self.index.read(make, self.query)


def behind(query: Query, key: Key) -> Cursor:
    """The place behind a thread of a list."""
    return Cursor(query.sort_key, query.descending, query.filters, key[0], key[1])
