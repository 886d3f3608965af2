"""Our side of a comparison with Codex's database: threads and files as in our index."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from rollout.files.access import is_there
from rollout.files.layout import COMPRESSED_SUFFIX, ROOTS, logical_path
from state.thread_index import ThreadIndex
from state.userdata.marks import PINNED

_PINS: Final = f"SELECT thread_id, value NOT NULL FROM user_data WHERE key = '{PINNED}'"


class IndexedThread(NamedTuple):
    """The columns of our ``threads`` that are compared."""

    path: str
    title: str
    name: str | None
    history_mode: str
    flags: int
    pinned: bool | None = None
    """None if users never set it."""


class IndexedFile(NamedTuple):
    """The columns of our ``rollout_files`` that are needed."""

    thread_id: str | None
    bucket: str
    reason: str | None
    reason_offset: int | None
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class IndexSide:
    """One state of our index."""

    threads: dict[str, IndexedThread]
    files: dict[str, IndexedFile]


async def read_index_side(index: ThreadIndex) -> IndexSide:
    """The present state of ``index``."""
    columns = ", ".join(IndexedFile._fields)
    async with index.database.all_rows() as connection:
        threads = connection.execute(
            "SELECT id, rollout_path, title, name, history_mode, flags FROM threads"
        )
        async with threads as rows:
            ours = {row[0]: IndexedThread(*row[1:]) async for row in rows}
        async with connection.execute(_PINS) as rows:
            async for id_, pinned in rows:
                if id_ in ours:
                    ours[id_] = ours[id_]._replace(pinned=bool(pinned))
        async with connection.execute(f"SELECT path, {columns} FROM rollout_files") as rows:
            return IndexSide(ours, {row[0]: IndexedFile(*row[1:]) async for row in rows})


def absolute(home: Path, path: str) -> str:
    """A path of the index as Codex stores it."""
    return f"{home.resolve()}/{path}"


def file_exists(path: str) -> bool:
    """Whether there is a file at ``path``, plain or compressed."""
    if not os.path.isabs(path):
        return False  # Codex has absolute paths only; this one would mean our working folder
    try:
        return is_there(path) or is_there(_other_form(path))
    except ValueError:  # a NUL is in no file's name
        return False
    except OSError:
        return True  # what cannot be seen is not gone


def _other_form(path: str) -> str:
    logical = logical_path(path)
    return logical + COMPRESSED_SUFFIX if logical == path else logical


class FileLookup:
    """Finds the file of our index that a path of Codex's means, however it is spelled."""

    def __init__(self, home: Path, ours: IndexSide) -> None:
        real = home.resolve()
        self._roots = {f"{home}/": "", f"{real}/": ""}
        for root in ROOTS:
            self._roots[f"{(real / root).resolve()}/"] = f"{root}/"
        self._files = {logical_path(path): path for path in ours.files}
        self._folders: dict[str, str] = {}

    def named(self, path: str) -> str | None:
        """The path in the index, plain or compressed; None if it is not there."""
        found = self._below(path)
        if found is None and path.startswith("/") and "\0" not in path:
            found = self._below(self._real(path))
        return found

    def is_here(self, path: str) -> bool:
        """Whether it is in the rollout folders of this home, in the index or not."""
        folders = tuple(
            root if relative else f"{root}{name}/"
            for root, relative in self._roots.items()
            for name in ROOTS
        )
        return path.startswith(folders) or self._real(path).startswith(folders)

    def _real(self, path: str) -> str:
        """The path with the links in its folder resolved."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return f"{self._folders[folder]}/{name}"

    def _below(self, path: str) -> str | None:
        for root, relative in self._roots.items():
            if path.startswith(root):
                found = self._files.get(logical_path(relative + path[len(root) :]))
                if found is not None:
                    return found
        return None
