"""How a server ends: soon, whatever it does."""

import asyncio
import os
import signal
import sys
import threading
from typing import Final

from cli import errors

_GRACE_S: Final = 1.5
"""Seconds that a server may take to end."""


def signalled() -> asyncio.Event:
    """What a signal sets that asks for the end."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event


async def until(event: asyncio.Event, working: asyncio.Task[None]) -> None:
    """Wait for an event, or for the end of a task. Raises what that raises."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()


def end_soon() -> None:
    """End the process in a moment, whatever it still does: nothing that it writes is half done."""
    timer = threading.Timer(_GRACE_S, end)
    timer.daemon = True
    timer.start()


def end() -> None:
    """End the process now."""
    import multiprocessing

    for child in multiprocessing.active_children():  # they only read
        child.terminate()
    sys.stderr.flush()
    os._exit(errors.OK)
