"""``threadkeep/changes``: what becomes of threads, asked for or told."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from cli.server.methods.call import Call
from cli.server.protocol import params as p
from cli.server.protocol.messages import invalid_request
from state.watch.changes import ChangeFeed, change_json

_MOST: Final = 1_000
_LONGEST_WAIT_MS: Final = 60_000


class ChangesParams(p.Params):
    """``threadkeep/changes``."""

    subscribe: bool | None = None
    wait_ms: p.U32 = 0
    limit: p.U32 = _MOST


async def changes(call: Call, params: ChangesParams) -> dict[str, Any]:
    """What has become of threads since this client asked last; nothing, the first time.

    ``waitMs`` waits for the first change. ``subscribe`` has every change told from now on, as
    ``threadkeep/changed``, or no more. Changes of one thread that are not taken become one.
    """
    await call.store()
    session = call.session
    supervisor = await session.service.supervisor()
    if session.changes is None:
        session.changes = supervisor.seen_threads.changes()
    if params.subscribe is not None:
        if params.subscribe and session.subscription is None:
            session.subscription = asyncio.create_task(_tell(call, session.changes))
        elif not params.subscribe and session.subscription is not None:
            session.subscription.cancel()
            session.subscription = None
        return {"subscribed": params.subscribe}
    if session.subscription is not None:
        raise invalid_request("changes are told to this client: it has subscribed to them")
    found = []
    with suppress(TimeoutError):
        async with asyncio.timeout(min(params.wait_ms, _LONGEST_WAIT_MS) / 1000):
            found.append(change_json(await anext(session.changes)))
    while len(found) < max(min(params.limit, _MOST), 1) and (change := session.changes.next()):
        found.append(change_json(change))
    return {"data": found, "complete": supervisor.complete}


async def _tell(call: Call, news: ChangeFeed) -> None:
    async for change in news:
        await call.session.send("threadkeep/changed", change_json(change))
