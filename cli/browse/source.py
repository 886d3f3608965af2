"""What the picker shows, read from the index as it is: keys of the whole list, rows of what is
seen."""

from array import array

from state.query.listing import count_steps, key_steps
from state.query.model import Counted, Query
from state.query.rows import Row, rows_steps
from state.thread_index import ThreadIndex


class ThreadSource:
    """The threads of one query."""

    def __init__(self, index: ThreadIndex, query: Query | None = None) -> None:
        self._index = index
        self.query = query or Query(sort_key="recency_at")

    async def keys(self, count: int) -> "array[int]":
        """The row ids of the first ``count`` threads."""
        keys = await self._index.database.query(key_steps(self.query, None, count))
        return array("q", (row_id for _, _, row_id in keys))

    async def counted(self) -> Counted:
        """How many threads the list has, and what it leaves out."""
        return await self._index.database.query(count_steps(self.query))

    async def rows(self, row_ids: list[int]) -> dict[str, Row]:
        """The rows of some threads, by their ids."""
        return await self._index.database.query(rows_steps(row_ids, "row_id"))
