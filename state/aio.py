"""Run work to its end although the caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


async def shielded(work: Coroutine[Any, Any, Result]) -> tuple[Result, bool]:
    """The result of ``work``, and whether the caller was cancelled meanwhile, which the caller must
    then act on. Errors of ``work`` are raised."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task), False
    except asyncio.CancelledError:
        await wait_until_done(task)
        return task.result(), True


async def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``. A caller that is cancelled meanwhile is cancelled once it has
    ended."""
    result, cancelled = await shielded(work)
    if cancelled:
        raise asyncio.CancelledError
    return result


def check_not_cancelled(error: BaseException) -> None:
    """Raise CancelledError if the task is cancelled: a cancelled write may end by another error,
    for example when it was waiting for a lock."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError from error


async def wait_until_done(work: "asyncio.Future[Any]") -> None:
    """Wait until ``work`` has ended, however often the caller is cancelled meanwhile."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
