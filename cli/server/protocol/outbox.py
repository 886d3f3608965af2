"""The messages that wait until a client reads them, bounded by number and by bytes."""

import asyncio
from typing import Final

MAX_WAITING: Final = 1_000
"""Messages. Above this a client gets no notifications, and its requests wait."""
MAX_BYTES: Final = 4 * 2**20
"""The same in bytes. A single message may be longer."""


class Outbox:
    """Messages in the order in which they are sent."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._bytes = 0  # including those that are being sent
        self._room, self._filled, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._idle.set()

    @property
    def full(self) -> bool:
        """Whether the client has to read before more is added."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until it is not full."""
        await self._room.wait()

    async def put(self, message: bytes) -> None:
        """Add a message when there is room."""
        await self._room.wait()
        self.add(message)

    def add(self, message: bytes) -> None:
        """Add a message at once."""
        self._waiting.append(message)
        self._bytes += len(message)
        self._filled.set()
        self._idle.clear()
        if len(self._waiting) >= MAX_WAITING or self._bytes >= MAX_BYTES:
            self._room.clear()

    async def take(self) -> bytes:
        """Wait for messages and take them all; call :meth:`sent` once they are sent."""
        await self._filled.wait()
        self._filled.clear()
        taken, self._waiting = b"".join(self._waiting), []
        return taken

    def sent(self, count: int) -> None:
        """Note that ``count`` of the bytes taken have been sent."""
        self._bytes -= count
        if len(self._waiting) < MAX_WAITING and self._bytes < MAX_BYTES:
            self._room.set()
        if not self._waiting:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until everything has been sent."""
        await self._idle.wait()
