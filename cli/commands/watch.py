"""``threadkeep watch``."""

import asyncio
import logging
import select
import signal
import sys
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, LogFileOption, LogLevelOption, locations
from cli.runtime import logs
from cli.terminal import output
from cli.terminal.text import one_line, plural
from state.errors import IndexBusy, IndexMissing
from state.query.thread_json import display_name, display_text
from state.watch.changes import Change, ChangeFeed, SeenThreads, change_json

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex
    from state.watch.watcher import Watcher

_GLANCE_S: Final = 0.25
_log = logging.getLogger("threadkeep.watch")
_GONE: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


def command(
    context: typer.Context,
    log_level: LogLevelOption = None,
    log_file: LogFileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Keep the index up to date, and print a line for each thread that changes, until Ctrl-C."""
    logs.begin(log_level, log_file)
    here = locations(context)
    reason = signal.SIGINT.name

    def terminated(*_: object) -> None:
        nonlocal reason
        reason = signal.SIGTERM.name
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        status = _until_ended(here, as_json)
    except Exception as error:
        _log_end(*logs.end_by(error))
        raise
    _log_end(reason if status == errors.INTERRUPTED else "nobody reads", logging.INFO)
    return status


def _log_end(reason: str, level: int) -> None:
    _log.log(level, "ended by %s", reason, extra={"fields": {"reason": reason}})


def _until_ended(here: Locations, as_json: bool) -> int:
    from cli.runtime.open_index import with_index
    from state.watch.watcher import AGAIN_S

    watch = _Watch(here, as_json)
    while True:
        try:
            return with_index(here, watch.work)
        except IndexMissing:
            output.say("The index was removed or replaced. Opening it again.")
        except IndexBusy as busy:
            output.say(f"Not watching yet: {busy}.")
            try:
                time.sleep(AGAIN_S)
            except KeyboardInterrupt:
                return errors.INTERRUPTED
        except (KeyboardInterrupt, asyncio.CancelledError):  # asyncio raises either
            return errors.INTERRUPTED


class _Watch:
    """What outlives the index that is watched: the threads as they were last seen."""

    def __init__(self, here: Locations, as_json: bool) -> None:
        self._home = here.home
        self._as_json = as_json
        self._seen = SeenThreads()

    async def work(self, index: "ThreadIndex") -> int:
        """Watch one open index. Returns the exit status."""
        from state.watch.watcher import Watcher

        watcher = Watcher(index, self._seen, on_trouble=_report_trouble)
        changes = self._seen.changes()
        printing, reading = self._print(index, watcher, changes), _until_stdout_is(_GONE)
        return await _first(index, watcher.run(), printing, reading)

    async def _print(self, index: "ThreadIndex", watcher: "Watcher", changes: ChangeFeed) -> int:
        await watcher.ready.wait()
        how = f" every few seconds: {watcher.why_polling}" if watcher.why_polling else ""
        count = plural(len(self._seen.known), "thread")
        output.say(f"Watching {count} of {self._home}{how}. Ctrl-C ends it.")
        async for change in changes:
            text = _document(change) if self._as_json else await _line(index, change)
            # Waits between lines, not within one; what changes meanwhile becomes one change.
            await _until_stdout_is(select.POLLOUT | _GONE)
            output.line(text)
        return errors.OK


async def _first(index: "ThreadIndex", *works: Coroutine[Any, Any, int | None]) -> int:
    """The result of the first of ``works`` that ends. The others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # An error comes before a plain end, which may only follow from it.
        for task in sorted(done, key=lambda task: task.exception() is None):
            return task.result() or errors.OK
        return errors.OK
    finally:
        # A write that is cut off may hold the lock for a while. Do not wait for it.
        index.database.stop_waiting()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _document(change: Change) -> str:
    return output.json_text({"version": 1, **change_json(change)})


async def _line(index: "ThreadIndex", change: Change) -> str:
    row = (await index.rows_of([change.thread_id])).get(change.thread_id)
    shown = (display_name(row) or display_text(row)) if row else change.seen.name
    text = one_line(shown or "")[:200]
    return f"{change.kind:<10}  {change.thread_id}  {text}".rstrip()


def _report_trouble(error: Exception | None) -> None:
    output.say(f"Not up to date: {error}." if error else "Up to date again.")


async def _until_stdout_is(events: int) -> None:
    """Wait until one of ``events`` holds for stdout."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), events)
    while not any(found & events for _, found in poll.poll(0)):  # noqa: ASYNC110 - none tells
        await asyncio.sleep(_GLANCE_S)
