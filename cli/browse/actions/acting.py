"""The part of the picker that acts on threads, one action at a time, and undoes what it did."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final, NamedTuple

from textual.app import App
from textual.screen import Screen
from textual.worker import Worker, WorkerCancelled, WorkerFailed

from cli.arguments.locations import Locations
from cli.browse.picked import Picked
from cli.browse.words.keys import OwnKeys, actions_of, keys_of, shown
from rollout.errors import RolloutError
from state.db.translate import translated
from state.errors import IndexNotWritable, StateError, file_errors
from state.query.rows import Row
from state.thread_index import ThreadIndex

_PICKER: Final = actions_of("picker")
Work = Callable[["ActingApp", Sequence[str]], Awaitable[None]]
"""What an action does with the threads of some ids."""
Undoing = Callable[[], Awaitable[str]]
"""Undoes a change. Gives what could not be undone, as the rest of a message."""


class Undo(NamedTuple):
    """How a change is undone."""

    done: str
    """What was done: ``archived 3 threads``."""
    work: Undoing


class TellingScreen(Screen[Picked | None]):
    """A screen over the list that shows what actions say."""

    def say(self, text: str) -> None:
        """Show a text."""
        raise NotImplementedError


class ActingApp(App[Picked | None]):
    """What actions need of the picker, and the actions. They run as workers, one at a time: keys
    wait for no disk."""

    here: Locations
    index: ThreadIndex
    ready: asyncio.Event
    """Set once the index is open."""
    own_keys: OwnKeys = MappingProxyType({})
    """The keys that the user's file sets."""

    def __init__(self) -> None:
        super().__init__()
        self._action: Worker[None] | None = None
        self._undoable: list[Undo] = []

    @property
    def current(self) -> Row | None:
        """The row of the thread under the cursor."""
        raise NotImplementedError

    @property
    def chosen(self) -> list[str]:
        """The ids of the threads that an action is for."""
        raise NotImplementedError

    def deselect(self, ids: Sequence[str]) -> None:
        """Take threads out of the selection."""
        raise NotImplementedError

    def leave_with(self, picked: Picked | None, status: int = 0) -> None:
        """End the picker."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Show a text below the list."""
        raise NotImplementedError

    async def reload(self, keep: bool = True) -> None:
        """Show the list as it is now. With ``keep``, the cursor stays on its thread."""
        raise NotImplementedError

    def read(self, row: Row) -> None:
        """Open the reader on a thread."""
        raise NotImplementedError

    def key_of(self, action: str) -> str:
        """The first key of an action, as people write it; empty if it has none."""
        keys = next(keys_of(each, self.own_keys) for each in _PICKER if each.name == action)
        return shown(keys[0]) if keys else ""

    @property
    def how_undone(self) -> str:
        """What the message of a change ends with: ``Ctrl+Z undoes.``"""
        key = self.key_of("undo")
        return f"{key} undoes." if key else ""

    @property
    def action_done(self) -> bool:
        """Whether no action is running."""
        return self._action is None or self._action.is_finished

    def can_undo(self, done: str, work: Undoing) -> None:
        """Note a change that Ctrl+Z undoes."""
        self._undoable.append(Undo(done, work))

    def action_archive(self) -> None:
        from cli.browse.actions.archive import archive

        self._act(archive)

    def action_rename(self) -> None:
        from cli.browse.actions.rename import rename

        self._act(rename)

    def action_tag(self) -> None:
        from cli.browse.actions.marks import tag

        self._act(tag)

    def action_pin(self) -> None:
        from cli.browse.actions.marks import pin

        self._act(pin)

    def action_note(self) -> None:
        from cli.browse.actions.marks import note

        self._act(note)

    def action_status(self) -> None:
        from cli.browse.actions.marks import status

        self._act(status)

    def action_resume(self) -> None:
        from cli.browse.actions.go_on import resume

        self._act(resume, changes=False)

    def action_fork(self) -> None:
        from cli.browse.actions.go_on import fork

        self._act(fork, changes=False)

    def action_copy(self) -> None:
        from cli.browse.actions.go_on import copy

        self._act(copy, changes=False)

    def action_tree(self) -> None:
        if (row := self.current) is not None:
            from cli.browse.actions.tree import show_tree

            self.run_worker(show_tree(self, row), group="tree", exclusive=True)

    def action_keys(self) -> None:
        from cli.browse.words.help import HelpScreen

        self.push_screen(HelpScreen("picker", self.own_keys))

    def action_undo(self) -> None:
        async def undo(_app: ActingApp, _ids: Sequence[str]) -> None:
            last = self._undoable[-1]
            self.say(f"Undoing: {last.done} …")
            failed = await last.work()
            self._undoable.pop()  # an error before has left it for another try
            self.say(f"Undone: {last.done}.{failed}")
            await self.reload()

        if self._undoable:
            self.begin(undo, ())
        else:
            self.say("There is nothing to undo.")

    async def end_action(self) -> None:
        """Have an action that is running stop where it can go on later, and wait for that."""
        if self._action is not None and not self.action_done:
            self._action.cancel()
            with suppress(WorkerCancelled, WorkerFailed):
                await self._action.wait()

    def _act(self, work: Work, *, changes: bool = True) -> None:
        """Begin an action on the chosen threads."""
        if ids := self.chosen:
            self.begin(work, ids, changes=changes)
        else:
            self.say("There is no thread here.")

    def begin(self, work: Work, ids: Sequence[str], *, changes: bool = True) -> None:
        """Begin an action on some threads, unless another one is running."""
        if self.action_done:
            self._action = self.run_worker(self._carry_out(work, ids, changes), group="action")
        else:
            self.say("One moment: the last change is not done yet.")

    async def _carry_out(self, work: Work, ids: Sequence[str], changes: bool) -> None:
        from cli.browse.actions.told import sentence

        await self.ready.wait()
        try:
            if changes and self.index.database.path != self.here.index:
                # It goes when the picker ends, with the journals of marks and moves beside it.
                copy = "only a temporary copy of it is open, which keeps no change"
                raise IndexNotWritable(self.here.index, copy)
            with file_errors(self.here.home), translated(self.here.index):
                await work(self, ids)
        except (StateError, RolloutError) as error:
            self.say(sentence(error))
            await self.reload()
