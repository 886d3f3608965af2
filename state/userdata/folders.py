"""Folders: how they are spelled, which ones a folder's threads may be recorded under, and where a
folder is now that has moved.

Folders are cleaned and compared by their keys, so that what follows a Windows folder keeps its
case. An alias of a folder holds for everything below it. Standard library only; the quick path of
lists runs through here.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from state.errors import InvalidFolder, InvalidQuery

ALIASES_SQL: Final = "SELECT old, new FROM path_aliases WHERE new IS NOT NULL"

MOST_FOLDERS: Final = 1000
"""How many folders one folder may stand for."""


def origins(folders: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """The keys of ``folders``, and of every folder that aliases (old to new) lead to one of them
    from.

    Each alias counts once on the way to a folder, so that circles and folders that moved into
    their own parent come to an end. Raises InvalidQuery if they are more than ``MOST_FOLDERS``.
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


def tree_roots(folders: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """The keys of folders below which all is that is in ``folders`` or below them now, whether it
    has always been there or has moved there.

    Raises InvalidQuery if they are more than ``MOST_FOLDERS``.
    """
    given = list(folders)
    while True:
        roots = origins(given, aliases)
        added = [
            new
            for new in map(clean_folder, aliases.values())
            if cwd_key(new) not in roots and any(is_below(cwd_key(new), root) for root in roots)
        ]
        if not added:
            return roots
        given += added


def is_below(key: str, root: str) -> bool:
    """Whether the key of a folder is ``root``, or that of a folder below it."""
    return key == root or key.startswith(f"{root.rstrip('/')}/")


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
    """What follows ``above`` in ``folder``, with its slash; None if it is not there."""
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


@lru_cache(maxsize=4096)
def clean_folder(folder: str) -> str:
    """A folder without what its spelling may have more or less of: trailing and doubled slashes,
    ``.`` and ``..``. The disk is not asked.

    Windows paths lose ``\\\\?\\`` and get ``/``, but for the two backslashes of a network share;
    backslashes and colons in other paths are letters.
    """
    if not folder:
        return ""
    verbatim = re.match(_VERBATIM, folder, re.IGNORECASE)
    rest = folder[verbatim.end() :] if verbatim else folder
    if verbatim and verbatim["share"]:
        rest = f"\\\\{rest}"
    if _DRIVE.match(rest):
        below = rest[2:].replace("\\", "/")
        return f"{rest[0].upper()}:{_normal('/' + below)}"
    if verbatim and not verbatim["share"]:
        return f"\\\\?{_normal('/' + rest.replace(_BACKSLASH, '/'))}"
    if rest.startswith("\\\\"):
        return f"\\\\{_normal('/' + rest[2:].replace(_BACKSLASH, '/'))[1:]}"
    return _normal(rest)


_BACKSLASH: Final = "\\"
_DRIVE: Final = re.compile(r"[A-Za-z]:(?:[\\/]|$)")
_VERBATIM: Final = r"(?:\\\\[?.][\\/]|\\\?\?\\|//[?.]/(?=UNC/|[A-Za-z]:))(?P<share>UNC[\\/])?"


def _normal(path: str) -> str:
    path = os.path.normpath(path)
    return path[1:] if path.startswith("//") else path


def is_windows(clean: str) -> bool:
    """Whether a folder as :func:`clean_folder` gives it is a Windows one."""
    return clean.startswith("\\\\") or bool(_DRIVE.match(clean))


def shown_folder(folder: str) -> str:
    """A folder cleaned, for people: Windows ones with their backslashes."""
    clean = clean_folder(folder)
    return clean.replace("/", "\\") if is_windows(clean) else clean


@lru_cache(maxsize=4096)
def cwd_key(cwd: str) -> str:
    """The form in which two spellings of one folder are equal: cleaned, and without the case of a
    Windows path."""
    clean = clean_folder(cwd)
    return clean.lower() if is_windows(clean) else clean


def spellings(folder: str) -> list[str]:
    """The folders that one given on a command line or by a client may stand for, cleaned: from the
    root as it is spelled, and where links lead. Raises InvalidFolder if it is relative, and the
    current folder has been removed."""
    whole = absolute_folder(folder)
    found = [clean_folder(whole)]
    if not is_windows(found[0]):
        with suppress(OSError, ValueError):  # as a link that is not ours to read
            found.append(clean_folder(os.path.realpath(whole)))
        if folder.startswith("//"):  # as a share of Windows may be spelled
            found.append(clean_folder(f"\\\\{folder[2:]}"))
    return found


def absolute_folder(folder: str) -> str:
    """A folder as given on a command line, from the root; a Windows path is left as it is. Raises
    InvalidFolder if it is relative, and the current folder has been removed."""
    if is_windows(clean_folder(folder)):
        return folder
    check_current_folder(folder)
    return os.path.abspath(folder)


def check_current_folder(path: Path | str) -> None:
    """See that a path means something. Raises InvalidFolder if it is relative, and the current
    folder has been removed."""
    if not os.path.isabs(path):
        try:
            os.getcwd()
        except FileNotFoundError:
            raise InvalidFolder(
                f"{str(path)!r} is relative, and the current folder has been removed"
            ) from None
