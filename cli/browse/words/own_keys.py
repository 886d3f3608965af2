"""The user's own keys: ``keys.toml``."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from cli.browse.words.keys import OwnKeys, Place, actions_of, keys_of, shown
from cli.errors import InvalidKeys

_ALIASES: Final = {
    "esc": "escape",
    "return": "enter",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "pgdown": "pagedown",
    "del": "delete",
    "ins": "insert",
    "bs": "backspace",
    "comma": ",",
    "plus": "+",
}
_SAME: Final = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace"}
"""What a terminal sends for these is another key."""
_NAMES: Final = """
escape enter tab space backspace insert delete home end pageup pagedown up down left right
"""
_NAMED: Final = frozenset(_NAMES.split()) | {f"f{number}" for number in range(1, 25)}
_ORDER: Final = ("alt", "ctrl", "shift")


def keys_file() -> Path:
    """Where the user's keys are."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification has relative values ignored.
    config = Path(folder) if os.path.isabs(folder) else Path.home() / ".config"
    return config / "threadkeep" / "keys.toml"


def own_keys(path: Path) -> OwnKeys:
    """The keys in the user's file, which need not exist.

    Raises:
        InvalidKeys: it cannot be read, or says something else than keys.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        folder = isinstance(error, IsADirectoryError)
        reason = "it is a folder" if folder else getattr(error, "strerror", "") or str(error)
        raise InvalidKeys(path, reason) from error
    import tomllib

    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidKeys(path, _reason(str(error), text)) from error
    own: dict[str, tuple[str, ...]] = {}
    for other, table in given.items():
        if other not in get_args(Place) or not isinstance(table, dict):
            where = _line(text, other)
            raise InvalidKeys(path, f"{where}{other} is neither [picker] nor [reader]")
    for place in get_args(Place):
        for name, value in given.get(place, {}).items():
            where = _line(text, name, place)
            try:
                own[f"{place}.{name}"] = tuple(_keys(place, name, value))
            except ValueError as error:
                raise InvalidKeys(path, f"{where}{error}") from None
        if clash := _clash(place, own):
            key, *names = clash
            name = next(each for each in names if f"{place}.{each}" in own)
            other = next(each for each in names if each != name)
            raise InvalidKeys(
                path,
                f"{_line(text, name, place)}{shown(key)} is the key of {other} in [{place}]:"
                f" give {name} or {other} another one",
            )
    return own


def _keys(place: Place, name: str, value: Any) -> Iterator[str]:
    """The keys that a line of the file gives to an action. Raises ValueError if it does not."""
    names = {action.name: action for action in actions_of(place)}
    if name not in names:
        import difflib

        close = difflib.get_close_matches(name, names, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"[{place}] has no action {name}{meant}")
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ValueError(f'{name} needs a key, as in {name} = "f8", or a list of keys')
    for each in listed:
        key = _normalized(each)
        if key is None:
            raise ValueError(f"no key is called {each!r}")
        yield key


def _normalized(given: str) -> str | None:
    """A key as the table has it; None if there is none that terminals send."""
    if len(given) == 1 and given.isprintable():
        return "space" if given == " " else given
    *modifiers, last = given.lower().split("+")
    last = _ALIASES.get(last, last)
    if not {*modifiers} <= {*_ORDER} or len(modifiers) > len({*modifiers}):
        return None
    named = last in _NAMED
    letter = len(last) == 1 and last.isascii() and last.isalnum()
    if not modifiers:
        return last if named or last in _ALIASES.values() else None
    if letter and modifiers == ["shift"]:
        return last.upper() if last.isalpha() else None
    if not named and not (letter and modifiers in (["alt"], ["ctrl"])):
        return None
    if modifiers == ["ctrl"] and last.isdecimal():
        return None
    key = "+".join([*sorted(modifiers, key=_ORDER.index), last])
    return _SAME.get(key, key)


def _clash(place: Place, own: OwnKeys) -> list[str] | None:
    """A key of two actions, with their names."""
    taken: dict[str, str] = {}
    for action in actions_of(place):
        for key in keys_of(action, own):
            if taken.setdefault(key, action.name) != action.name:
                return [key, taken[key], action.name]
    return None


def _line(text: str, name: str, table: str | None = None) -> str:
    """Where a name is set in the file, or where the table begins that is called so, as the
    beginning of a sentence; empty if it is written in another way."""
    inside = None
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[+\s*[\"']?([^]\"']*?)[\"']?\s*\]", line)
        if head:
            inside = head[1]
        key = re.match(r"\s*[\"']?([^\"'=#]*?)[\"']?\s*=", line)
        found = inside == table and key and key[1] == name
        if found or (table is None and head and head[1] == name):
            return f"line {number}: "
    return ""


def _reason(message: str, text: str) -> str:
    """What is wrong with a file that is no TOML, with the line first."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message)
    if not found:
        return message
    return f"line {found[2] or len(text.splitlines())}: {found[1]}"
