"""Push what changes, until Ctrl-C."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cli import errors
from cli.arguments.locations import Locations
from cli.errors import WrongUsage
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
from state.fleet.push.push import Pushed, push
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


def push_and_watch(here: Locations, read: Callable[[], Wanted], *, as_json: bool) -> int:
    """Push what changes until an interrupt, as ``read`` says before each push. Returns the exit
    status."""

    def terminated(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    try:
        while True:
            try:
                with_index(here, lambda index: _watch(index, read, as_json))
            except IndexMissing:
                output.say("The index was removed or replaced. Opening it again.")
            except IndexBusy as busy:
                output.say(f"Not watching yet: {busy}.")
                time.sleep(AGAIN_S)
    except (KeyboardInterrupt, asyncio.CancelledError):  # asyncio raises either
        return errors.INTERRUPTED


async def _watch(index: "ThreadIndex", read: Callable[[], Wanted], as_json: bool) -> None:
    watcher = Watcher(index, SeenThreads(), on_trouble=_say_trouble)
    tasks = [
        asyncio.create_task(watcher.run()),
        asyncio.create_task(_Pushing(index, watcher, read, as_json).run()),
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
        self, index: "ThreadIndex", watcher: Watcher, read: Callable[[], Wanted], as_json: bool
    ) -> None:
        self._index = index
        self._watcher = watcher
        self._read = read
        self._as_json = as_json
        self._seen: Wanted | None = None
        """What was wanted when it was looked at last."""
        self._pushed: Wanted | None = None
        """What was wanted at the last push that did not fail."""
        self._options: tuple[Wanted, PushOptions] | None = None
        self._pause_s = _LOOK_S
        self._trouble = ""

    async def run(self) -> None:
        """Push all, and then what changes, for ever. What passes is tried again, less and less
        often."""
        await self._watcher.ready.wait()
        self._settled()
        while True:
            if wanted := self._settled():
                await self._push_what_waits(wanted)
            await asyncio.sleep(self._pause_s)

    def _settled(self) -> Wanted | None:
        """What is wanted now. None if the user's file is wrong, or has just changed: then it may be
        half written, and what it does not name yet would be pushed."""
        try:
            wanted = self._read()
        except WrongUsage as error:
            self._seen, self._pause_s = None, _LOOK_S
            self._tell(error, "Nothing is pushed until that is right.")
            return None
        if wanted != self._seen:
            self._seen, self._pause_s = wanted, _LOOK_S
            return None
        return wanted

    async def _push_what_waits(self, wanted: Wanted) -> None:
        if self._options is None or self._options[0] != wanted:
            self._options = wanted, await options_for(self._index, wanted)
        options = self._options[1]
        first = self._pushed is None
        if not first:
            options = replace(options, everything=False)
        if options.level != LEVELS[0]:
            await catch_up_fulltext(self._index)
        # What is left out from now on is taken back, though no thread has changed.
        due = self._pushed != wanted or self._trouble
        if not due and not await self._index.database.query(any_waiting_steps()):
            return
        try:
            done = await push(self._index, wanted.address, options)
        except _PASSING as error:
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            self._tell(error, "It is tried again.")
            return
        self._pushed = wanted
        self._say(done)
        if first:
            output.say(f"Watching {self._index.home}. Ctrl-C ends it.")

    def _say(self, done: Pushed) -> None:
        if self._trouble:
            output.say("Pushing again.")
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

    def _tell(self, error: Exception, then: str) -> None:
        if str(error) != self._trouble:
            output.say(f"Not pushed yet: {error}. {then}")
        self._trouble = str(error)


def _say_trouble(error: Exception | None) -> None:
    output.say(f"Not up to date: {error}." if error else "Up to date again.")
