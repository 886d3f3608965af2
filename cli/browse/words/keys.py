"""The one table of keys: bindings, the line of keys, the screen of keys and the page of docs are
made from it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from rich.text import Text
    from textual.binding import Binding

Place = Literal["picker", "reader"]
OwnKeys = Mapping[str, tuple[str, ...]]
"""What the user's file says: the keys of actions, by the ids of these."""


class Action(NamedTuple):
    """Something that keys do."""

    name: str
    keys: tuple[str, ...]
    help: str
    place: Place
    group: str
    brief: str = ""
    """What the line of keys calls it; empty if it is not shown there."""

    @property
    def id(self) -> str:
        """The id of its bindings."""
        return f"{self.place}.{self.name}"


def _picker(group: str, name: str, keys: str, help_: str, brief: str = "") -> Action:
    return Action(name, (*keys.split(),), help_, "picker", group, brief)


def _reader(group: str, name: str, keys: str, help_: str, brief: str = "") -> Action:
    return Action(name, (*keys.split(),), help_, "reader", group, brief)


_CHANGES: Final = (
    ("tag", "ctrl+t", "Add or remove tags", "tag"),
    ("pin", "ctrl+p", "Pin or unpin", "pin"),
    ("rename", "f2", "Rename", "rename"),
    ("note", "f4", "Write a note"),
    ("status", "f5", "Set the status: todo, doing, waiting or done"),
    ("archive", "ctrl+a", "Archive or unarchive", "archive"),
    ("undo", "ctrl+z f6", "Undo the last change"),
)
"""What changes threads, in the list and in the reader."""
ACTIONS: Final = (
    _picker("Move", "up", "up ctrl+k", "The thread above"),
    _picker("Move", "down", "down ctrl+j", "The thread below"),
    _picker("Move", "page-up", "pageup", "A page up"),
    _picker("Move", "page-down", "pagedown", "A page down"),
    _picker("Move", "first", "ctrl+home", "The first thread"),
    _picker("Move", "last", "ctrl+end", "The last thread"),
    _picker("Look", "open", "enter", "Read the thread; with --pick, print its id", "read"),
    _picker("Look", "read", "ctrl+o", "Read the thread, also with --pick"),
    _picker("Look", "scope", "tab", "This project or all threads", "project/all"),
    _picker("Look", "tree", "f3", "The tree of its forks and subagents"),
    _picker("Look", "density", "f7", "One line a thread, or two"),
    _picker("Go on", "resume", "ctrl+r", "Resume it in Codex, in its folder", "resume"),
    _picker("Go on", "fork", "ctrl+f", "Fork it in Codex, in its folder", "fork"),
    _picker("Go on", "copy", "ctrl+y", "Copy the command that resumes it"),
    _picker("Change", "select", "space", "Select it, in the list; changes are for all"),
    _picker("Change", "select-all", "f9", "Select all threads of the list, or none"),
    *(_picker("Change", *row) for row in _CHANGES),
    _picker("Screen", "keys", "f1 ?", "All keys and filters", "keys"),
    _picker("Screen", "back", "escape", "Clear the text, then the selection, then leave", "leave"),
    _picker("Screen", "redraw", "ctrl+l", "Draw the screen again"),
    _picker("Screen", "interrupt", "ctrl+c ctrl+q", "Leave at once"),
    _reader("Move", "up", "up k", "A line up"),
    _reader("Move", "down", "down j", "A line down"),
    _reader("Move", "page-up", "pageup b", "A page up"),
    _reader("Move", "page-down", "pagedown space", "A page down"),
    _reader("Move", "top", "g home", "The first turn"),
    _reader("Move", "bottom", "G end", "The end"),
    _reader("Move", "next-prompt", "J", "The next prompt", "next prompt"),
    _reader("Move", "previous-prompt", "K", "The prompt before"),
    _reader("Find", "find", "/", "Find a text in the thread", "find"),
    _reader("Find", "next-match", "n", "The next match"),
    _reader("Find", "previous-match", "N", "The match before"),
    _reader("Look", "tools", "t", "Output of tools: off, short or full", "tools"),
    _reader("Look", "fold", "enter", "Fold or unfold"),
    _reader("Look", "outline", "O f8", "Show or hide the outline", "outline"),
    _reader("Look", "follow", "f", "Follow a thread that is being written"),
    _reader("Take along", "copy", "y", "Copy the message", "copy"),
    _reader("Take along", "edit", "o", "Open a file of the patch in $EDITOR"),
    _reader("Take along", "resume", "ctrl+r", "Resume it in Codex, in its folder", "resume"),
    _reader("Take along", "fork", "ctrl+f", "Fork it in Codex, in its folder"),
    _reader("Take along", "copy-command", "ctrl+y", "Copy the command that resumes it"),
    *(_reader("Change", *row[:3]) for row in _CHANGES),
    _reader("Screen", "keys", "? f1", "These keys", "keys"),
    _reader("Screen", "back", "escape q", "Back to the list", "back"),
)  # fmt: skip


def actions_of(place: Place) -> list[Action]:
    """The actions of a place, in the order of the table."""
    return [action for action in ACTIONS if action.place == place]


def bindings_of(place: Place) -> "list[Binding]":
    """The bindings of a place: ``next-prompt`` calls ``action_next_prompt``.

    Those of the picker go before the keys of the widget that has the focus, if it does not type
    them. Textual asks the app for them even while a dialog or the reader is open: ``check_action``
    has to refuse them then.
    """
    from textual.binding import Binding

    return [
        Binding(
            ",".join(textual_key(key) for key in action.keys),
            action.name.replace("-", "_"),
            action.help,
            id=action.id,
            show=False,
            priority=place == "picker",
        )
        for action in actions_of(place)
    ]


def keymap_of(own: OwnKeys) -> dict[str, str]:
    """The user's keys for ``App.set_keymap``."""
    return {id_: ",".join(map(textual_key, keys)) or _NO_KEY for id_, keys in own.items()}


_NO_KEY: Final = "<none>"
"""Nobody can press it. Textual takes an action without a key for one that keeps its own."""


def keys_of(action: Action, own: OwnKeys) -> tuple[str, ...]:
    """The keys of an action: the user's, or else the usual ones."""
    return own.get(action.id, action.keys)


def typed_actions(own: OwnKeys) -> dict[str, str]:
    """What the keys of ``select`` and ``keys`` type, with the actions: those that an empty box does
    not take for text."""
    return {
        " " if key == "space" else key: action.name
        for action in actions_of("picker")
        if action.name in ("select", "keys")
        for key in keys_of(action, own)
        if key == "space" or len(key) == 1
    }


def textual_key(key: str) -> str:
    """What Textual calls a key of the table."""
    return "comma" if key == "," else key


def shown(key: str) -> str:
    """A key as people write it: ``Ctrl+T``, ``PgUp``, ``J``."""
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    last = _SHOWN.get(last, last)
    if modifiers or (len(last) > 1 and last not in _SHOWN.values()):
        last = last[:1].upper() + last[1:]
    return "+".join([*(each.capitalize() for each in modifiers), last])


_SHOWN: Final = {"pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc", "delete": "Del"}


def line_of(
    place: Place,
    own: OwnKeys,
    width: int,
    others: Mapping[str, str] | None = None,
    *,
    fleet: bool = False,
) -> "Text":
    """The line of keys of a place, as many as fit into ``width`` cells: ``Enter read  ^T tag``.
    ``others`` says what actions are called there just now. In a ``fleet`` it has none of those that
    a fleet refuses."""
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    every = [action for action in actions_of(place) if action.brief and keys_of(action, own)]
    if fleet:
        every = [each for each in every if not is_refused_by_fleet(each)]
    for action in sorted(every, key=lambda each: each.name not in _ALWAYS):
        key = shown(keys_of(action, own)[0]).replace("Ctrl+", "^")
        brief = (others or {}).get(action.name, action.brief)
        if line.cell_len + len(key) + len(brief) + 3 <= width:
            line.append("  " if line else "").append(key, "bold").append(f" {brief}")
    return line


def is_refused_by_fleet(action: Action) -> bool:
    """Whether an action needs the thread's files here, or changes it."""
    return action.name in _CHANGING or action.name in _WITH_FILES


_CHANGING: Final = frozenset(row[0] for row in _CHANGES)
_ALWAYS: Final = ("open", "keys", "back")
"""These come first in the line of keys: who knows them finds the others."""
_WITH_FILES: Final = ("resume", "fork", "edit")
"""These need the thread's files, or those of its folder, here."""
