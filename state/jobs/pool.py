"""Reading many files beside the event loop: in a thread, or in processes for a whole home."""

import asyncio
import logging
import multiprocessing
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from rollout.metadata.extract import EarlierMetadata, Extracted, Unusable
from rollout.metadata.model import LONGEST_TEXT
from rollout.metadata.worker import extract_many, start_worker
from state.workers import Workers

POOL_FROM_FILES: Final = 1000
"""From so many files on, starting processes costs less than it saves (measured)."""
_TASK_FILES: Final = 50
_MOST_THREADS: Final = 2
Item = TypeVar("Item")
_LEAST_BYTES: Final = 2 * 2**30
"""Of address space, which threads and allocators reserve generously: for a process with workers."""
_log = logging.getLogger(__name__)
Result = TypeVar("Result")


def worker_pool() -> Executor | None:
    """Processes that read, one for each core up to eight; None where there is one core, or too
    little memory is allowed for more than one process."""
    workers = min(os.cpu_count() or 1, 8)
    if workers == 1:
        return None
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY and allowed < _LEAST_BYTES:
        # Threads of the pool that cannot start would be waited for.
        _tell_once("ulimit -v leaves no memory for worker processes: this goes on without them")
        return None
    return _Workers(workers)


@cache
def _tell_once(text: str) -> None:
    _log.warning("%s", text)


class _Workers(Executor):
    """Worker processes; what one of them was to do is done here if it ends before its time."""

    def __init__(self, workers: int) -> None:
        # "spawn": a fork would copy the database's threads in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, initializer=start_worker)

    def submit(  # type: ignore[override]
        self, work: Callable[..., Result], /, *arguments: Any
    ) -> "Future[Result]":
        outcome: Future[Result] = Future()
        try:
            there = self._pool.submit(work, *arguments)
        except (BrokenProcessPool, OSError) as error:
            self._do(outcome, error, work, arguments)
            return outcome

        def relay(there: "Future[Result]") -> None:
            if there.cancelled() or not outcome.set_running_or_notify_cancel():
                outcome.cancel()
                return
            error = there.exception()
            if isinstance(error, BrokenProcessPool):
                self._do(outcome, error, work, arguments)
            elif error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(there.result())

        there.add_done_callback(relay)
        return outcome

    def _do(
        self,
        outcome: "Future[Result]",
        why: BaseException,
        work: Callable[..., Result],
        arguments: tuple[Any, ...],
    ) -> None:
        _tell_once(f"worker processes cannot be used ({why}): this goes on without them")
        try:
            outcome.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 - whoever waits for it has it raised
            outcome.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


class Extractor:
    """Extracts files; ``async with`` it. Processes start when :meth:`prepare` asks for them."""

    def __init__(self, home: Path, longest: int | None = LONGEST_TEXT) -> None:
        self._home = str(home)
        self._longest = longest
        self._pool: Executor | None = None
        self._threads = Workers(_MOST_THREADS)

    async def __aenter__(self) -> "Extractor":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, cancel_futures=True)

    def prepare(self, files: int) -> None:
        """Start processes if there are enough files to make it worth while."""
        if self._pool is None and files >= POOL_FROM_FILES:
            self._pool = worker_pool()

    async def extract(
        self, paths: Sequence[str], earlier: Mapping[str, EarlierMetadata]
    ) -> list[Extracted | Unusable]:
        """The outcomes of ``paths``, in their order."""
        items = [(path, earlier.get(path)) for path in paths]
        return await self.each(partial(extract_many, longest=self._longest), items)

    async def each(
        self, work: Callable[[str, Sequence[Item]], list[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """What ``work`` gives for the home and some items at a time, in their order; it and they
        must be fit for another process."""
        if self._pool is None:
            return await self._threads.run(partial(work, self._home, items))
        loop = asyncio.get_running_loop()
        tasks = [
            loop.run_in_executor(self._pool, work, self._home, items[start : start + _TASK_FILES])
            for start in range(0, len(items), _TASK_FILES)
        ]
        return [outcome for done in await asyncio.gather(*tasks) for outcome in done]
