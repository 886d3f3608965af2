"""``threadkeep/changes``: the changes of threads, asked for or subscribed to."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from cli.server.core.client import Client
from cli.server.methods.call import Call
from cli.server.protocol import params as p
from cli.server.protocol.messages import invalid_request
from state.watch.changes import ChangeFeed, change_json

_MAX_CHANGES: Final = 1_000
_MAX_WAIT_MS: Final = 60_000


class ChangesParams(p.Params):
    """``threadkeep/changes``."""

    subscribe: bool | None = None
    wait_ms: p.U32 = 0
    limit: p.U32 = _MAX_CHANGES


async def changes(call: Call, params: ChangesParams) -> dict[str, Any]:
    """The changes of threads since this client asked last; none the first time. Several changes of
    one thread become one.

    ``waitMs`` waits for the first change. ``subscribe`` starts or ends ``threadkeep/changed``
    notifications.
    """
    await call.store()
    client = call.client
    supervisor = await call.service.supervisor()
    if client.changes is None:
        client.changes = supervisor.seen_threads.changes()
    if params.subscribe is not None:
        if params.subscribe and client.subscription is None:
            client.subscription = asyncio.create_task(_send_changes(client, client.changes))
        elif not params.subscribe and client.subscription is not None:
            client.subscription.cancel()
            client.subscription = None
        return {"subscribed": params.subscribe}
    if client.subscription is not None:
        raise invalid_request("this client has subscribed to changes: it is sent them as they come")
    found = []
    with suppress(TimeoutError):
        async with asyncio.timeout(min(params.wait_ms, _MAX_WAIT_MS) / 1000):
            found.append(change_json(await anext(client.changes)))
    most = max(min(params.limit, _MAX_CHANGES), 1)
    while len(found) < most and (change := client.changes.next()):
        found.append(change_json(change))
    return {"data": found, "complete": supervisor.complete}


async def _send_changes(client: Client, changes: ChangeFeed) -> None:
    async for change in changes:
        await client.send("threadkeep/changed", change_json(change))
