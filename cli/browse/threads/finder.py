"""Fill the list: with the threads of a query, then with those whose messages hold what is typed."""

import asyncio
import time
from array import array
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from cli.browse.threads.changed import ChangedThreads
from cli.browse.threads.counts import Finding
from cli.browse.threads.lines import Snippet
from cli.browse.threads.list_view import ThreadListView
from cli.browse.threads.source import FIRST_KEYS, ThreadSource
from cli.filter.wanted import Wanted
from cli.terminal.cells import settled_pieces
from state.errors import StateError
from state.fulltext.hits import Hit, passages
from state.fulltext.search import Search, search

_MOST_HITS: Final = 100
"""Threads that are found by what was said in them."""
_MOST_LEFT_OUT: Final = 1_000
"""Threads that are left out for what was said in them."""
_PAUSE_S: Final = 0.03
"""Messages and changed files are searched when nothing was typed for so long."""


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
        self.clock = time.perf_counter
        self.hits: dict[str, Hit] = {}
        """What was said, by thread id."""
        self._snippets: dict[int, Snippet] = {}
        """The same on one line, by row id."""

    async def find(self, wanted: Wanted, shown: asyncio.Event, *, keep: bool) -> None:
        """Show what is ``wanted``; ``shown`` is set when its first threads are. With ``keep``, the
        list is the same but for what has changed. A search that is cancelled shows nothing."""
        finding = Finding(problem=wanted.problem, searching=wanted.searches_messages)
        self.source.query = wanted.query
        if keep:
            self.source.outdate()
        else:
            self.hits, self._snippets = {}, {}
        try:
            if wanted.file:
                await self._changed_files(wanted, finding, shown, keep=keep)
            else:
                keys = await self._titles(wanted, finding, shown, keep=keep)
            if wanted.searches_messages:
                await asyncio.sleep(0 if keep else _PAUSE_S)
                await self._messages(wanted, finding, keys)
            if finding.counted is None:  # by now nobody waits for it
                finding.counted = await self.source.counted(wanted.query)
        except StateError as error:
            finding.problem = str(error)
        finally:
            shown.set()
        finding.done, finding.searching = True, False
        self._tell(finding)

    async def _titles(
        self, wanted: Wanted, finding: Finding, shown: asyncio.Event, *, keep: bool
    ) -> "array[int]":
        """Show the threads whose titles hold all words. Gives all of their row ids."""
        began, view, query, source = self.clock(), self._view, wanted.query, self.source
        top = await source.pinned(query) if not wanted.text else array("q")
        pinned = set(top)
        counted = None if query.words else await source.counted(query)
        keys = top[:]
        # What was found by what was said stays until it is found again.
        waits = keep and wanted.searches_messages
        async with aclosing(source.keys(query)) as chunks:
            async for chunk in chunks:
                more = array("q", (each for each in chunk if each not in pinned))
                keys.extend(more)
                if shown.is_set():
                    if not keep:
                        view.extend(more)
                    continue
                finding.titles_s = finding.titles_s or self.clock() - began
                if waits:
                    continue
                known = keys + _behind(keys, view.keys) if keep else keys[:]
                total = max(counted.listed if counted else 0, len(known))
                view.words = wanted.words
                await view.show(source, known, total, keep=keep, snippets=self._snippets)
                finding.counted, finding.threads = counted, total
                self._tell(finding)
                shown.set()
        if keep and not wanted.searches_messages and keys != view.keys:
            await view.show(source, keys, len(keys), keep=True)
        elif not wanted.searches_messages:
            view.set_total(len(keys))
        finding.threads = max(len(keys), view.total if wanted.searches_messages else 0)
        finding.any = bool(keys) or await source.any()
        self._tell(finding)
        return keys

    async def _changed_files(
        self, wanted: Wanted, finding: Finding, shown: asyncio.Event, *, keep: bool
    ) -> None:
        changed = ChangedThreads(self.source, wanted)
        if not keep:
            await self._view.show(self.source, array("q"), 0, keep=False)
            shown.set()
            await asyncio.sleep(_PAUSE_S)
        async with aclosing(changed.read()) as reading:
            async for _ in reading:
                if not (keep or wanted.terms):
                    await self._show_changed(changed, changed.keys, finding)
        finding.unindexed = await changed.unindexed()
        await self._show_changed(changed, await changed.holding(), finding)

    async def _show_changed(
        self, changed: ChangedThreads, keys: "array[int]", finding: Finding
    ) -> None:
        finding.threads = len(keys)
        snippets = changed.snippets
        await self._view.show(self.source, keys[:], len(keys), keep=True, snippets=snippets)

    async def _messages(self, wanted: Wanted, finding: Finding, titles: "array[int]") -> None:
        """Add the threads whose messages hold all terms, the best first, and take out those whose
        messages hold what is not wanted."""
        began, source = self.clock(), self.source
        hits: dict[str, Hit] = {}
        if wanted.terms:
            asked = Search(wanted.terms, wanted.among, ranked=True, most_hits=3)
            found = await search(source.index, asked, _MOST_HITS)
            hits = {hit.row["id"]: hit for hit in found.hits}
            finding.more = found.next_cursor is not None
        places = await source.row_ids([*hits])
        without = await self._left_out(wanted)
        found_said = {*places.values()}
        known = {each for each in titles if each in found_said}  # few: titles may be all
        others = (places[id_] for id_ in hits if id_ in places)
        keys = titles + array("q", (each for each in others if each not in known))
        if without:
            keys = array("q", (each for each in keys if each not in without))
        self.hits = hits
        self._snippets = {
            places[id_]: snippet
            for id_, hit in hits.items()
            if id_ in places and (snippet := _snippet(hit, wanted))
        }
        finding.messages_s = self.clock() - began
        finding.threads = len(keys)
        await self._view.show(source, keys, len(keys), keep=True, snippets=self._snippets)
        finding.searching = False
        self._tell(finding)

    async def _left_out(self, wanted: Wanted) -> set[int]:
        """The row ids of threads whose messages hold what is not wanted."""
        ids: list[str] = []
        for term in wanted.unwanted:
            asked = Search((term,), wanted.among)
            found = await search(self.source.index, asked, _MOST_LEFT_OUT)
            ids += [hit.row["id"] for hit in found.hits]
        return set((await self.source.row_ids(ids)).values())

    def _tell(self, finding: Finding) -> None:
        self.finding = finding
        self._report(finding)


def _behind(keys: "array[int]", before: "array[int]") -> "array[int]":
    """What was behind the last of ``keys`` in the list before, until all keys are there."""
    if len(keys) < FIRST_KEYS or keys[-1] not in before:
        return array("q")
    first = set(keys)
    return array("q", (each for each in before[before.index(keys[-1]) :] if each not in first))


def _snippet(hit: Hit, wanted: Wanted) -> Snippet:
    """The first message that matches, on one line. What its title has, the list shows anyway."""
    said = passages(hit._replace(header=[], messages=hit.messages[:1]), wanted.terms)
    return settled_pieces(said[0].snippet.text, said[0].snippet.spans) if said else []
