"""Run asynchronous work from a command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.options import Places
from state.index import ThreadIndex, open_index

Result = TypeVar("Result")


def with_index(places: Places, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``work`` gives for the index at ``places``, which is made when need be."""

    async def opened() -> Result:
        async with open_index(places.home, places.index) as index:
            return await work(index)

    return asyncio.run(opened())
