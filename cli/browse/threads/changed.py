"""The threads that have changed a file, for the list."""

from array import array
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

from cli.browse.threads.lines import Snippet
from cli.browse.threads.source import CHUNK, FIRST_KEYS, ThreadSource, behind
from cli.filter.wanted import Wanted
from cli.terminal.cells import settled_pieces
from state.fulltext.changed_files import (
    LastChange,
    changing_keys_steps,
    last_changes_steps,
    unindexed_steps,
)
from state.fulltext.search import Search, search
from state.query.model import MOST_INCLUDED

_SIGNS: Final = {"added": "+", "changed": "±", "deleted": "−", "moved": "→"}


class ChangedThreads:
    """The threads of a list that have changed a file."""

    def __init__(self, source: ThreadSource, wanted: Wanted) -> None:
        self._source, self._wanted = source, wanted
        self.keys = array("q")
        self.snippets: dict[int, Snippet] = {}
        """The file that each thread has changed."""

    async def read(self) -> AsyncGenerator[None]:
        """Find them, a few first, then the others in chunks, with a pause after each."""
        wanted, database = self._wanted, self._source.index.database
        after, count = None, FIRST_KEYS
        while True:
            steps = changing_keys_steps(wanted.file, wanted.among, after, count)
            keys = await database.query(steps)
            row_ids = [row_id for _, _, row_id in keys]
            changes = await database.query(last_changes_steps(row_ids, wanted.file))
            self.keys.extend(row_ids)
            self.snippets.update(
                (row_id, _snippet(change, wanted.file)) for row_id, change in changes.items()
            )
            yield
            if len(keys) < count:
                return
            after, count = behind(wanted.among, keys[-1]), CHUNK

    async def unindexed(self) -> int:
        """Of how many threads the changes are not indexed yet."""
        return await self._source.index.database.query(unindexed_steps())

    async def holding(self) -> "array[int]":
        """Those that hold the words that are wanted too, best first; all if there are none."""
        wanted = self._wanted
        if not wanted.terms:
            return self.keys
        ids = (await self._source.ids(self.keys))[:MOST_INCLUDED]
        among = replace(wanted.among, included_ids=tuple(ids))
        found = await search(self._source.index, Search(wanted.terms, among, ranked=True))
        row_ids = await self._source.row_ids([hit.row["id"] for hit in found.hits])
        return array("q", row_ids.values())


def _snippet(change: LastChange, name: str) -> Snippet:
    path, spans = change.snippet(name)
    return [(f"{_SIGNS.get(change.kind, '')} ", False), *settled_pieces(path, spans)]
