"""Work in threads: so much of it at a time, and none that nobody waits for any more."""

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
    """A thread for each piece of work, which ends with it; so many at a time. Use it in one event
    loop."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(
        self, work: Callable[[], Result], *, stopped: Callable[[], None] | None = None
    ) -> Result:
        """What ``work`` gives, done in a thread. If the caller is cancelled, work that waits does
        not begin, and other work is told so, by :mod:`rollout.files.cancellation` and by
        ``stopped``, and waited for: nothing goes on that nobody knows of."""
        stop = threading.Event()
        async with self._free:
            done = _begun(work, stop)
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                stop.set()
                if stopped is not None:
                    stopped()
                await wait_until_done(done)
                done.exception()  # it was not wanted
                raise

    async def finish(
        self, work: Callable[[], Result], *, undo: Callable[[Result], None] | None = None
    ) -> Result:
        """As :meth:`run`, for work that is not to be left half done: it is waited for when the
        caller is cancelled, and then undone."""
        async with self._free:
            done = _begun(work, threading.Event())
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                await wait_until_done(done)
                if done.exception() is None and undo is not None:
                    undo(done.result())
                raise


def _begun(work: Callable[[], Result], stop: threading.Event) -> "asyncio.Future[Result]":
    """What becomes of ``work`` in a thread of its own."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()
    context = copy_context()
    context.run(STOP.set, stop)

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody is left
            loop.call_soon_threadsafe(setter, value)

    def do() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            settle(done.set_exception, error)
        else:
            settle(done.set_result, result)

    # threading.Thread would hold up the loop until the thread has begun, and the end of the
    # process until it has ended.
    start_new_thread(do, ())
    return done
