"""Push what changes, until Ctrl-C."""

import asyncio
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cli import errors
from cli.arguments.locations import Locations
from cli.push.wanted import Wanted, document, options_for, say_anew, say_lowered, sentence
from cli.runtime.open_index import catch_up_fulltext, with_index
from cli.terminal import output
from state.errors import (
    FleetTooOld,
    FleetUnavailable,
    IndexBusy,
    IndexMissing,
    LeaseHeld,
    LeaseLost,
    PushOvertaken,
)
from state.fleet.push.batch import LEVELS
from state.fleet.push.outbox import any_waiting_steps
from state.fleet.push.push import push
from state.watch.changes import SeenThreads
from state.watch.watcher import AGAIN_S, Watcher

if TYPE_CHECKING:
    from state.fleet.push.push import PushOptions
    from state.thread_index import ThreadIndex

_LOOK_S: Final = 2.0
"""How often the outbox is looked at: what a thread gets within this goes together."""
_LONGEST_PAUSE_S: Final = 300.0
_PASSING: Final = (
    FleetUnavailable,
    FleetTooOld,  # until its administrator has upgraded it
    IndexBusy,
    LeaseHeld,
    LeaseLost,
    PushOvertaken,
)


def push_and_watch(here: Locations, wanted: Wanted, *, as_json: bool) -> int:
    """Push what changes until an interrupt. Returns the exit status."""

    def terminated(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        while True:
            try:
                with_index(here, lambda index: _watch(index, wanted, as_json))
            except IndexMissing:
                output.say("The index was removed or replaced. Opening it again.")
            except IndexBusy as busy:
                output.say(f"Not watching yet: {busy}.")
                time.sleep(AGAIN_S)
    except (KeyboardInterrupt, asyncio.CancelledError):  # asyncio raises either
        return errors.INTERRUPTED


async def _watch(index: "ThreadIndex", wanted: Wanted, as_json: bool) -> None:
    options = await options_for(index, wanted)
    watcher = Watcher(index, SeenThreads(), on_trouble=_say_trouble)
    tasks = [
        asyncio.create_task(watcher.run()),
        asyncio.create_task(_Pushing(index, watcher, wanted.address, options, as_json).run()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        index.database.stop_waiting()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Pushing:
    """Pushes what the outbox has. No connection is kept in between: a thousand machines would
    take as many."""

    def __init__(
        self,
        index: "ThreadIndex",
        watcher: Watcher,
        address: str,
        options: "PushOptions",
        as_json: bool,
    ) -> None:
        self._index = index
        self._watcher = watcher
        self._address = address
        self._options = options
        self._as_json = as_json
        self._pause_s = _LOOK_S
        self._trouble = ""

    async def run(self) -> None:
        """Push all, and then what changes, for ever. What passes is tried again, less and less
        often."""
        await self._watcher.ready.wait()
        first = True
        while True:
            if self._options.level != LEVELS[0]:
                await catch_up_fulltext(self._index)
            if first or await self._index.database.query(any_waiting_steps()):
                try:
                    await self._push()
                except _PASSING as error:
                    self._tell_trouble(error)
                else:
                    if first:
                        output.say(f"Watching {self._index.home}. Ctrl-C ends it.")
                    first = False
            await asyncio.sleep(self._pause_s)

    async def _push(self) -> None:
        done = await push(self._index, self._address, self._options)
        self._options = replace(self._options, everything=False)
        if self._trouble:
            output.say("The fleet is there again.")
        self._pause_s, self._trouble = _LOOK_S, ""
        if not (done.threads or done.deleted):
            if done.refused:  # the same threads again, which nothing has changed yet
                self._pause_s = _LONGEST_PAUSE_S
            return
        if self._as_json:
            output.line(output.json_text(document(done)))
        else:
            output.line(f"{sentence(done)}.")
            say_lowered(done)
            say_anew(done)

    def _tell_trouble(self, error: Exception) -> None:
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        if str(error) != self._trouble:
            output.say(f"Not pushed yet: {error}. It is tried again.")
        self._trouble = str(error)


def _say_trouble(error: Exception | None) -> None:
    output.say(f"Not up to date: {error}." if error else "Up to date again.")
