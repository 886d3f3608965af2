"""Folders that have moved: which ones a folder's threads may be recorded under, and where a
folder is now.

All on keys (:func:`state.place.cwd_key`). An alias of a folder holds for all that is below it.
Standard library only; the quick path of lists runs through here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from state.errors import InvalidQuery

ALIASES_SQL: Final = "SELECT old_key, new_key FROM path_aliases WHERE new_key IS NOT NULL"

MOST_FOLDERS: Final = 1000
"""How many folders one folder may stand for."""


def origins(keys: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """``keys``, and every key that aliases (old to new) lead to one of them from.

    Each alias counts once on the way to a folder, so that circles and folders that moved into
    their own parent come to an end.

    Raises:
        InvalidQuery: they are more than ``MOST_FOLDERS``.
    """
    found = dict.fromkeys(keys, frozenset[str]())
    waiting = list(found)
    for key in waiting:
        for old, new in aliases.items():
            if old in found[key] or (rest := _below(key, new)) is None:
                continue
            origin = _joined(old, rest)
            if origin not in found:
                found[origin] = found[key] | {old}
                waiting.append(origin)
        if len(found) > MOST_FOLDERS:
            raise InvalidQuery(f"more than {MOST_FOLDERS} relinked folders lead to {keys[0]}")
    return waiting


def moved_to(key: str, aliases: Mapping[str, str]) -> str:
    """Where the folder ``key`` is now: itself if no alias knows of it."""
    left = dict(aliases)
    while fitting := [old for old in left if _below(key, old) is not None]:
        nearest = max(fitting, key=len)
        key = _joined(left.pop(nearest), _below(key, nearest) or "")
    return key


def _below(key: str, folder: str) -> str | None:
    """What follows ``folder`` in ``key``, with its slash; None if it does not lie there."""
    if key == folder:
        return ""
    stem = folder.rstrip("/")
    return key[len(stem) :] if key.startswith(f"{stem}/") else None


def _joined(folder: str, rest: str) -> str:
    return (folder.rstrip("/") + rest) or folder
