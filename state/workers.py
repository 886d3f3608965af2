"""Run work in threads: a limited number at a time, and none that nobody waits for."""

import asyncio
import threading
from _thread import start_new_thread
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from rollout.files.cancellation import STOP
from state.aio import wait_until_done

Result = TypeVar("Result")


class Workers:
    """Runs each piece of work in a thread of its own, at most so many at a time. Use it in one
    event loop."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(
        self, work: Callable[[], Result], *, stopped: Callable[[], None] | None = None
    ) -> Result:
        """The result of ``work``, run in a thread. If the caller is cancelled, waiting work does
        not begin; work that runs is cancelled, through :mod:`rollout.files.cancellation` and
        ``stopped``, and waited for: nothing continues unnoticed."""
        stop = threading.Event()
        async with self._free:
            done = _started(work, stop)
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                stop.set()
                if stopped is not None:
                    stopped()
                await wait_until_done(done)
                done.exception()  # retrieved, or asyncio would log it
                raise

    async def finish(
        self, work: Callable[[], Result], *, undo: Callable[[Result], None] | None = None
    ) -> Result:
        """As :meth:`run`, for work that must not stay half done: if the caller is cancelled, the
        work is waited for and then undone."""
        async with self._free:
            done = _started(work, threading.Event())
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                await wait_until_done(done)
                if done.exception() is None and undo is not None:
                    undo(done.result())
                raise


def _started(work: Callable[[], Result], stop: threading.Event) -> "asyncio.Future[Result]":
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    context = copy_context()
    context.run(STOP.set, stop)

    def report(setter: Callable[[Any], None], value: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody is left
            loop.call_soon_threadsafe(setter, value)

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            report(done.set_exception, error)
        else:
            report(done.set_result, result)

    # threading.Thread would hold up the loop until the thread has begun, and the end of the
    # process until it has ended.
    start_new_thread(run, ())
    return done
