"""Keys in the order in which they were typed, however fast: an action waits until the list is of
the text that was typed before it, and what is typed behind it waits for its dialog."""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final

from textual.actions import ActionParseResult, parse
from textual.dom import DOMNode
from textual.widget import Widget

from cli.browse.actions.acting import ActingApp
from cli.browse.words.keys import bindings_of, typed_actions

_PATIENCE_S: Final = 5.0
"""An action that would have to wait longer is not carried out, so that the picker can be left."""
_TURN_S: Final = 0.005
_AT_ONCE: Final = frozenset({"back", "interrupt", "keys", "density", "redraw", "undo"})
"""What is not about the threads of the list."""
_ON_LIST: Final = frozenset(each.action for each in bindings_of("picker")) - _AT_ONCE
_WITH_DIALOG: Final = frozenset({"tag", "rename", "note", "status"})
_HANDLING: Final = ContextVar("handling", default=False)
"""Whether the widget that has the focus began the action, and cannot be waited for."""


class OrderedApp(ActingApp):
    """A picker whose keys take effect in order."""

    @property
    def listed(self) -> bool:
        """Whether the list is of what is typed."""
        raise NotImplementedError

    def list_typed(self) -> None:
        """Begin to list what is typed, unless that has begun."""
        raise NotImplementedError

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        _, name, _ = parse(action) if isinstance(action, str) else action
        on_list = len(self.screen_stack) == 1 and name in _ON_LIST
        if on_list and not self.ready.is_set():
            # Not waited for here: what makes it ready has to be handled first.
            self.run_worker(self._run_when_ready(action, default_namespace, namespaces))
            return True
        if on_list and not _HANDLING.get():
            before = self.focused
            await _handled(before)
            if self.focused is not before and (letter := self._letter_of(name)):
                self.take(letter)  # behind a letter that gave the focus to the box
                return True
        if on_list and not await self._list_is_typed():
            self.say("One moment: the list is not there yet.")
            return True
        done = await super().run_action(action, default_namespace, namespaces)
        if on_list and name in _WITH_DIALOG:
            await _until(lambda: self.action_done or self._takes_keys)
        return done

    async def _run_when_ready(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None,
        namespaces: Mapping[str, DOMNode] | None,
    ) -> None:
        await self.ready.wait()
        await self.run_action(action, default_namespace, namespaces)

    def take(self, text: str) -> None:
        """Take a letter for the search box."""
        raise NotImplementedError

    def _letter_of(self, name: str) -> str:
        """The letter that begins an action where no text is typed; empty if none does."""
        if name != "select":  # others have keys besides
            return ""
        letters = typed_actions(self.own_keys).items()
        return next((letter for letter, action in letters if action == name), "")

    async def run_typed(self, action: str) -> bool:
        """As :meth:`run_action`, for a letter that the search box is handling."""
        token = _HANDLING.set(True)
        try:
            return await self.run_action(action)
        finally:
            _HANDLING.reset(token)

    async def _list_is_typed(self) -> bool:
        """Wait for the list of what is typed: whether it is there."""
        if self.listed:
            return True
        self.list_typed()
        return await _until(lambda: self.listed)

    @property
    def _takes_keys(self) -> bool:
        """Whether a dialog is there that has the focus."""
        return len(self.screen_stack) > 1 and self.screen.focused is not None


async def _handled(widget: Widget | None) -> None:
    """Wait until a widget has handled the keys that it was given."""
    if widget is None:
        return
    handled = asyncio.Event()
    if widget.call_later(handled.set):
        await _until(handled.is_set)


async def _until(true: Callable[[], object]) -> bool:
    """Wait until something is true, but not for ever: whether it is."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_S
    while not true():
        if loop.time() > end:
            return False
        await asyncio.sleep(_TURN_S)
    return True
