"""What is touched in a home, as the system tells: hints where to look, never what to believe.

The rollout folders are watched with the system's own means. The few other things that matter, the
home's names and settings and whether the folders themselves are there, are looked at several
times a second: a home that Codex works in is full of files that change all the time and concern
nobody here. Where the system cannot watch, everything counts as touched every few seconds.
"""

import asyncio
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

from rollout.files.layout import ROOTS
from rollout.metadata.session_index import NAMES_FILE
from state.db.location import on_network_drive
from state.sync.home_config import home_inputs

STEP_MS: Final = 100
"""Files that were touched are told of when nothing more was for so long ..."""
DEBOUNCE_MS: Final = 200
"""... or after so long, if there is no end to it."""
GLANCE_S: Final = 0.25
"""Between two looks at the home itself, in seconds."""
POLL_S: Final = 2.0
"""Between two looks at everything where nothing can be watched, in seconds."""
SAFETY_S: Final = 60.0
"""Between two looks at everything all the same, for what no system tells, in seconds."""
_TRY_AGAIN_S: Final = 30.0

OnChange = Callable[[Collection[str] | None], None]
"""Is given paths relative to the home; None where anything may have been touched."""
_Places = dict[Path, tuple[int, int]]


class FileEvents:
    """Calls ``touched`` whenever something of ``home`` may have changed."""

    def __init__(self, home: Path, touched: OnChange) -> None:
        self._home = home
        self._touched = touched
        self.why_polling: str | None = None
        """Why nothing can be watched; None while it can."""

    async def follow(self) -> None:
        """Watch until cancelled. Folders may appear, go and be replaced meanwhile."""
        while True:
            places = _places(self._home)
            self.why_polling = _unwatchable(self._home, places) or await self._watch(places)
            again_at = time.monotonic() + _TRY_AGAIN_S
            while self.why_polling and time.monotonic() < again_at:
                self._touched(None)
                await asyncio.sleep(POLL_S)
                if _places(self._home) != places:
                    break

    async def _watch(self, places: _Places) -> str | None:
        """Watch the folders of ``places`` until they are others: None then, or why they cannot be
        watched."""
        roots = [place for place in places if place != self._home]
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._glance(places, stop), name="glances at the home")]
        if roots:
            tasks.append(asyncio.create_task(self._forward(roots, stop), name="file events"))
        try:
            # Tasks begin before this goes on, and the watches stand when the first one waits: what
            # is touched from now on is told, what was touched before is found by looking.
            await asyncio.sleep(0)
            if not any(task.done() for task in tasks):
                self.why_polling = None
            self._touched(None)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (OSError, RuntimeError, ExceptionGroup) as error:  # what watchfiles raises
            self.why_polling = str(error) or type(error).__name__
            return self.why_polling
        finally:
            stop.set()  # not cancelled: a thread of the watch would be left behind
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    async def _forward(self, roots: list[Path], stop: asyncio.Event) -> None:
        async for events in awatch(
            *roots,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            stop_event=stop,
            ignore_permission_denied=True,
        ):
            self._touched({os.path.relpath(path, self._home) for _, path in events})
            if any(kind == Change.deleted and Path(path) in roots for kind, path in events):
                return  # its watch went with it; another of its name may have its very inode

    async def _glance(self, places: _Places, stop: asyncio.Event) -> None:
        inputs = home_inputs(self._home)
        all_at = time.monotonic() + SAFETY_S
        while not stop.is_set() and _places(self._home) == places:
            now = home_inputs(self._home)
            if now != inputs:
                inputs = now
                self._touched([NAMES_FILE])
            if time.monotonic() >= all_at:
                all_at = time.monotonic() + SAFETY_S
                self._touched(None)
            await asyncio.sleep(GLANCE_S)


def _places(home: Path) -> _Places:
    """The home and its rollout folders, as far as they are there, each with its identity: a folder
    of the same name that is another one has to be watched anew."""
    found = {}
    for place in (home, *(home / root for root in ROOTS)):
        try:
            info = place.stat()
        except OSError:
            continue
        if place.is_dir():
            found[place] = (info.st_dev, info.st_ino)
    return found


def _unwatchable(home: Path, places: _Places) -> str | None:
    if home not in places:
        return f"{home} is not there"
    for place in places:
        if on_network_drive(place):
            return f"{place} is on a network drive"
    return None
