"""Run asynchronous work from a command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.options import Places
from rollout.scan import check_home
from state.index import ThreadIndex, open_index

Result = TypeVar("Result")


def with_index(places: Places, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``work`` gives for the index at ``places``, which is made when need be.

    Raises:
        HomeNotFound: there is no home.
    """

    check_home(places.home)  # before an index is made for nothing

    async def opened() -> Result:
        async with open_index(places.home, places.index) as index:
            return await work(index)

    return asyncio.run(opened())
