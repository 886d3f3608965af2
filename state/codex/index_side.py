"""Our side of a comparison with Codex's database: threads and files as our index has them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from rollout.files.layout import COMPRESSED_SUFFIX, ROOTS, logical_path
from state.db.schema import rollout_files, threads
from state.thread_index import ThreadIndex


class IndexedThread(NamedTuple):
    """What is compared of a row of our ``threads``."""

    path: str
    title: str
    name: str | None
    history_mode: str
    fold_flags: int


class IndexedFile(NamedTuple):
    """What is needed of a row of our ledger."""

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
    """What ``index`` says now."""
    t, f = threads.c, rollout_files.c
    async with index.database.read() as connection:
        rows = await connection.execute(
            sa.select(t.id, t.rollout_path, t.title, t.name, t.history_mode, t.fold_flags)
        )
        ours = {row[0]: IndexedThread(*tuple(row)[1:]) for row in rows}
        rows = await connection.execute(
            sa.select(f.path, f.thread_id, f.bucket, f.reason, f.reason_offset, f.mtime_ns)
        )
        return IndexSide(ours, {row[0]: IndexedFile(*tuple(row)[1:]) for row in rows})


def absolute(home: Path, path: str) -> str:
    """A path of ours as Codex stores it."""
    return f"{home.resolve()}/{path}"


def file_exists(path: str) -> bool:
    """Whether the file at ``path`` is there, plain or compressed."""
    if not os.path.isabs(path):
        return False  # Codex has absolute paths only; ours would be taken from where we run
    return os.path.exists(path) or os.path.exists(_other_form(path))


def _other_form(path: str) -> str:
    logical = logical_path(path)
    return logical + COMPRESSED_SUFFIX if logical == path else logical


class FileLookup:
    """Which file of our ledger a path of Codex's means, however it is spelled."""

    def __init__(self, home: Path, ours: IndexSide) -> None:
        real = home.resolve()
        self._roots = {f"{home}/": "", f"{real}/": ""}
        for root in ROOTS:
            self._roots[f"{(real / root).resolve()}/"] = f"{root}/"
        self._files = {logical_path(path): path for path in ours.files}
        self._folders: dict[str, str] = {}

    def named(self, path: str) -> str | None:
        """The path that the ledger has for it, plain or compressed; None if it has none."""
        found = self._below(path)
        if found is None and path.startswith("/") and "\0" not in path:
            found = self._below(self._real(path))
        return found

    def is_here(self, path: str) -> bool:
        """Whether it lies where this home has its rollouts, in the ledger or not."""
        places = tuple(
            root if relative else f"{root}{name}/"
            for root, relative in self._roots.items()
            for name in ROOTS
        )
        return path.startswith(places) or self._real(path).startswith(places)

    def _real(self, path: str) -> str:
        """A path without links in its folder."""
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
