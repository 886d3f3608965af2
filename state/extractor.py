"""Reading many files beside the event loop: in a thread, or in processes for a whole home."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from rollout.extract import Earlier, Extracted, Unusable
from rollout.fold import LONGEST_TEXT
from rollout.worker import extract_many, start_worker
from state.workers import Workers

POOL_FROM_FILES: Final = 1000
"""From so many files on, starting processes costs less than it saves (measured)."""
_TASK_FILES: Final = 50
_MOST_THREADS: Final = 2
Item = TypeVar("Item")
Result = TypeVar("Result")


def worker_pool() -> ProcessPoolExecutor | None:
    """Processes that read, one for each core up to eight; None where there is one core."""
    workers = min(os.cpu_count() or 1, 8)
    if workers == 1:
        return None
    # "spawn": a fork would copy the database's threads in whatever state they are.
    return ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=start_worker
    )


class Extractor:
    """Extracts files; ``async with`` it. Processes start when :meth:`prepare` asks for them."""

    def __init__(self, home: Path, longest: int | None = LONGEST_TEXT) -> None:
        self._home = str(home)
        self._longest = longest
        self._pool: ProcessPoolExecutor | None = None
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
        self, paths: Sequence[str], earlier: Mapping[str, Earlier]
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
