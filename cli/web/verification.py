"""A check of the index that goes on behind the pages."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Final

from cli.arguments.locations import Locations
from rollout.errors import RolloutError
from state.checks.findings import Findings
from state.errors import StateError

_log = logging.getLogger("threadkeep.web")
_SHOWN: Final = 50


@dataclass
class Verification:
    """The last check, which may go on: one at a time."""

    found: Findings = field(default_factory=lambda: Findings(_SHOWN))
    began_s: float | None = None
    """On the clock; None if there was none yet."""
    seconds: float = 0.0
    """How long it took."""
    error: Exception | None = None
    """Why it could not be done."""
    _task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._task is not None and not self._task.done()

    def start(self, here: Locations) -> asyncio.Task[None]:
        """Check the index anew, unless that goes on already. It reads no rollout, and writes
        nothing."""
        if self._task is None or self._task.done():
            self.found, self.error, self.began_s = Findings(_SHOWN), None, time.time()
            self._task = asyncio.create_task(self._verify(here), name="verification")
        return self._task

    async def _verify(self, here: Locations) -> None:
        from state.repair.verify import verify

        began = time.monotonic()
        try:
            await verify(here.home, here.index, self.found.add)
        except (RolloutError, StateError) as error:
            self.error = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - else it would look as if nothing was found
            _log.error("a verification failed", exc_info=error)
            self.error = error.with_traceback(None)
        self.seconds = time.monotonic() - began
