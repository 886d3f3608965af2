"""The threads that have changed a file, for the list: found by reading rollouts, and kept."""

from array import array
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from cli.browse.threads.lines import Snippet
from cli.browse.threads.source import ThreadSource
from cli.filter.wanted import Wanted
from cli.terminal.cells import settled_pieces
from rollout.search.changed_files import LastChange
from state.fulltext.changed_files import threads_changing
from state.fulltext.search import Search, search
from state.jobs.progress import Report
from state.query.model import MOST_INCLUDED

_SIGNS: Final = {"added": "+", "changed": "±", "deleted": "−"}


class ChangedThreads:
    """What was found the last time: to read all rollouts again whenever one of them grows would
    take too long."""

    def __init__(self, source: ThreadSource) -> None:
        self._source = source
        self._of: tuple[str, str] | None = None
        self.keys = array("q")
        self.snippets: dict[int, Snippet] = {}
        """The file that each thread has changed."""

    def is_of(self, wanted: Wanted) -> bool:
        """Whether what was found is what is wanted."""
        return self._of == _subject(wanted)

    async def read(self, wanted: Wanted, report: Report) -> AsyncGenerator[None]:
        """Read all rollouts of the list, a pause for each thread that is found."""
        self._of = None
        self.keys, self.snippets = array("q"), {}
        index, among = self._source.index, wanted.among
        changing = threads_changing(index, wanted.file, among, report=report)
        async with aclosing(changing):
            async for row, change in changing:
                for row_id in (await self._source.row_ids([row["id"]])).values():
                    self.keys.append(row_id)
                    self.snippets[row_id] = _snippet(change, wanted.file)
                yield
        self._of = _subject(wanted)

    async def holding(self, wanted: Wanted) -> "array[int]":
        """Those that hold the words that are wanted too, best first; all if there are none."""
        if not wanted.terms:
            return self.keys
        ids = (await self._source.ids(self.keys))[:MOST_INCLUDED]
        among = replace(wanted.among, included_ids=tuple(ids))
        found = await search(self._source.index, Search(wanted.terms, among, ranked=True))
        row_ids = await self._source.row_ids([hit.row["id"] for hit in found.hits])
        return array("q", row_ids.values())


def _subject(wanted: Wanted) -> tuple[str, str]:
    return wanted.file, wanted.among.filters


def _snippet(change: LastChange, name: str) -> Snippet:
    path, spans = change.snippet(name)
    return [(f"{_SIGNS.get(change.kind, '')} ", False), *settled_pieces(path, spans)]
