"""Starts a worker process, and sets it up. It imports nothing of ours: only the work of a process
tells what it needs."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold SIGINT back in this thread, and in the processes that it starts: a worker that is still
    being loaded would end with a traceback. Another thread gets it meanwhile, or this one later."""
    resource_tracker.ensure_running()  # its own start would end the hold
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """Set up a worker process; the pool runs it in each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # its objects have no cycles, and it does not live long
    os.nice(5)  # the process that stores the results is the bottleneck


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # a parent that was killed cannot stop us
        os._exit(1)
