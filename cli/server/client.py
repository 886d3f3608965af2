"""One client, as methods see it: what it wants, and how it is told things."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from cli.server.messages import notification
from cli.server.params import Initialize
from cli.server.service import Service

if TYPE_CHECKING:
    from state.news import News

MOST_WAITING: Final = 1_000
"""Messages that wait for a client to read. After that it gets no notification, and is not read
from."""
_log = logging.getLogger("threadkeep.server")


class Client:
    """One client of a service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client: Initialize | None = None
        """What it said of itself; None before it has."""
        self.news: News | None = None
        """What it has not been told yet of what becomes of threads, once it has asked."""
        self.telling: asyncio.Task[None] | None = None
        """Tells it, if it wants that."""
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)

    @property
    def experimental(self) -> bool:
        """Whether the client asked for what may change."""
        capabilities = self.client.capabilities if self.client else None
        return bool(capabilities and capabilities.experimental_api)

    async def send(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification that the client has asked for, when it has read enough of what was
        sent before."""
        await self._outgoing.put(notification(method, params))

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, unless the client does not want it, or does not read."""
        capabilities = self.client.capabilities if self.client else None
        if capabilities and method in (capabilities.opt_out_notification_methods or ()):
            return
        try:
            self._outgoing.put_nowait(notification(method, params))
        except asyncio.QueueFull:
            _log.warning("a client does not read: %s is not sent to it", method)
