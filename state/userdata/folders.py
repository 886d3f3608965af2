"""Folders that have moved: which ones a folder's threads may be recorded under, and where a
folder is now.

Folders are cleaned (:func:`state.db.location.clean_folder`) and compared by their keys, so that
what follows a Windows folder keeps its case. An alias of a folder holds for all that is below it.
Standard library only; the quick path of lists runs through here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from state.db.location import clean_folder, cwd_key
from state.errors import InvalidQuery

ALIASES_SQL: Final = "SELECT old, new FROM path_aliases WHERE new IS NOT NULL"

MOST_FOLDERS: Final = 1000
"""How many folders one folder may stand for."""


def origins(folders: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """The keys of ``folders``, and of every folder that aliases (old to new) lead to one of them
    from.

    Each alias counts once on the way to a folder, so that circles and folders that moved into
    their own parent come to an end.

    Raises:
        InvalidQuery: they are more than ``MOST_FOLDERS``.
    """
    moves = [(clean_folder(old), clean_folder(new)) for old, new in aliases.items()]
    waiting = list({cwd_key(folder): folder for folder in map(clean_folder, folders)}.values())
    found = {cwd_key(folder): frozenset[str]() for folder in waiting}
    for folder in waiting:
        way = found[cwd_key(folder)]
        for old, new in moves:
            if old in way or (rest := _below(folder, new)) is None:
                continue
            origin = _joined(old, rest)
            if (key := cwd_key(origin)) not in found:
                found[key] = way | {old}
                waiting.append(origin)
        if len(found) > MOST_FOLDERS:
            raise InvalidQuery(f"more than {MOST_FOLDERS} relinked folders lead to {folders[0]}")
    return list(found)


def moved_to(folder: str, aliases: Mapping[str, str]) -> str:
    """Where a folder is now, cleaned: itself if no alias knows of it."""
    folder = clean_folder(folder)
    left = {clean_folder(old): clean_folder(new) for old, new in aliases.items()}
    while fitting := [old for old in left if _below(folder, old) is not None]:
        nearest = max(fitting, key=len)
        rest = _below(folder, nearest) or ""
        folder = _joined(left.pop(nearest), rest)
    return folder


def _below(folder: str, above: str) -> str | None:
    """What follows ``above`` in ``folder``, with its slash; None if it does not lie there."""
    key, stem = cwd_key(folder), cwd_key(above)
    if key == stem:
        return ""
    stem = stem.rstrip("/")
    if not key.startswith(f"{stem}/"):
        return None
    names = key[len(stem) :].count("/")
    return "/" + "/".join(folder.split("/")[-names:])


def _joined(folder: str, rest: str) -> str:
    return (folder.rstrip("/") + rest) or folder
