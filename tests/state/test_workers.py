"""Work whose caller is cancelled: it ends before the caller does, however often that happens."""

import asyncio
import threading

import pytest

from state.aio import shielded
from state.workers import Workers


def test_shielded_work_ends_before_a_caller_that_is_cancelled_twice() -> None:
    async def done() -> None:
        go_on = asyncio.Event()
        steps: list[str] = []

        async def work() -> str:
            await go_on.wait()
            steps.append("worked")
            return "the result"

        async def call() -> None:
            assert await shielded(work()) == ("the result", True)
            steps.append("told")

        caller = asyncio.create_task(call())
        for _ in range(2):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert caller.cancel()
        await asyncio.sleep(0)
        assert steps == []
        go_on.set()
        await caller
        assert steps == ["worked", "told"]

    asyncio.run(done())


@pytest.mark.parametrize("fails", [False, True])
def test_work_in_a_thread_is_finished_and_undone(*, fails: bool) -> None:
    async def done() -> None:
        begun, go_on = threading.Event(), threading.Event()
        undone: list[str] = []

        def work() -> str:
            begun.set()
            go_on.wait()
            if fails:
                raise OSError
            return "made"

        caller = asyncio.create_task(Workers(1).finish(work, undo=undone.append))
        await asyncio.sleep(0)
        await asyncio.to_thread(begun.wait)
        for _ in range(2):
            assert caller.cancel()
            await asyncio.sleep(0)
        assert not caller.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert undone == ([] if fails else ["made"])

    asyncio.run(done())
