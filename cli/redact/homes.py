"""Home folders that are not below ``/home`` or ``/Users``."""

import os
import re
from collections.abc import Iterator
from typing import Final

_PARENTS: Final = frozenset({"homes", "people", "users", "staff", "students"})
"""Folders that have home folders in them, if they are near the root."""
_DEEPEST: Final = 3
_OF_SYSTEMS: Final = re.compile(
    "(?:/(?:app|bin|dev|etc|home|mnt|nonexistent|opt|srv|tmp|usr|var(?:/tmp)?|work|workspace"
    "|Users)?)?"
)


def own_homes() -> Iterator[str]:
    """The home folder of this user, as it is named and as it really is."""
    home = os.path.expanduser("~")
    if os.path.isabs(home):
        yield from dict.fromkeys((os.path.normpath(home), os.path.realpath(home)))


def homes_of(folder: str, user: str) -> Iterator[tuple[str, str]]:
    """The home folders that a thread's folder or a folder of Codex is in, each with the name of its
    user, if that is known: the home of ``user``, one beside those of other people, and the one
    that has the folder of Codex."""
    parts = folder.rstrip("/").split("/")
    for place, part in enumerate(parts[1:], 1):
        above = parts[place - 1].lower()
        if part and (part == user or (above in _PARENTS and place <= _DEEPEST)):
            yield "/".join(parts[: place + 1]), part
    if len(parts) > 2 and parts[-1] == ".codex":
        yield "/".join(parts[:-1]), ""


def is_home(folder: str) -> bool:
    """Whether a folder can be somebody's home, rather than one of the system's."""
    return not _OF_SYSTEMS.fullmatch(folder)


def home_pattern(homes: "set[str]") -> "re.Pattern[str]":
    """Finds these folders, however their parts are separated."""
    longest_first = sorted(homes, key=len, reverse=True)
    folders = "|".join(
        re.escape(home[0]) + r"[\\/]+".join(map(re.escape, re.split(r"[\\/]+", home[1:])))
        for home in longest_first
    )
    return re.compile(rf"(?<![\w.-])(?:{folders})(?![\w-])")
