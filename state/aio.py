"""Work that is not broken off in its middle."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


async def shielded(work: Coroutine[Any, Any, Result]) -> tuple[Result, bool]:
    """What ``work`` gives when it has come to its end, and whether the caller was cancelled
    meanwhile, once or more often, which is then for the caller to heed. Errors of ``work`` are
    raised."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task), False
    except asyncio.CancelledError:
        await wait_until_done(task)
        return task.result(), True


async def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """What ``work`` gives. A caller that is cancelled meanwhile is so when it has come to its
    end."""
    result, cancelled = await shielded(work)
    if cancelled:
        raise asyncio.CancelledError
    return result


async def wait_until_done(work: "asyncio.Future[Any]") -> None:
    """Wait until ``work`` has come to its end, however often the caller is cancelled meanwhile."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
