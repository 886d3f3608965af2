"""The index kept in step with threads that are being written, behind their writers."""

import asyncio
from typing import Final

from state.errors import StateError
from state.thread_index import ThreadIndex

PAUSE_S: Final = 0.25
"""Between two updates, in seconds: what is written meanwhile is one of them."""


class IndexFollower:
    """Reads again, in the background, the files that it is told of. Made in a running event loop.

    What an index that is locked or broken does not take is offered again with the next file, and
    when somebody asks; at last, sync finds it.
    """

    def __init__(self, index: ThreadIndex) -> None:
        self._index = index
        self._behind: set[str] = set()
        self._told = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.error: StateError | None = None
        """Why the index is behind; None when it is not known to be."""
        self._task = asyncio.create_task(self._follow_for_ever(), name="index follower")

    def changed(self, path: str) -> None:
        """The file at ``path``, relative to the home, has grown."""
        self._behind.add(path)
        self._told.set()

    async def catch_up(self) -> None:
        """Have the index in step now, as far as it lets us: see :attr:`error`."""
        async with self._one_at_a_time:
            if not self._behind:
                return
            paths = sorted(self._behind)
            self._behind.clear()  # what grows from now on is told anew
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
        """Catch up, if the index took what it was given last, and end."""
        await self.give_up()
        if self.error is None:
            await self.catch_up()

    async def give_up(self) -> None:
        """End, whatever the index does not have yet."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    async def _follow_for_ever(self) -> None:
        while True:
            await self._told.wait()
            await asyncio.sleep(PAUSE_S)
            self._told.clear()
            await self.catch_up()
