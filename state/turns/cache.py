"""The turns of threads as their files are now.

The turns of the last few threads are kept in memory, and those of long threads in the index; of a
file that has grown, only the new lines are read (:mod:`state.turns.checkpoint`). A request for a
long paginated thread that was never read is answered from its end, if that suffices, while all of
it is read in the background.
"""

import asyncio
import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

from rollout.errors import RolloutError
from rollout.files.cancellation import check_cancelled
from rollout.files.stamp import FileStamp
from rollout.history.segments import Find
from rollout.history.thread import outline
from rollout.history.turn_outline import ListedTurn
from rollout.jsonl.reader import BUFFER_BYTES
from state.aio import wait_until_done
from state.db.steps import Steps
from state.errors import StateError, file_errors
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex
from state.turns.checkpoint import (
    AT_ONCE_BYTES,
    Pause,
    TurnState,
    moved,
    reduce_anew,
    reduce_if_short,
    tail_states,
)
from state.turns.outlines import Unlisted, outlined, quick_outline
from state.turns.pages import TooShort
from state.turns.store import (
    SMALLEST_BYTES,
    Rows,
    dumped,
    load_steps,
    own_stamp_steps,
    store,
    worth_storing,
)
from state.workers import Workers

_KEPT: Final = 8
"""Threads whose turns are kept in memory: of a gigabyte they take some ten megabytes."""
FILLED_BYTES: Final = 2**20
"""Longer threads are read before anybody asks."""
_PAUSE_S: Final = 0.05
"""How often a read that gives way to requests looks whether it is still wanted, in seconds."""
_MOST_BUILDS: Final = 4
_log = logging.getLogger("threadkeep.turns")
Result = TypeVar("Result")


class Closed(Exception):
    """This turn index was closed; another one may have taken its place."""


@dataclass(eq=False)
class _Build:
    """A long history that is being read, once for all requests that wait for it."""

    wanted: bool = False
    """Whether a request was for these turns, and another one may be."""
    waiting: int = 0
    """How many requests wait for them."""
    anyway: bool = False
    """Whether it continues when none waits."""
    reads: int = 0
    """How many times it has read some bytes of a file."""
    task: "asyncio.Task[TurnState]" = field(init=False)


@dataclass(frozen=True, slots=True)
class _Answer(Generic[Result]):
    state: TurnState | None
    """The turns that are known now."""
    result: Result | None = None
    done: bool = False


class TurnIndex:
    """The turns of the threads of one index. Use it in one event loop, and close it."""

    def __init__(self, index: ThreadIndex) -> None:
        self._index = index
        self._kept: OrderedDict[str, TurnState] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._builds: dict[str, _Build] = {}
        self._building = Workers(_MOST_BUILDS)  # of their own: they give way to requests
        self._storing: set[asyncio.Task[None]] = set()
        self._asking = 0
        self._idle = threading.Event()
        """Set while no request is being answered."""
        self._idle.set()
        self._closed = threading.Event()

    async def ask(
        self,
        thread_id: str,
        path: Path,
        work: Callable[[TurnState], Result],
        *,
        whole: bool = False,
    ) -> Result:
        """What ``work`` makes of the turns of the thread whose file is at ``path``. It is called
        in a thread, and once more with all turns if it finds the last ones :class:`TooShort`;
        ``whole``: with all of them at once.

        Raises:
            Closed: this was closed meanwhile.
            FileUnusable: a file of the history cannot be read.
            HistoryUnknown: it is written in an unknown way.
        """
        with self._answering():
            async with self._lock(thread_id):
                earlier = self._kept.get(thread_id) or await self._stored(thread_id, path)
                find = rollout_locator(self._index)
                answer = await self._in_thread(partial(_attempt, earlier, path, find, work, whole))
                if answer.state is not None:
                    await self._keep(thread_id, answer.state)
                if answer.done:
                    if answer.state is not None and answer.state.partial:
                        build = self._build(thread_id, path)
                        build.wanted = build.anyway = True
                    return answer.result  # type: ignore[return-value]
        state = await self._built(self._build(thread_id, path))
        async with self._lock(thread_id):
            return await self._in_thread(lambda _: work(state.with_torn_line()))

    def read_bytes(self, thread_id: str) -> int:
        """About how many bytes of a thread have been read, while all of it is read."""
        build = self._builds.get(thread_id)
        return build.reads * BUFFER_BYTES if build else 0

    @contextmanager
    def _answering(self) -> Iterator[None]:
        self._asking += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.set()

    def _lock(self, thread_id: str) -> asyncio.Lock:
        """Held while the state of a thread is changed; it lasts as long as somebody uses it."""
        lock = self._locks.get(thread_id)
        if lock is None:
            lock = self._locks[thread_id] = asyncio.Lock()
        return lock

    async def outline(self, thread_id: str, path: Path) -> list[ListedTurn]:
        """The outline of the thread whose file is at ``path``: its turns in a line each, with what
        was asked, files, failures and tokens, but without their items.

        The first outline of a long thread takes a pass over its files, which holds up no other
        request; then they are in the index, and later ones cost a query and what was added. To
        show what is stored without waiting, see :func:`state.turns.listing.outline_steps`.

        Raises:
            Closed: this was closed meanwhile.
            FileUnusable: a file of the history cannot be read.
            HistoryUnknown: it is written in an unknown way.
        """
        async with self._lock(f"outline of {thread_id}"):
            found = await self.ask(
                thread_id, path, partial(quick_outline, AT_ONCE_BYTES), whole=True
            )
            if isinstance(found, Unlisted):
                found = await self._find_outlines(thread_id, found, self._check)
        async with self._lock(thread_id):
            kept = self._kept.get(thread_id)
            if kept is not None:
                await self._keep(thread_id, kept)
        return found

    async def _find_outlines(
        self, thread_id: str, unlisted: Unlisted, pause: Pause
    ) -> list[ListedTurn]:
        def work() -> list[ListedTurn]:
            with file_errors(unlisted.state.own.part.path):
                return outlined(unlisted.state, pause)

        found = await self._building.run(work)
        async with self._lock(thread_id):
            unlisted.known.take(unlisted.state.outlines)
        return found

    async def fill(self) -> None:
        """Read the long threads that are not in the index, or have grown by much, the newest first.
        Requests go before it. Cancel it at any time. Raises StateError if the index cannot be
        read."""
        for thread_id, path in await self._index.database.query(_long_steps()):
            try:
                build = self._build(thread_id, self._index.home / path)
                build.anyway = True
                state = await asyncio.shield(build.task)
                await self._fill_outlines(thread_id, state)
            except (RolloutError, OSError) as error:
                _log.info("the turns of %s cannot be indexed: %s", thread_id, error)
            await asyncio.gather(*self._storing)

    async def _fill_outlines(self, thread_id: str, state: TurnState) -> None:
        """Find the outlines of a thread that are not known, and store them."""
        async with self._lock(f"outline of {thread_id}"):
            async with self._lock(thread_id):
                copy = await self._in_thread(lambda _: state.copy())
            await self._find_outlines(
                thread_id, Unlisted(copy, state.outlines), self._pause_while_asked
            )
        async with self._lock(thread_id):
            await self._keep(thread_id, state, wanted=False)

    def _pause_while_asked(self) -> None:
        """Have a thread wait while requests are answered."""
        while not (self._closed.is_set() or self._idle.wait(_PAUSE_S)):
            check_cancelled()
        self._check()

    async def close(self) -> None:
        """Have all work end within a moment."""
        self._closed.set()
        builds = [build.task for build in self._builds.values()]
        await asyncio.gather(*builds, *self._storing, return_exceptions=True)
        self._kept.clear()

    async def _stored(self, thread_id: str, path: Path) -> TurnState | None:
        if _size(path) < SMALLEST_BYTES:
            return None
        with suppress(StateError):  # an index that cannot be read hides no turn
            return await self._index.database.query(load_steps(thread_id, self._index.home))
        return None

    async def _keep(self, thread_id: str, state: TurnState, *, wanted: bool = True) -> None:
        if state.outline.missing is not None:
            return  # what is missing may come back
        if wanted:
            self._kept[thread_id] = state
            self._kept.move_to_end(thread_id)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if worth_storing(state):
            state.stored_bytes = state.read_bytes
            known = state.outlines
            whole = known.covered_bytes == state.read_bytes
            known.stored_bytes = known.covered_bytes if whole else 0
            rows = await self._index.database.workers.run(
                partial(dumped, thread_id, state, self._index.home)
            )
            if rows is not None:
                task = asyncio.create_task(self._store(thread_id, rows))
                self._storing.add(task)
                task.add_done_callback(self._storing.discard)

    async def _store(self, thread_id: str, rows: Rows) -> None:
        try:
            async with self._lock(f"rows of {thread_id}"):  # the latest come last
                await store(self._index.database, rows)
        except (StateError, sqlite3.Error) as error:
            # Nothing is lost but time, and whatever keeps the index in step reports it.
            _log.info("the turns of %s are not indexed: %s", thread_id, error)

    def _build(self, thread_id: str, path: Path) -> _Build:
        build = self._builds.get(thread_id)
        if build is None:
            build = self._builds[thread_id] = _Build()
            work = self._read(build, thread_id, path)
            build.task = asyncio.create_task(work, name=f"turns of {thread_id}")
            build.task.add_done_callback(partial(self._ended, thread_id, build))
        return build

    async def _built(self, build: _Build) -> TurnState:
        """What a build gives. It ends when the last request that waits for it is cancelled."""
        build.wanted = True
        build.waiting += 1
        try:
            return await asyncio.shield(build.task)
        except asyncio.CancelledError:
            if build.waiting == 1 and not build.anyway:
                self._builds = {id_: each for id_, each in self._builds.items() if each != build}
                build.task.cancel()
                await wait_until_done(build.task)
            raise
        finally:
            build.waiting -= 1

    def _ended(self, thread_id: str, build: _Build, task: "asyncio.Task[TurnState]") -> None:
        if self._builds.get(thread_id) is build:
            del self._builds[thread_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # It is raised where somebody waits for it; otherwise it is no more than this.
            _log.debug("the turns of %s were not read: %s", thread_id, error)

    async def _read(self, build: _Build, thread_id: str, path: Path) -> TurnState:
        stored = await self._stored(thread_id, path)

        def pause() -> None:
            build.reads += 1
            while not (build.waiting or self._closed.is_set() or self._idle.wait(_PAUSE_S)):
                check_cancelled()
            self._check()

        work = partial(_read_all, stored, path, rollout_locator(self._index), pause)
        state = await self._building.run(work)
        async with self._lock(thread_id):
            await self._keep(thread_id, state, wanted=build.wanted)
        return state

    async def _in_thread(self, work: Callable[[Pause], Result]) -> Result:
        """What ``work`` gives, done in a thread; it ends soon when the caller is cancelled."""
        return await self._index.database.workers.run(partial(work, self._check))

    def _check(self) -> None:
        """End a thread whose work nobody waits for."""
        check_cancelled()
        if self._closed.is_set():
            raise Closed


def _attempt(
    earlier: TurnState | None,
    path: Path,
    find: Find,
    work: Callable[[TurnState], Result],
    whole: bool,
    pause: Pause,
) -> _Answer[Result]:
    """Try to answer without reading all of a long history."""
    with file_errors(path):
        if earlier is not None:
            earlier = moved(earlier, path)
            if earlier.follow(pause):
                with suppress(TooShort):
                    return _Answer(earlier, work(earlier.with_torn_line()), done=True)
        plan = outline(path, find)
        if (state := reduce_if_short(plan, pause)) is not None:
            return _Answer(state, work(state.with_torn_line()), done=True)
        for last in () if whole else tail_states(plan, earlier, pause):
            with suppress(TooShort):
                return _Answer(last, work(last), done=True)
    return _Answer(None)


def _read_all(earlier: TurnState | None, path: Path, find: Find, pause: Pause) -> TurnState:
    with file_errors(path):
        if earlier is not None:
            earlier = moved(earlier, path)
            if earlier.follow(pause):
                return earlier
        return reduce_anew(outline(path, find), pause)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # what is wrong with it is reported when it is read


def _long_steps() -> Steps[list[tuple[str, str]]]:
    """Ids and paths of the long threads that are not stored as they are, the newest first."""
    rows = yield (
        "SELECT id, rollout_path, size_bytes, mtime_ns, inode FROM threads WHERE size_bytes >= ?"
        " ORDER BY recency_at_ms DESC, id DESC",
        [FILLED_BYTES],
    )
    stored = yield from own_stamp_steps()
    found = []
    for id_, path, *stamp in rows:
        before, now = stored.get(id_), FileStamp(*stamp)
        if before is not None and before.inode == now.inode:
            grown_little = now.size - now.size // 16 <= before.size < now.size
            if before == now or grown_little:
                continue
        found.append((id_, path))
    return found
