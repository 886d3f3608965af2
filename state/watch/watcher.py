"""Keep an index in step while others write, and note the changes of its threads.

File events only say where to look. Rows come from the files, and changes are found by comparing
the index with what was seen last. So it does not matter who updated the index: this watcher,
another one, or the command that archived a thread.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Final

from rollout.errors import HomeNotFound
from state import errors
from state.aio import check_not_cancelled
from state.sync.paths import MOST_PATHS, sync_paths
from state.thread_index import ThreadIndex
from state.watch.changes import SeenThreads, difference_steps
from state.watch.fs_events import FileEvents

AGAIN_S: Final = 1.0
"""Between a failure and the next try, in seconds."""
_PASSING: Final = (
    errors.IndexBusy,
    errors.IndexUnavailable,
    errors.LeaseHeld,
    errors.LeaseLost,
    HomeNotFound,
    BrokenExecutor,  # a worker process was killed
    OSError,
)

OnTrouble = Callable[[Exception | None], None]
"""Is called with the reason why the index is behind, each time it changes; None when in step."""


class Watcher:
    """Keeps an open index in step with its home, within a second of each write, and notes in
    ``seen`` what changes, also since an earlier watcher used it."""

    def __init__(
        self, index: ThreadIndex, seen: SeenThreads, *, on_trouble: OnTrouble | None = None
    ) -> None:
        self._index = index
        self._seen = seen
        self._on_trouble = on_trouble
        self._trouble: Exception | None = None
        self._paths: set[str] = set()
        self._everything = False
        self._wake = asyncio.Event()
        self._events = FileEvents(index.home, self._note_paths)
        self._file = _identity(index.database.path)
        self.ready = asyncio.Event()
        """Set when the index has caught up for the first time: every later change is noted."""

    @property
    def why_polling(self) -> str | None:
        """Why files are polled and not watched; None if they are watched."""
        return self._events.why_polling

    async def run(self) -> None:
        """Catch up, with a backfill if necessary, and keep the index in step until cancelled.

        A locked index, a backfill by another process, or a home that is not there do not end it:
        it reports them to ``on_trouble`` and tries again.

        Raises:
            IndexDamaged: the index is no longer a usable database, or was emptied.
            IndexMissing: the file was removed or replaced; open the index again.
            IndexTooNew, NotAnIndex: it belongs to another program now.
        """
        tasks = [
            asyncio.create_task(self._events.follow(), name="file events"),
            asyncio.create_task(self._update_for_ever(), name="index updates"),
            asyncio.create_task(self._check_for_ever(), name="checks of the index file"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _note_paths(self, paths: Collection[str] | None) -> None:
        if paths is None or len(self._paths) + len(paths) > MOST_PATHS:
            self._everything = True
            self._paths.clear()
        elif not self._everything:
            self._paths.update(paths)
        self._wake.set()

    async def _update_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            paths = None if self._everything else self._paths
            self._everything, self._paths = False, set()
            try:
                await self._update(paths)
            except errors.NotAnIndex:
                raise
            except _PASSING as error:
                check_not_cancelled(error)
                self._note_trouble(error)
                self._note_paths(paths)
                await asyncio.sleep(AGAIN_S)
            else:
                self._note_trouble(None)
                self.ready.set()

    async def _check_for_ever(self) -> None:
        """Notice a lost index also when nothing happens in the home."""
        while True:
            self._check_file()
            await asyncio.sleep(AGAIN_S)

    def _check_file(self) -> None:
        path, known = self._index.database.path, self._file
        now = _identity(path)
        if now is None or known is None or now[:2] != known[:2]:
            raise errors.IndexMissing(path)
        if not now[2]:
            raise errors.IndexDamaged(path, "it is empty")

    def _note_trouble(self, error: Exception | None) -> None:
        if str(error) != str(self._trouble) and self._on_trouble:
            self._on_trouble(error)
        self._trouble = error

    async def _update(self, paths: set[str] | None) -> None:
        """Bring the index in step with ``paths``, or with everything, and note what changes."""
        index = self._index
        self._check_file()
        ids = None
        if paths is not None and self.ready.is_set():
            ids = await sync_paths(index.database, index.home, paths)
        if ids is None and await index.catch_up() is None:
            if not self.ready.is_set():
                job = await index.backfill_status()
                raise errors.LeaseHeld(str(job.owner), job.lease_expires_at_ms)
            await index.sync()  # another process's backfill takes long
        listed = None if ids is None else sorted(ids)
        known = self._seen.known
        self._seen.note(await index.database.query(difference_steps(known, listed)))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_size
