"""Work that is not broken off in its middle."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def unbroken(work: Coroutine[Any, Any, Result]) -> tuple[Result, bool]:
    """What ``work`` gives when it has come to its end, and whether the caller was cancelled
    meanwhile, which is then for the caller to heed. Errors of ``work`` are raised."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task), False
    except asyncio.CancelledError:
        await asyncio.wait({task})
        return task.result(), True
