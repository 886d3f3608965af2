"""The threads that pages read, kept for a while: what is known of one is not asked for again by
each part of its page."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from cli.turns.heads import KnownTurns, OutlineEntry, TurnKey
from cli.turns.source import TurnSource, shared_turns
from cli.web.site import thread_url
from state.query.model import Query
from state.thread_store import ThreadStore

_KEPT: Final = 16
"""Threads; the turns of the last few of them are kept by the store."""
_AT_ONCE: Final = 3
"""Answers that are made of turns at a time: the others of the store's workers are free for what
costs less."""
_TELL_S: Final = 0.4
"""How often it is told how much of a thread was read."""
Outline = dict[TurnKey, OutlineEntry]
Result = TypeVar("Result")


class _Shared(Generic[Result]):
    """Work that goes on, for who asks again, when somebody has waited long enough."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> None:
        self._work = work
        self._task: asyncio.Task[Result] | None = None
        self._waiting = 0

    async def within(self, seconds: float) -> Result | None:
        """What it gives; None if that takes longer."""
        if self._task is None:
            self._task = asyncio.create_task(self._work())
            self._task.add_done_callback(self._ended)
        self._waiting += 1
        try:
            done, _ = await asyncio.wait({self._task}, timeout=seconds)
        finally:
            self._waiting -= 1
        return done.pop().result() if done else None

    def _ended(self, task: "asyncio.Task[Result]") -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # retrieved: whoever waits is told, and the next one tries again

    def cancel(self) -> None:
        """End it, unless somebody waits for it."""
        if self._task is not None and not self._waiting:
            self._task.cancel()


class OpenThread:
    """A thread that pages read."""

    def __init__(self, source: TurnSource, limit: asyncio.Semaphore) -> None:
        self.source = source
        self.limit = limit
        """Held while an answer is made of turns."""
        self._known: KnownTurns | None = None
        self._version = 0
        self._outline: tuple[int, Outline] | None = None
        self._lock = asyncio.Lock()
        self._knowing, self._outlining = _Shared(self.known), _Shared(self.outline)

    @property
    def url(self) -> str:
        """The address of its page."""
        return thread_url(self.source.row["id"], machine=self.source.query.machine)

    async def known(self) -> KnownTurns:
        """The turns as the files are now: only the last ones of a long thread as long as that is
        read for the first time. Raises as :meth:`TurnSource.known` does."""
        async with self._lock:
            known = self._known
            if known is None or known.partial or await self.source.changed():
                known = self._known = await self.source.known()
                self._version += 1
            return known

    async def known_within(self, seconds: float) -> KnownTurns | None:
        """The same; None if that takes longer."""
        return await self._knowing.within(seconds)

    async def until_whole(self) -> AsyncGenerator[float]:
        """Ends when all turns are known; until then tells how much was read. Raises as
        :meth:`known` does."""
        while (known := await self.known_within(_TELL_S)) is None or known.partial:
            yield self.source.progress()
            if known is not None:
                await asyncio.sleep(_TELL_S)

    async def outline(self) -> Outline:
        """What all turns are about. Raises as :meth:`TurnSource.outline` does."""
        version = self._version
        if self._outline is None or self._outline[0] != version:
            self._outline = version, await self.source.outline()
        return self._outline[1]

    async def outline_within(self, seconds: float) -> Outline | None:
        """The same; None if that takes longer."""
        return await self._outlining.within(seconds)

    def close(self) -> None:
        """End what nobody waits for."""
        self._knowing.cancel()
        self._outlining.cancel()


class OpenThreads:
    """The last threads that were read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str | None], OpenThread] = OrderedDict()
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def open(
        self, store: ThreadStore, reference: str, machine: str | None = None
    ) -> OpenThread:
        """The thread that an id, a unique prefix of one, a name or a path means; of a fleet, the
        copy of a ``machine`` if one is named.

        Raises:
            AmbiguousThread: more than one thread matches.
            InvalidQuery: there is no such machine.
            ThreadUnreadable: nothing can be read from its file.
            ThreadNotFound: none does.
        """
        query = Query(sort_key="recency_at", machine=machine)
        row = await store.index.thread(reference, query)
        source = await shared_turns(store, row, query)
        key = (row["id"], machine)
        found = self._kept.get(key)
        if found is None or not found.source.shares_with(source):
            if found is not None:
                found.close()
            found = self._kept[key] = OpenThread(source, self._limit)
        found.source.row = source.row
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)[1].close()
        return found
