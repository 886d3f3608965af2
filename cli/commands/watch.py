"""``threadkeep watch``: a line for each thread that changes, as it changes."""

import asyncio
import logging
import select
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any, Final

from cli import errors
from cli.arguments.locations import Locations
from cli.runtime.open_index import with_index
from cli.terminal import output
from cli.terminal.text import one_line, plural
from state.errors import IndexBusy, IndexMissing
from state.query.thread_json import display_name, display_text
from state.thread_index import ThreadIndex
from state.watch.changes import Change, ChangeFeed, SeenThreads, change_json
from state.watch.watcher import AGAIN_S, Watcher

_GLANCE_S: Final = 0.25
_log = logging.getLogger("threadkeep.watch")
_GONE: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


def run(locations: Locations, *, as_json: bool) -> int:
    """Print what changes until a signal, or until nobody reads it. Gives the exit status."""
    reason = signal.SIGINT.name

    def terminated(*_: object) -> None:
        nonlocal reason
        reason = signal.SIGTERM.name
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        status = _until_ended(locations, as_json)
    except Exception as error:
        _tell_end(f"error: {error!r}", logging.ERROR)
        raise
    _tell_end(reason if status == errors.INTERRUPTED else "nobody reads", logging.INFO)
    return status


def _tell_end(reason: str, level: int) -> None:
    _log.log(level, "ended by %s", reason, extra={"fields": {"reason": reason}})


def _until_ended(locations: Locations, as_json: bool) -> int:
    watch = _Watch(locations, as_json)
    while True:
        try:
            return with_index(locations, watch.work)
        except IndexMissing:
            output.say("The index was removed or replaced; it is opened again.")
        except IndexBusy as busy:
            output.say(f"Not watching yet: {busy}.")
            try:
                time.sleep(AGAIN_S)
            except KeyboardInterrupt:
                return errors.INTERRUPTED
        except (KeyboardInterrupt, asyncio.CancelledError):  # asyncio gives the one or the other
            return errors.INTERRUPTED


class _Watch:
    """What outlives the index that is watched: how the threads were."""

    def __init__(self, locations: Locations, as_json: bool) -> None:
        self._places = locations
        self._as_json = as_json
        self._seen = SeenThreads()

    async def work(self, index: ThreadIndex) -> int:
        """Watch one open index. Gives the exit status."""
        watcher = Watcher(index, self._seen, on_trouble=_tell_trouble)
        changes = self._seen.changes()
        return await _first(
            index, watcher.run(), self._tell(index, watcher, changes), _until_nobody_reads()
        )

    async def _tell(self, index: ThreadIndex, watcher: Watcher, changes: ChangeFeed) -> int:
        await watcher.ready.wait()
        how = f" every few seconds: {watcher.why_polling}" if watcher.why_polling else ""
        count = plural(len(self._seen.known), "thread")
        output.say(f"Watching {count} of {self._places.home}{how}. Ctrl-C ends it.")
        async for change in changes:
            text = _document(change) if self._as_json else await _line(index, change)
            # Not to stand still in the middle of a line: what changes meanwhile becomes one.
            await _until_stdout_is(select.POLLOUT | _GONE)
            output.line(text)
        return errors.OK


async def _first(index: ThreadIndex, *works: Coroutine[Any, Any, int | None]) -> int:
    """What the first of ``works`` that ends gives; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # An error goes before a plain end, which may only be what follows from it.
        for task in sorted(done, key=lambda task: task.exception() is None):
            return task.result() or errors.OK
        return errors.OK
    finally:
        # A write that is cut off may hold the lock for a while; nobody should wait for that.
        index.database.stop_waiting()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _document(change: Change) -> str:
    return output.json_text({"version": 1, **change_json(change)})


async def _line(index: ThreadIndex, change: Change) -> str:
    row = (await index.rows_of([change.thread_id])).get(change.thread_id)
    shown = (display_name(row) or display_text(row)) if row else change.seen.name
    text = one_line(shown or "")[:200]
    return f"{change.kind:<10}  {change.thread_id}  {text}".rstrip()


def _tell_trouble(error: Exception | None) -> None:
    output.say(f"Behind for now: {error}." if error else "In step again.")


async def _until_nobody_reads() -> int:
    await _until_stdout_is(_GONE)
    return errors.OK


async def _until_stdout_is(events: int) -> None:
    while True:
        if _stdout_is(events):
            return
        await asyncio.sleep(_GLANCE_S)


def _stdout_is(events: int) -> bool:
    """Whether one of ``events`` holds for stdout."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), events)
    return any(found & events for _, found in poll.poll(0))
