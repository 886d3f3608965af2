"""Fleets that stay open for several tests."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from state.fleet.reading.index import FleetIndex, open_fleet
from state.query.model import Page, Query

Result = TypeVar("Result")


@dataclass(frozen=True)
class Opened:
    """A loop in which fleets are open."""

    runner: "asyncio.Runner" = field(default_factory=asyncio.Runner)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def fleet(self, index: Path, address: str) -> FleetIndex:
        """Open one, as it is read on the machine that has an index."""
        opened = self.stack.enter_async_context(open_fleet(index.parent, index, address))
        return self.run(lambda: opened)

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """What ``work`` gives in this loop."""

        async def done() -> Result:
            return await work()

        return self.runner.run(done())

    def pages(self, index: FleetIndex, query: Query) -> list[Page]:
        """The pages of a list from the cursor of ``query`` on."""

        async def walked() -> list[Page]:
            pages = [await index.page(query)]
            while pages[-1].next_cursor:
                pages.append(await index.page(replace(query, cursor=pages[-1].next_cursor)))
                assert len(pages) < 1000
            return pages

        return self.run(walked)

    def close(self) -> None:
        self.run(self.stack.aclose)
        self.runner.close()
