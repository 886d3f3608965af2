"""What waits for a client to read it: bounded by messages and by bytes."""

import asyncio
from typing import Final

MAX_WAITING: Final = 1_000
"""Messages. After that a client gets no notification, and nothing more is done for it."""
MAX_BYTES: Final = 4 * 2**20
"""Bytes: the same. One message is taken whatever its length."""


class Outbox:
    """Messages in the order in which they go out."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._bytes = 0  # of those that are being sent, too
        self._room, self._some, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._idle.set()

    @property
    def full(self) -> bool:
        """Whether the client has to read first."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until it is not full."""
        await self._room.wait()

    async def put(self, message: bytes) -> None:
        """Add a message when there is room."""
        await self._room.wait()
        self.add(message)

    def add(self, message: bytes) -> None:
        """Add a message whether there is room or not."""
        self._waiting.append(message)
        self._bytes += len(message)
        self._some.set()
        self._idle.clear()
        if len(self._waiting) >= MAX_WAITING or self._bytes >= MAX_BYTES:
            self._room.clear()

    async def take(self) -> bytes:
        """All that waits, when something does; :meth:`sent` is to be called next."""
        await self._some.wait()
        self._some.clear()
        taken, self._waiting = b"".join(self._waiting), []
        return taken

    def sent(self, count: int) -> None:
        """So many bytes that were taken are with the client."""
        self._bytes -= count
        if len(self._waiting) < MAX_WAITING and self._bytes < MAX_BYTES:
            self._room.set()
        if not self._waiting:
            self._idle.set()

    async def emptied(self) -> None:
        """Wait until all is with the client."""
        await self._idle.wait()
