"""Threads of a fleet in the picker: their files are fetched, and pushes are followed."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cli.browse.actions.sentences import sentence
from cli.browse.threads.scope import Scope
from cli.render.labels import passed_over_note
from cli.runtime.cached import cache_folder
from rollout.errors import RolloutError
from state.errors import StateError
from state.fleet.machines import pushes
from state.fleet.store import FleetStore
from state.jobs.progress import JobProgress
from state.query.rows import Row
from state.thread_index import ThreadIndex

if TYPE_CHECKING:
    from cli.browse.app import BrowseApp

_EVERY_S: Final = 10.0
"""Between two looks whether a machine has pushed, and after a failure, in seconds."""
_MOST_BYTES: Final = 20 * 2**20
"""A longer thread is fetched only for the reader."""


class FleetThreads:
    """Takes the place of :class:`cli.browse.index_sync.IndexSync`: machines push by themselves."""

    def __init__(
        self, app: "BrowseApp", scope: Scope, report: Callable[[JobProgress | None, str], None]
    ) -> None:
        """For ``report`` see :class:`cli.browse.index_sync.IndexSync`."""
        index: Any = app.index  # which is that of a fleet
        self.store = FleetStore(index, cache_folder(index.database.address))
        """To be closed."""
        self._app, self._scope, self._report = app, scope, report

    async def run(self) -> None:
        """Show the list again when a machine has pushed, until cancelled."""
        while True:
            try:
                async for _ in pushes(self.store.index, _EVERY_S):
                    self._report(None, "")
                    await self._app.reload()
                    # Last, as of many folders it takes seconds.
                    await self._scope.look_up(self.store.index)
            except StateError as error:
                self._report(None, str(error))
            await asyncio.sleep(_EVERY_S)

    async def for_preview(self, row: Row) -> tuple[ThreadIndex, Row] | None:
        """The index of the home that has the files of a thread, and its row there; None if the
        preview says why there is none."""
        preview = self._app.preview
        if row["size_bytes"] > _MOST_BYTES:
            preview.say("A long thread: Enter fetches it, and reads it.")
            return None
        try:
            store, there = await self.store.holding(row, self._app.wanted().query)
        except (StateError, RolloutError) as error:
            preview.say(sentence(error))
            return None
        if note := passed_over_note(there):
            self._app.say(note)
        return store.index, there

    async def reading(self, row: Row, at: str) -> None:
        """Open the reader on a thread, which is fetched first."""
        from cli.browse.reader.screen import ReaderScreen
        from cli.turns.source import shared_turns

        app = self._app
        app.say("Fetching the thread …")
        try:
            source = await shared_turns(self.store, row, app.wanted().query)
        except (StateError, RolloutError) as error:
            app.say(sentence(error))
            return
        app.say("")
        await app.push_screen(ReaderScreen(source, at))
