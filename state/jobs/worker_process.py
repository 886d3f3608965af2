"""Sets up a worker process. It imports nothing of ours: each process pays for its imports, and only
its work tells which ones it needs."""

import gc
import multiprocessing
import os
import signal
import threading


def start_worker() -> None:
    """Set up a worker process; the pool runs it in each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # its objects have no cycles, and it does not live long
    os.nice(5)  # the process that stores the results is the bottleneck


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # a parent that was killed cannot stop us
        os._exit(1)
