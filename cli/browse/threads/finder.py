"""Fill the list: with the threads of a query, then with those whose messages hold what is typed."""

import asyncio
import time
from array import array
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from cli.browse.threads.changed import ChangedThreads
from cli.browse.threads.counts import Finding
from cli.browse.threads.lines import Snippet
from cli.browse.threads.list_view import ThreadListView
from cli.browse.threads.source import FIRST_KEYS, ThreadSource, without_words
from cli.browse.threads.typed import Wanted
from cli.terminal.cells import settled_pieces
from state.errors import StateError
from state.fulltext.hits import Hit, passages
from state.fulltext.search import Search, search
from state.jobs.progress import JobProgress

_MOST_HITS: Final = 200
"""Threads that are found by what was said in them."""
_PAUSE_S: Final = 0.03
"""Messages are searched when nothing was typed for so long."""
_PAUSE_READING_S: Final = 0.3
"""All rollouts are read when nothing was typed for so long."""


class Finder:
    """Fills the list of an index with what is wanted."""

    def __init__(
        self,
        source: ThreadSource,
        view: ThreadListView,
        report: Callable[[Finding], None],
    ) -> None:
        self.source, self._view, self._report = source, view, report
        self.finding = Finding()
        self.hits: dict[str, Hit] = {}
        """What was said, by thread id."""
        self._keys = array("q")
        """Of the threads that were found by their titles."""
        self._row_ids: dict[str, int] = {}
        """Of those that were found by what was said."""
        self._changed = ChangedThreads(source)

    async def find(self, wanted: Wanted, shown: asyncio.Event, *, keep: bool) -> None:
        """Show what is ``wanted``; ``shown`` is set when its first threads are. With ``keep``, the
        list is the same but for what has changed."""
        finding = Finding(problem=wanted.problem)
        try:
            if wanted.file:
                await self._changed_files(wanted, finding, shown, keep=keep)
            else:
                await self._titles(wanted, finding, shown, keep=keep)
            if wanted.terms and not wanted.file:
                await asyncio.sleep(0 if keep else _PAUSE_S)
                await self._messages(wanted, finding)
            finding.done = True
        except StateError as error:
            finding.problem = str(error)
        finally:
            shown.set()
        self._tell(finding)

    async def _titles(
        self, wanted: Wanted, finding: Finding, shown: asyncio.Event, *, keep: bool
    ) -> None:
        began, view, query = time.perf_counter(), self._view, wanted.query
        if keep:
            self.source.outdate()
        else:
            self.hits = {}
        counted = None if query.words else await self.source.counted(query)
        view.words = wanted.words
        async with aclosing(self.source.keys(query)) as chunks:
            keys = await anext(chunks)
            known = keys + _behind(keys, view.keys) if keep else keys
            total = counted.listed if counted else len(known)
            snippets = self._snippets(wanted, known) if keep else {}
            finding.titles_s = time.perf_counter() - began
            await view.show(
                self.source, known[:], max(total, len(keys)), keep=keep, snippets=snippets
            )
            finding.counted, finding.threads = counted, view.total
            self._tell(finding)
            shown.set()
            async for more in chunks:
                keys.extend(more)
                if not keep:
                    view.extend(more)
        if keep and not wanted.terms and keys != view.keys:
            await view.show(self.source, keys, len(keys), keep=True)
        finding.counted = counted or await self.source.counted(query)
        finding.threads = len(keys)
        if not keys:
            finding.any = await self.source.any()
        if not wanted.terms:
            view.set_total(len(keys))
        self._keys = keys
        self._tell(finding)

    async def _changed_files(
        self, wanted: Wanted, finding: Finding, shown: asyncio.Event, *, keep: bool
    ) -> None:
        view, changed = self._view, self._changed
        self.source.outdate()
        if not (keep and changed.is_of(wanted)):
            self.hits = {}
            await view.show(self.source, array("q"), 0, keep=False)
            shown.set()
            await asyncio.sleep(_PAUSE_READING_S)

            def report(counts: JobProgress) -> None:
                finding.reading = counts
                self._tell(finding)

            async with aclosing(changed.read(wanted, report)) as reading:
                async for _ in reading:
                    if not wanted.terms:
                        finding.threads = len(changed.keys)
                        await self._show_changed(changed.keys[:])
        finding.reading = None
        keys = await changed.holding(wanted)
        finding.threads = len(keys)
        if not keys:
            finding.counted = await self.source.counted(wanted.query)
        await self._show_changed(keys[:])

    async def _show_changed(self, keys: "array[int]") -> None:
        snippets = self._changed.snippets
        await self._view.show(self.source, keys, len(keys), keep=True, snippets=snippets)

    async def _messages(self, wanted: Wanted, finding: Finding) -> None:
        began = time.perf_counter()
        among = replace(without_words(wanted.query), limit=100)
        found = await search(
            self.source.index, Search(wanted.terms, among, ranked=True, most_hits=3), _MOST_HITS
        )
        self.hits = {hit.row["id"]: hit for hit in found.hits}
        self._row_ids = await self.source.row_ids([*self.hits])
        titles = set(self._keys)
        others = (self._row_ids[id_] for id_ in self.hits if id_ in self._row_ids)
        keys = self._keys + array("q", (each for each in others if each not in titles))
        finding.messages_s = time.perf_counter() - began
        finding.threads = len(keys)
        snippets = self._snippets(wanted, keys)
        await self._view.show(self.source, keys, len(keys), keep=True, snippets=snippets)

    def _snippets(self, wanted: Wanted, keys: "array[int]") -> dict[int, Snippet]:
        """What was said in the threads that were found by it."""
        found: dict[int, Snippet] = {}
        for id_, hit in self.hits.items():
            row_id = self._row_ids.get(id_)
            if row_id is not None and hit.messages:
                said = replace_header(hit)
                snippet = passages(said, wanted.terms)[0].snippet
                found[row_id] = settled_pieces(snippet.text, snippet.spans)
        return found

    def _tell(self, finding: Finding) -> None:
        self.finding = finding
        self._report(finding)


def _behind(keys: "array[int]", before: "array[int]") -> "array[int]":
    """What was behind the last of ``keys`` in the list before, until all keys are there."""
    if len(keys) < FIRST_KEYS or keys[-1] not in before:
        return array("q")
    first = set(keys)
    return array("q", (each for each in before[before.index(keys[-1]) :] if each not in first))


def replace_header(hit: Hit) -> Hit:
    """A hit without what its title has, which the list shows anyway."""
    return hit._replace(header=[], messages=hit.messages[:1])
