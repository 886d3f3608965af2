"""Reading many files beside the event loop: in a thread, or in processes for a whole home; and in
order, ahead of the caller that stores the results.

What reads metadata is imported when there is some to read.
"""

import asyncio
import logging
import multiprocessing
import os
import resource
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from rollout.metadata.model import LONGEST_TEXT
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from state.jobs.progress import JobProgress, Report
from state.jobs.worker_process import interrupts_held, start_worker
from state.workers import Workers

_POOL_FROM_FILES: Final = 1000
_POOL_FROM_BYTES: Final = 50_000_000
"""From so many files on, or bytes to parse, starting processes costs less than it saves."""
_TASK_FILES: Final = 50
_METADATA: Final = "rollout.metadata.worker"
_MOST_THREADS: Final = 2
_LEAST_BYTES: Final = 2 * 2**30
"""The address space that a process with workers needs: threads and allocators reserve it."""
_log = logging.getLogger("threadkeep.jobs")
Item = TypeVar("Item")
Result = TypeVar("Result")


def worker_pool(module: str = _METADATA) -> Executor | None:
    """One process for each core, at most eight; None where there is one core, or where too little
    memory is allowed. They share ``module``, as they are forks of one that has loaded it."""
    workers = min(os.cpu_count() or 1, 8)
    if workers == 1:
        return None
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY and allowed < _LEAST_BYTES:
        # The pool would wait for threads that cannot start.
        warn_once("ulimit -v leaves no memory for worker processes: continuing without them")
        return None
    return _ProcessPool(workers, module)


@cache
def warn_once(text: str) -> None:
    """Log a warning, the first time in this process."""
    _log.warning("%s", text)


class _ProcessPool(Executor):
    """Worker processes. The work of one that dies is done in this process."""

    def __init__(self, workers: int, module: str) -> None:
        # A fork of this process would copy the database's threads in whatever state they are.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["concurrent.futures.process", module])
        self._pool = ProcessPoolExecutor(workers, context, initializer=start_worker)

    def submit(  # type: ignore[override]
        self, work: Callable[..., Result], /, *arguments: Any
    ) -> "Future[Result]":
        outcome: Future[Result] = Future()
        try:
            with interrupts_held():  # this may start a worker
                there = self._pool.submit(work, *arguments)
        except (BrokenProcessPool, OSError, EOFError) as error:  # the last if no fork is possible
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
        warn_once(f"worker processes cannot be used ({why}): continuing without them")
        try:
            outcome.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


class ReadPool:
    """Reads files beside the event loop; ``async with`` it. Processes start when :meth:`prepare`
    finds enough to read. The work will be of ``module``."""

    def __init__(self, home: Path, module: str = _METADATA) -> None:
        self._home = str(home)
        self._module = module
        self._pool: Executor | None = None
        self._threads = Workers(_MOST_THREADS)

    async def __aenter__(self) -> "ReadPool":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            # A thread of the pool that is still ending when Python does may have closed what Python
            # then wakes it up by.
            await self._threads.finish(partial(self._pool.shutdown, cancel_futures=True))

    def prepare(self, *, files: int = 0, size: int = 0) -> None:
        """Start processes if so many files, or so many bytes, make it worth while."""
        if self._pool is None and (files >= _POOL_FROM_FILES or size >= _POOL_FROM_BYTES):
            self._pool = worker_pool(self._module)

    async def extract(
        self,
        paths: Sequence[str],
        earlier: Mapping[str, EarlierMetadata],
        *,
        longest: int | None = LONGEST_TEXT,
    ) -> list[Extracted | Unusable]:
        """The metadata of the files at ``paths``, in their order."""
        from rollout.metadata.worker import extract_many

        items = [(path, earlier.get(path)) for path in paths]
        return await self.map(partial(extract_many, longest=longest), items)

    async def map(
        self, work: Callable[[str, Sequence[Item]], list[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """What ``work`` gives for the home and a part of ``items`` at a time, in their order. It
        and they can be pickled."""
        if self._pool is None:
            return await self._threads.run(partial(work, self._home, items))
        loop = asyncio.get_running_loop()
        tasks = [
            loop.run_in_executor(self._pool, work, self._home, items[start : start + _TASK_FILES])
            for start in range(0, len(items), _TASK_FILES)
        ]
        return [result for done in await asyncio.gather(*tasks) for result in done]


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


async def read_files(
    home: Path,
    work: Callable[[str, Sequence[Item]], list[Result]],
    files: Sequence[tuple[Item, int]],
    *,
    effort: float = 1,
    batch: int = 50,
    report: Report | None = None,
) -> AsyncGenerator[Result]:
    """What ``work`` gives for the home and some ``files`` at a time, each what it takes, as a path,
    and a size, in their order. ``effort`` is what it costs, of what parsing all bytes would."""
    counts = JobProgress(total=len(files))
    async with ReadPool(home) as pool:
        pool.prepare(size=int(sum(size for _, size in files) * effort))

        async def read(part: Sequence[tuple[Item, int]]) -> list[Result]:
            return await pool.map(work, [file for file, _ in part])

        async with ordered_map(read, files, batch=batch) as parts:
            async for part, results in parts:
                for result in results:
                    yield result
                counts.done += len(part)
                counts.bytes_done += sum(size for _, size in part)
                if report:
                    report(counts)
