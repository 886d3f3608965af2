"""The repository that a folder belongs to: by the address of its origin, and by what is on disk.

A repository has a *place*: ``host/owner/name`` by its origin, else the path of its main folder.
Threads of all its clones and worktrees have the same one.
"""

import os
import re
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple

from state.userdata.folders import clean_folder, is_windows

_LONGEST_LINK: Final = 2**14
_LONGEST_CONFIG: Final = 2**20
_SCP: Final = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:\[\]]+|\[[^\]/]+\]):(?P<path>.*)", re.DOTALL)
_PORT: Final = re.compile(r":\d*$")
_WORKTREE: Final = re.compile(r"(?P<common>.+)/worktrees/[^/]+/?", re.DOTALL)


@lru_cache(maxsize=4096)
def origin_place(url: str) -> str:
    """The place of a repository with this origin; empty if the address says nothing by itself, as a
    relative path.

    All spellings of one address have the same place, but for the case of letters: URLs of any
    scheme, ``user@host:path``, with or without credentials, port and ``.git``.
    """
    text = url.strip()
    scheme, is_url, rest = text.partition("://")
    if is_url and scheme.lower() != "file":
        server, _, path = rest.partition("/")
        host = _PORT.sub("", server.rpartition("@")[2])
    elif is_url or text.startswith("/") or is_windows(clean_folder(text)):
        place = main_folder(rest[rest.find("/") :] if is_url else text)
        return "" if place == "/" else place
    elif scp := _SCP.fullmatch(text):
        host, path = scp["host"], scp["path"]
    else:
        return ""
    names = [name for name in path.split("/") if name]
    if names:
        names[-1] = names[-1].removesuffix(".git")
    return "/".join([host.lower(), *names]) if host and any(names) else ""


def main_folder(git_folder: str) -> str:
    """The folder that a repository is called by, from that of its data: ``/api`` for ``/api/.git``
    and ``/api/.bare``, and for a bare ``/api.git``."""
    clean = clean_folder(git_folder)
    above, _, name = clean.rpartition("/")
    if name.startswith(".") and above:
        return above
    return clean.removesuffix(".git").rstrip("/") or clean


class Found(NamedTuple):
    """A repository on disk."""

    folder: str
    """The folder that it is called by."""
    data: str
    """Where its data are, also those that all its worktrees share."""


class Disk:
    """Repositories on disk. Each folder is looked at once."""

    def __init__(self) -> None:
        self._found: dict[str, Found | None] = {}
        self._origins: dict[Found, str] = {}

    def repository(self, folder: str) -> Found | None:
        """The repository that a cleaned folder is in, which may be gone itself."""
        if not folder.startswith("/"):
            return None  # as a Windows folder
        passed: list[str] = []
        found = None
        while folder not in self._found:
            passed.append(folder)
            if (found := _repository_at(folder)) or folder == "/":
                break
            folder = os.path.dirname(folder)
        else:
            found = self._found[folder]
        self._found |= dict.fromkeys(passed, found)
        return found

    def repository_at(self, folder: str) -> Found | None:
        """The repository that is called by a folder, bare ones, too."""
        if not folder.startswith("/"):
            return None
        if os.path.isfile(f"{folder}.git/HEAD"):
            return Found(folder, f"{folder}.git")
        return _repository_at(folder)

    def origin(self, repository: Found) -> str:
        """The address of a repository's ``origin`` as it is configured; empty without one."""
        if repository not in self._origins:
            self._origins[repository] = _configured_origin(repository.data)
        return self._origins[repository]


class NoDisk(Disk):
    """What is known of the disks of other machines."""

    def repository(self, folder: str) -> Found | None:
        """None."""
        return None

    def repository_at(self, folder: str) -> Found | None:
        """None."""
        return None


def _configured_origin(data: str) -> str:
    section = ""
    for line in _text(f"{data}/config", _LONGEST_CONFIG).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.partition("]")[0]
        name, _, value = line.partition("=")
        if section == '[remote "origin"' and name.strip().lower() == "url":
            return value.strip().strip('"')
    return ""


def _repository_at(folder: str) -> Found | None:
    """The repository whose ``.git`` is in a folder."""
    git = f"{folder.rstrip('/')}/.git"
    if not os.path.exists(git):
        return None
    if os.path.isfile(f"{git}/HEAD"):
        real = os.path.realpath(git)
        return Found(main_folder(real), real)
    kind, _, link = _text(git, _LONGEST_LINK).partition(":")
    data = os.path.normpath(os.path.join(folder, link.strip()))
    if kind != "gitdir" or not link.strip():
        return None
    if common := _text(f"{data}/commondir", _LONGEST_LINK).strip():
        data = os.path.realpath(os.path.join(data, common))
        return Found(main_folder(data), data)
    if not os.path.exists(data) and (worktree := _WORKTREE.fullmatch(data)):
        # Its repository was moved or removed: the link still tells where it was.
        return Found(main_folder(worktree["common"]), worktree["common"])
    return Found(os.path.realpath(folder), data)  # as of a submodule


def _text(path: str, most: int) -> str:
    if not os.path.isfile(path):
        return ""
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read(most)
    return ""
