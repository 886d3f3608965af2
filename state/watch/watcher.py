"""An index kept fresh while others write, and what changes told to whoever wants to know.

File events only say where to look; what a row says comes from the files, and what has changed is
found by comparing the index with what it was. So it does not matter who brought the index in step:
this, another watcher, or the command that archived a thread.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Final

from rollout.errors import HomeNotFound
from state.errors import (
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IndexUnavailable,
    LeaseHeld,
    LeaseLost,
    NotAnIndex,
)
from state.sync.paths import MOST_PATHS, sync_paths
from state.thread_index import ThreadIndex
from state.watch.changes import SeenThreads, difference_steps
from state.watch.fs_events import FileEvents

AGAIN_S: Final = 1.0
"""After so many seconds what could not be done is tried again."""
_PASSING: Final = (
    IndexBusy,
    IndexUnavailable,
    LeaseHeld,
    LeaseLost,
    HomeNotFound,
    BrokenExecutor,  # a process that read files for us was killed
    OSError,
)

Trouble = Callable[[Exception | None], None]
"""Is given why the index is behind, whenever that is another reason; None when it is in step."""


class Watcher:
    """Keeps an open index in step with its home, within a second of a write by anybody, and notes
    in ``sightings`` what changes, also since an earlier watcher noted it there."""

    def __init__(
        self, index: ThreadIndex, sightings: SeenThreads, *, trouble: Trouble | None = None
    ) -> None:
        self._index = index
        self._sightings = sightings
        self._tell_trouble = trouble
        self._trouble: Exception | None = None
        self._touched: set[str] = set()
        self._everything = False
        self._wake = asyncio.Event()
        self._events = FileEvents(index.home, self._touch)
        self._file = _identity(index.database.path)
        self.ready = asyncio.Event()
        """Set when the index has caught up for the first time: every later change is told."""

    @property
    def why_polling(self) -> str | None:
        """Why files cannot be watched and are looked at every few seconds; None if they can."""
        return self._events.why_polling

    async def run(self) -> None:
        """Catch up, by a backfill if need be, and keep the index in step until cancelled.

        An index that is locked, a backfill by somebody else, a home or disk that is away do not
        end it: it says so to ``trouble`` and tries again.

        Raises:
            IndexDamaged: the index is no usable database any more, or was emptied.
            IndexMissing: the file was removed or replaced; open the index again.
            IndexTooNew, NotAnIndex: it belongs to another program now.
        """
        tasks = [
            asyncio.create_task(self._events.follow(), name="watch of the files"),
            asyncio.create_task(self._look_for_ever(), name="watch of the index"),
            asyncio.create_task(self._check_for_ever(), name="watch of its file"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _touch(self, paths: Collection[str] | None) -> None:
        if paths is None or len(self._touched) + len(paths) > MOST_PATHS:
            self._everything = True
            self._touched.clear()
        elif not self._everything:
            self._touched.update(paths)
        self._wake.set()

    async def _look_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            paths = None if self._everything else self._touched
            self._everything, self._touched = False, set()
            try:
                await self._look(paths)
            except NotAnIndex:
                raise
            except _PASSING as error:
                task = asyncio.current_task()
                if task and task.cancelling():  # a cancelled write may end by another error
                    raise asyncio.CancelledError from error
                self._note_trouble(error)
                self._touch(paths)
                await asyncio.sleep(AGAIN_S)
            else:
                self._note_trouble(None)
                self.ready.set()

    async def _check_for_ever(self) -> None:
        """Notice a lost file also when nothing happens in the home."""
        while True:
            self._check_file()
            await asyncio.sleep(AGAIN_S)

    def _check_file(self) -> None:
        path, known = self._index.database.path, self._file
        now = _identity(path)
        if now is None or known is None or now[:2] != known[:2]:
            raise IndexMissing(path)
        if not now[2]:
            raise IndexDamaged(path, "it is empty")

    def _note_trouble(self, error: Exception | None) -> None:
        if str(error) != str(self._trouble) and self._tell_trouble:
            self._tell_trouble(error)
        self._trouble = error

    async def _look(self, paths: set[str] | None) -> None:
        """Bring the index in step as to ``paths``, or everything, and tell what that changes."""
        index = self._index
        self._check_file()
        ids = None
        if paths is not None and self.ready.is_set():
            ids = await sync_paths(index.database, index.home, paths)
        if ids is None and await index.catch_up() is None:
            if not self.ready.is_set():
                job = await index.backfill_status()
                raise LeaseHeld(str(job.owner), job.lease_expires_at_ms)
            await index.sync()  # beside a backfill of somebody else's, whatever takes that so long
        listed = None if ids is None else sorted(ids)
        known = self._sightings.known
        self._sightings.note(await index.database.query(difference_steps(known, listed)))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_size
