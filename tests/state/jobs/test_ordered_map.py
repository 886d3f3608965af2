"""Batches come in order, a bounded number is worked on, and nothing goes on after the block."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from state.jobs.pool import ordered_map


class Worker:
    """Notes which batches are under way. Of four in a row the second ends first."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.most = 0
        self.begun = 0

    async def work(self, batch: Sequence[int]) -> int:
        self.begun += 1
        self.under_way.add(batch[0])
        self.most = max(self.most, len(self.under_way))
        try:
            for _ in range(1 if batch[0] % 4 == 1 else 5 + batch[0] % 4):
                await asyncio.sleep(0)
            if batch[0] == 15:
                raise ValueError("no")
            return sum(batch)
        finally:
            self.under_way.discard(batch[0])

    async def never(self, batch: Sequence[int]) -> None:
        self.under_way.add(batch[0])
        try:
            await asyncio.Event().wait()
        finally:
            self.under_way.discard(batch[0])


def test_results_come_in_order_and_a_bounded_number_is_worked_on() -> None:
    worker = Worker()

    async def scenario() -> list[tuple[list[int], int]]:
        async with ordered_map(worker.work, range(8), batch=3, ahead=2) as results:
            return [(list(batch), total) async for batch, total in results]

    assert asyncio.run(scenario()) == [([0, 1, 2], 3), ([3, 4, 5], 12), ([6, 7], 13)]
    assert (worker.most, worker.begun) == (2, 3)


def test_nothing_goes_on_after_the_block() -> None:
    worker = Worker()

    async def scenario() -> None:
        async with ordered_map(worker.work, range(12), batch=1, ahead=4) as results:
            async for _ in results:
                assert worker.under_way
                break
        assert not worker.under_way
        async with ordered_map(worker.work, range(12, 20), batch=1, ahead=4) as results:
            with pytest.raises(ValueError, match="no"):
                async for _ in results:
                    pass
        assert not worker.under_way
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(take_all(worker.never), 0.1)
        assert not worker.under_way

    asyncio.run(scenario())


async def take_all(work: Callable[[Sequence[int]], Awaitable[object]]) -> None:
    async with ordered_map(work, range(9), batch=1, ahead=4) as results:
        async for _ in results:
            pass
