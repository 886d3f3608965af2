"""Keep the index up to date, in the background, with threads that are being written."""

import asyncio
from typing import Final

from state.errors import StateError
from state.thread_index import ThreadIndex

PAUSE_S: Final = 0.25
"""Seconds between two updates: what is written meanwhile is in the second."""


class IndexFollower:
    """Reads files into the index after each change. Make it in a running event loop.

    If the index is locked or broken, the files are tried again with the next change and when
    somebody asks; at the latest, sync finds them.
    """

    def __init__(self, index: ThreadIndex) -> None:
        self._index = index
        self._behind: set[str] = set()
        self._notified = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.error: StateError | None = None
        """Why the index is behind; None if it is not known to be."""
        self._task = asyncio.create_task(self._follow_for_ever(), name="index follower")

    def changed(self, path: str) -> None:
        """Note that the file at ``path``, relative to the home, has changed."""
        self._behind.add(path)
        self._notified.set()

    async def catch_up(self) -> None:
        """Update the index now, if it can be written: see :attr:`error`."""
        async with self._one_at_a_time:
            if not self._behind:
                return
            paths = sorted(self._behind)
            self._behind.clear()  # a change from now on is noted again
            try:
                await self._index.refresh(paths)
            except StateError as error:
                self._behind.update(paths)
                self.error = error
            except BaseException:
                self._behind.update(paths)
                raise
            else:
                self.error = None

    async def close(self) -> None:
        """End, after catching up if the last update succeeded."""
        await self.give_up()
        if self.error is None:
            await self.catch_up()

    async def give_up(self) -> None:
        """End, even if the index is behind."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    async def _follow_for_ever(self) -> None:
        while True:
            await self._notified.wait()
            await asyncio.sleep(PAUSE_S)
            self._notified.clear()
            await self.catch_up()
