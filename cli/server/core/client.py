"""A connected client, as the methods see it."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from cli.server.protocol.messages import Id, notification
from cli.server.protocol.outbox import Outbox
from cli.server.protocol.params import InitializeParams

if TYPE_CHECKING:
    from state.watch.changes import ChangeFeed

_log = logging.getLogger("threadkeep.server")


class Client:
    """A connected client."""

    def __init__(self, outbox: Outbox) -> None:
        self.info: InitializeParams | None = None
        """What it sent with ``initialize``; None before."""
        self.changes: ChangeFeed | None = None
        """The changes of threads that it has not seen yet; None until it asks for them."""
        self.subscription: asyncio.Task[None] | None = None
        """Sends it the changes as they happen, if it has subscribed."""
        self.searches: dict[tuple[str, Id], asyncio.Task[dict[str, Any]]] = {}
        """Its running searches, by method and request id, so that they can be cancelled."""
        self._outbox = outbox
        self._lagging = False

    @property
    def experimental(self) -> bool:
        """Whether the client has asked for experimental methods and fields."""
        capabilities = self.info.capabilities if self.info else None
        return bool(capabilities and capabilities.experimental_api)

    async def send(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification; wait first until the client has read enough of the earlier ones."""
        await self._outbox.put(notification(method, params))

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, unless the client has opted out of it or does not read."""
        capabilities = self.info.capabilities if self.info else None
        if capabilities and method in (capabilities.opt_out_notification_methods or ()):
            return
        if not self._outbox.full:
            self._outbox.add(notification(method, params))
            self._lagging = False
        elif not self._lagging:
            self._lagging = True
            _log.warning("a client does not read: it gets no notifications until it does")
