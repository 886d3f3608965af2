"""Paths of a home that may have changed, from file events: hints where to look, and no more.

The system watches the rollout folders. Several times a second the few other things are polled that
matter: the home's names and settings, and whether the folders are there. The home itself is not
watched, because Codex writes other files in it all the time. Where the system cannot watch a
folder, everything counts as changed every few seconds.
"""

import asyncio
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

from rollout.files.layout import ROOTS
from rollout.files.text import is_storable, printable_path
from rollout.metadata.session_index import NAMES_FILE
from state.db.location import on_network_drive
from state.rows.home_config import home_inputs

STEP_MS: Final = 100
"""Changed paths are reported when there were no more for so long ..."""
DEBOUNCE_MS: Final = 200
"""... or at the latest after so long."""
HOME_POLL_S: Final = 0.25
"""Between two polls of the home itself, in seconds."""
POLL_S: Final = 2.0
"""Between two scans where nothing can be watched, in seconds."""
SAFETY_S: Final = 60.0
"""Between two scans even so, for changes that no event reports, in seconds."""
_TRY_AGAIN_S: Final = 30.0

OnChange = Callable[[Collection[str] | None], None]
"""Is called with changed paths relative to the home; None if anything may have changed."""
_Folders = dict[Path, tuple[int, int]]


class FileEvents:
    """Calls ``on_change`` whenever something in ``home`` may have changed."""

    def __init__(self, home: Path, on_change: OnChange) -> None:
        self._home = home
        self._on_change = on_change
        self.why_polling: str | None = None
        """Why the folders cannot be watched; None while they are."""

    async def follow(self) -> None:
        """Watch until cancelled, also while folders appear, vanish or are replaced."""
        while True:
            folders = _folders(self._home)
            self.why_polling = _unwatchable(self._home, folders) or await self._watch(folders)
            again_at = time.monotonic() + _TRY_AGAIN_S
            while self.why_polling and time.monotonic() < again_at:
                self._on_change(None)
                await asyncio.sleep(POLL_S)
                if _folders(self._home) != folders:
                    break

    async def _watch(self, folders: _Folders) -> str | None:
        """Watch the rollout folders until ``folders`` are others: None then, or why they cannot be
        watched."""
        roots = [folder for folder in folders if folder != self._home]
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._poll_home(folders, stop), name="polls of the home")]
        if roots:
            tasks.append(asyncio.create_task(self._forward(roots, stop), name="file events"))
        try:
            # Both tasks run to their first wait here, and the watches stand by then: a later change
            # is an event, and the scan that this asks for finds an earlier one.
            await asyncio.sleep(0)
            if not any(task.done() for task in tasks):
                self.why_polling = None
            self._on_change(None)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (OSError, RuntimeError, ExceptionGroup) as error:  # what watchfiles raises
            self.why_polling = str(error) or type(error).__name__
            return self.why_polling
        finally:
            stop.set()  # not cancelled, which would leave a thread of the watch behind
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
            self._on_change({os.path.relpath(path, self._home) for _, path in events})
            if any(kind == Change.deleted and Path(path) in roots for kind, path in events):
                return  # its watch is gone; a new folder of its name may have the same inode

    async def _poll_home(self, folders: _Folders, stop: asyncio.Event) -> None:
        inputs = home_inputs(self._home)
        all_at = time.monotonic() + SAFETY_S
        while not stop.is_set() and _folders(self._home) == folders:
            now = home_inputs(self._home)
            if now != inputs:
                inputs = now
                self._on_change([NAMES_FILE])
            if time.monotonic() >= all_at:
                all_at = time.monotonic() + SAFETY_S
                self._on_change(None)
            await asyncio.sleep(HOME_POLL_S)


def _folders(home: Path) -> _Folders:
    """The home and its rollout folders that are there, each with its device and inode: another
    folder of the same name has to be watched anew."""
    found = {}
    for folder in (home, *(home / root for root in ROOTS)):
        try:
            info = folder.stat()
        except OSError:
            continue
        if folder.is_dir():
            found[folder] = (info.st_dev, info.st_ino)
    return found


def _unwatchable(home: Path, folders: _Folders) -> str | None:
    if home not in folders:
        return f"{home} is not there"
    if not is_storable(str(home)):
        return f"the name of {printable_path(str(home))} is not UTF-8"
    for folder in folders:
        if on_network_drive(folder):
            return f"{folder} is on a network drive"
    return None
