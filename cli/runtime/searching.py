"""Search the messages of threads, with a first answer before all of them are indexed, and the files
that they have changed."""

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cli.runtime.open_index import catch_up, catch_up_fulltext
from cli.runtime.waiting import Coverage
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from state.errors import IndexBusy
from state.fulltext.changed_files import found_steps
from state.fulltext.hits import Passage
from state.fulltext.indexer import MESSAGES, caught_up_fulltext, pending_threads
from state.fulltext.search import Found, Search, extent_steps, settled_steps
from state.fulltext.search import search as search_index
from state.query.model import Query
from state.sync.filling import FIRST_FILES
from state.sync.unread import Unread

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

_ENOUGH: Final = FIRST_FILES // 2
"""A first answer that may be incomplete comes from so many threads, or more."""
Show = Callable[[Found, Coverage], Awaitable[None]]


@dataclass(slots=True)
class Searching:
    """A search for ``count`` threads. ``show`` prints its first answer: for ``people``, who see
    more later, as soon as there is one, else when nothing that is not indexed can change it."""

    index: "ThreadIndex"
    search: Search
    count: int
    show: Show
    people: bool
    answered: bool = False
    """Whether what was shown is right and all that was asked for."""
    shown: set[str] = field(default_factory=set)
    """The threads that were shown already."""
    _first: Found | None = None
    _tried: int = 0

    async def found(self, notes: list[str]) -> Found:
        """What there is when the index has caught up with all files. To ``notes`` is added why it
        may be incomplete."""
        if DELEGATED.get() is not None:  # the server keeps the index up to date
            notes.append(await catch_up(self.index))
            return await self.now()
        output.keep_stdout()
        self.index.beside = MESSAGES
        notes.append(await catch_up(self.index, waiting=self._waiting))
        if (await self.index.backfill_status()).status != "complete":
            # Another process is filling the index, which nobody should wait for.
            self.index.database.stop_waiting()
            await self._index_newest()
        else:
            if not self._tried_enough and await pending_threads(self.index) > FIRST_FILES:
                await self._index_newest()
                await self._look(Unread(()))
            notes.append(await catch_up_fulltext(self.index))
        if self.answered and self._first is not None:
            return self._first
        return await self.now()

    async def now(self) -> Found:
        """What the index gives as it is."""
        return await search_index(self.index, self.search, self.count)

    @property
    def _tried_enough(self) -> bool:
        return self.answered or self._tried >= FIRST_FILES

    async def _waiting(self, unread: Unread) -> Collection[str] | None:
        if not self._tried_enough:
            await self._index_newest()
            await self._look(unread)
        return None if self.answered else ()

    async def _index_newest(self) -> None:
        """Index the messages of some threads, those that changed last, unless another process does
        so or keeps the index locked."""
        with suppress(IndexBusy):
            await caught_up_fulltext(self.index, most=FIRST_FILES)

    async def _look(self, unread: Unread) -> None:
        known, pending = await self.index.database.query(extent_steps())
        self._tried = known - pending
        if not self._tried or (not unread and not pending):
            return
        found = await self.now()
        self.answered = await self.index.database.query(settled_steps(self.search, found, unread))
        if self.answered or (self.people and self._tried >= _ENOUGH and self._first is None):
            coverage = Coverage(self._tried, known + len(unread), right=self.answered)
            self._first = found
            await self.show(found, coverage)
            self.shown = {hit.row["id"] for hit in found.hits}


async def search_changed(
    index: "ThreadIndex", name: str, among: Query, count: int, notes: list[str] | None
) -> tuple[Found, list[list[Passage]]]:
    """The first ``count`` threads that have changed a file whose path holds ``name``. With
    ``notes``, the index catches up with all files before; they get why it may be incomplete."""
    if notes is not None:
        index.beside = MESSAGES
        notes.append(await catch_up(index))
        notes.append(await catch_up_fulltext(index))
    return await index.database.query(found_steps(name, among, count))
