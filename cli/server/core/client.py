"""One client, as methods see it: what it wants, and how it is told things."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from cli.server.core.service import Service
from cli.server.protocol.messages import Id, notification
from cli.server.protocol.outbox import Outbox
from cli.server.protocol.params import InitializeParams

if TYPE_CHECKING:
    from state.watch.changes import ChangeFeed

_log = logging.getLogger("threadkeep.server")


class Client:
    """One client of a service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.info: InitializeParams | None = None
        """What it said of itself; None before it has."""
        self.changes: ChangeFeed | None = None
        """What it has not been told yet of what becomes of threads, once it has asked."""
        self.subscription: asyncio.Task[None] | None = None
        """Tells it, if it wants that."""
        self.searches: dict[tuple[str, Id], asyncio.Task[dict[str, Any]]] = {}
        """Those that go on, by their method and the id of their request: they can be cancelled."""
        self._outgoing = Outbox()
        self._deaf = False

    @property
    def experimental(self) -> bool:
        """Whether the client asked for what may change."""
        capabilities = self.info.capabilities if self.info else None
        return bool(capabilities and capabilities.experimental_api)

    async def send(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification that the client has asked for, when it has read enough of what was
        sent before."""
        await self._outgoing.put(notification(method, params))

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, unless the client does not want it, or does not read."""
        capabilities = self.info.capabilities if self.info else None
        if capabilities and method in (capabilities.opt_out_notification_methods or ()):
            return
        if not self._outgoing.full:
            self._outgoing.add(notification(method, params))
            self._deaf = False
        elif not self._deaf:
            self._deaf = True
            _log.warning("a client does not read: it gets no notifications until it does")
