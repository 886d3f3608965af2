"""Work on batches, in order, ahead of the caller that stores the results."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@asynccontextmanager
async def ordered_map(
    work: Callable[[Sequence[Item]], Awaitable[Result]],
    items: Sequence[Item],
    *,
    batch: int = 50,
    ahead: int = 16,
) -> AsyncGenerator[AsyncIterator[tuple[Sequence[Item], Result]]]:
    """The items in batches of ``batch``, in order, each batch with what ``work`` gives for it.

    ``ahead`` batches are worked on at a time. Those that nobody has taken when the block ends are
    cancelled and waited for.
    """
    under_way: deque[tuple[Sequence[Item], asyncio.Future[Result]]] = deque()

    async def results() -> AsyncGenerator[tuple[Sequence[Item], Result]]:
        start = 0
        while under_way or start < len(items):
            while len(under_way) < ahead and start < len(items):
                part = items[start : start + batch]
                under_way.append((part, asyncio.ensure_future(work(part))))
                start += batch
            part, future = under_way[0]
            result = await future
            under_way.popleft()
            yield part, result

    try:
        yield results()
    finally:
        for _, future in under_way:
            future.cancel()
        await asyncio.gather(*(future for _, future in under_way), return_exceptions=True)
