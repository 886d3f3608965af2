"""The part of the picker that acts on threads, one action at a time, and undoes what it did."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple

from textual import events
from textual.app import App
from textual.screen import Screen
from textual.worker import Worker, WorkerCancelled, WorkerFailed

from cli.arguments.locations import Locations
from cli.browse.picked import Picked
from cli.browse.words.keys import OwnKeys, actions_of, keys_of, shown
from rollout.errors import RolloutError
from state.db.translate import translated
from state.errors import (
    IndexNotWritable,
    StateError,
    ThreadArchived,
    ThreadNotFound,
    file_errors,
)
from state.query.rows import Row
from state.thread_index import ThreadIndex

_PICKER: Final = actions_of("picker")
_MODULES: Final = {
    "archive": "archive",
    "rename": "rename",
    **dict.fromkeys(("tag", "pin", "note", "status"), "marks"),
    **dict.fromkeys(("resume", "fork", "copy"), "resume"),
}
"""The module of each action, which is loaded when a key asks for it."""
_SAID_S: Final = 5.0
"""What is said stays for so long, and then until a key is pressed."""
Work = Callable[["ActingApp", Sequence[str]], Awaitable[None]]
"""What an action does with the threads of some ids."""
Undoing = Callable[[], Awaitable[str]]
"""Undoes a change. Gives what could not be undone, as the rest of a message."""


class Undo(NamedTuple):
    """How a change is undone."""

    done: str
    """What was done: ``archived 3 threads``."""
    work: Undoing


class ActionKeys:
    """The actions that a list and a screen of one thread have keys for."""

    def act(self, name: str) -> None:
        """Begin an action."""
        raise NotImplementedError

    def action_archive(self) -> None:
        self.act("archive")

    def action_rename(self) -> None:
        self.act("rename")

    def action_tag(self) -> None:
        self.act("tag")

    def action_pin(self) -> None:
        self.act("pin")

    def action_note(self) -> None:
        self.act("note")

    def action_status(self) -> None:
        self.act("status")

    def action_resume(self) -> None:
        self.act("resume")

    def action_fork(self) -> None:
        self.act("fork")


class ThreadScreen(ActionKeys, Screen[Picked | None]):
    """A screen over the list that shows one thread, which actions are for then."""

    @property
    def row(self) -> Row:
        """The row of the thread."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Show a text."""
        raise NotImplementedError

    @property
    def acting(self) -> bool:
        """Whether an action is running, which says itself what became of the thread."""
        return isinstance(self.app, ActingApp) and not self.app.action_done

    async def renew(self) -> None:
        """Show what the thread is called and where it is by now."""
        raise NotImplementedError

    def action_copy_command(self) -> None:
        self.act("copy")

    def action_undo(self) -> None:
        if isinstance(self.app, ActingApp):
            self.app.action_undo()

    def act(self, name: str) -> None:
        """Begin an action on this thread."""
        if isinstance(self.app, ActingApp):
            self.app.act(name, [self.row["id"]])


class ActingApp(ActionKeys, App[Picked | None]):
    """What actions need of the picker, and the actions. They run as workers, one at a time: keys
    wait for no disk."""

    here: Locations
    index: ThreadIndex
    ready: asyncio.Event
    """Set once the index is open."""
    own_keys: OwnKeys = MappingProxyType({})
    """The keys that the user's file sets."""

    def __init__(self) -> None:
        # Else NO_COLOR, which is looked at here, would paint the terminal's own colours black.
        super().__init__(ansi_color=True)
        self._action: Worker[None] | None = None
        self._undoable: list[Undo] = []
        self.clock = time.monotonic
        self.said_at: float | None = None
        """When what is said was said; None if nothing is."""

    @property
    def current(self) -> Row | None:
        """The row of the thread under the cursor."""
        raise NotImplementedError

    @property
    def chosen(self) -> list[str]:
        """The ids of the threads that an action is for."""
        raise NotImplementedError

    async def unseen(self) -> int:
        """How many selected threads are not in the list."""
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

    async def on_event(self, event: events.Event) -> None:
        """Take away what was said below the list at the first key some seconds later, but not what
        an action says that is running."""
        if isinstance(event, events.Key) and self.said_at is not None:
            over = self.clock() - self.said_at > _SAID_S
            if over and self.action_done and not isinstance(self.screen, ThreadScreen):
                self.say("")
        await super().on_event(event)

    def can_undo(self, done: str, work: Undoing) -> None:
        """Note a change that Ctrl+Z undoes."""
        self._undoable.append(Undo(done, work))

    def action_copy(self) -> None:
        self.act("copy")

    def action_tree(self) -> None:
        if (row := self.current) is not None:
            from cli.browse.actions.tree import show_tree

            self.run_worker(show_tree(self, row), group="tree", exclusive=True)

    def action_keys(self) -> None:
        from cli.browse.words.help import HelpScreen

        self.push_screen(HelpScreen("picker", self.own_keys, fleet=self.here.fleet is not None))

    def action_undo(self) -> None:
        async def undo(_app: ActingApp, _ids: Sequence[str]) -> None:
            last = self._undoable[-1]
            self.say(f"Undoing: {last.done} …")
            failed = await last.work()
            self._undoable.pop()  # an error before has left it for another try
            self.say(f"Undone: {last.done}.{failed}")
            await self.reload()

        if self._undoable:
            self._begin(undo, (), changes=True)
        else:
            self.say("There is nothing to undo.")

    async def end_action(self) -> None:
        """Have an action that is running stop where it can go on later, and wait for that."""
        if self._action is not None and not self.action_done:
            self._action.cancel()
            with suppress(WorkerCancelled, WorkerFailed):
                await self._action.wait()

    def act(self, name: str, ids: Sequence[str] | None = None) -> None:
        """Begin an action on some threads, by default the chosen ones, unless another one is
        running."""
        if ids := self.chosen if ids is None else ids:
            name_of_module = _MODULES[name] if self.here.fleet is None else "fleet"
            module = import_module(f"cli.browse.actions.{name_of_module}")
            changes = name_of_module not in ("resume", "fleet")
            self._begin(getattr(module, name), ids, changes=changes)
        else:
            self.say("There is no thread here.")

    async def one_active(self, ids: Sequence[str], wanted: str) -> Row | None:
        """The row of the one thread that an action is for; None if it is said that there are
        several, with what is ``wanted`` instead, or that it is archived. Raises ThreadNotFound if
        it is gone."""
        from cli.browse.actions.sentences import refusal

        if len(ids) > 1:
            self.say(f"{wanted}, and {len(ids):,} are selected: Esc selects none.")
            return None
        rows = await self.index.rows_of(ids)
        row = rows.get(ids[0])
        if row is None:
            raise ThreadNotFound(ids[0])
        if row["archived"]:
            self.say(refusal(rows, row["id"], ThreadArchived(row["id"])))
            return None
        return row

    def _begin(self, work: Work, ids: Sequence[str], *, changes: bool) -> None:
        if self.action_done:
            self._action = self.run_worker(self._carry_out(work, ids, changes), group="action")
        else:
            self.say("One moment: the last change is not done yet.")

    async def _carry_out(self, work: Work, ids: Sequence[str], changes: bool) -> None:
        from cli.browse.actions.sentences import sentence

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
        if isinstance(self.screen, ThreadScreen):
            await self.screen.renew()
