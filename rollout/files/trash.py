"""The trash of a home: a folder for each delete, with the files under their old paths.

``.threadkeep-trash/<time>-<four letters>/manifest.jsonl`` says what was deleted, one thread a line.
A line is written before the files of its thread are moved. A thread is in the trash as long as its
files are there, whatever the manifest says. Earlier versions made a folder for each deleted thread,
with a ``manifest.json`` that has no titles; both can be read and restored.
"""

import os
import re
import secrets
import time
from calendar import timegm
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from rollout.files.access import is_there
from rollout.files.atomic import append_lines
from rollout.files.layout import ROOTS, is_archived, parse_uuid, thread_id_in_name

TRASH: Final = ".threadkeep-trash"
MANIFEST: Final = "manifest.jsonl"
EARLIER_MANIFEST: Final = "manifest.json"
EMPTYING: Final = ".emptying"
"""How the name of a folder ends that is being removed, or could not be."""
_VERSION: Final = 2
_SHORTEST_PREFIX: Final = 4
_STAMPED: Final = re.compile(r"\d{8}T")
_STAMP: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")


@dataclass(frozen=True, slots=True)
class TrashRecord:
    """What a manifest says of a thread, besides its files."""

    thread_id: str
    title: str = ""
    cwd: str = ""
    created_at_ms: int = 0
    recency_at_ms: int = 0
    parent_id: str | None = None
    """The thread that spawned it."""
    needs: tuple[str, ...] = ()
    """The threads or files that its history begins in, or that it is attached to."""


@dataclass(slots=True)
class TrashedThread:
    """A thread in the trash."""

    record: TrashRecord
    delete_id: str
    files: dict[str, int] = field(default_factory=dict)
    """The sizes of its files, by their old paths."""

    @property
    def thread_id(self) -> str:
        """Its id."""
        return self.record.thread_id

    @property
    def archived(self) -> bool:
        """Whether it was archived: where its files were says so."""
        return all(map(is_archived, self.files))

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(self.files.values())


@dataclass(slots=True)
class TrashFolder:
    """What one delete has put into the trash, and what is left of it."""

    delete_id: str
    """The name of the folder."""
    deleted_at_ms: int
    threads: list[TrashedThread] = field(default_factory=list)
    """The one that was used last comes first."""
    bytes: int = 0
    """The size of all files in the folder."""

    @property
    def path(self) -> str:
        """The folder, relative to the home."""
        return f"{TRASH}/{self.delete_id}"


def new_folder(home: Path) -> str:
    """The path of a new folder for a delete, relative to the home. Raises OSError if the trash
    cannot be accessed."""
    while True:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = f"{TRASH}/{stamp}-{secrets.token_hex(2)}"
        if not is_there(home / folder):
            return folder


def folder_of(path: str) -> str | None:
    """The folder of the trash that a path of the home is in."""
    first, _, rest = path.partition("/")
    return f"{TRASH}/{rest.partition('/')[0]}" if first == TRASH and rest else None


def write_records(
    home: Path, folder: str, threads: Sequence[tuple[TrashRecord, Sequence[tuple[str, int]]]]
) -> None:
    """Note in the manifest of a folder what is going to be moved there: the threads with the old
    paths and the sizes of their files. Raises OSError if that cannot be written."""
    lines = (
        orjson.dumps(
            {
                "v": _VERSION,
                "thread_id": record.thread_id,
                "title": record.title,
                "cwd": record.cwd,
                "created_at_ms": record.created_at_ms,
                "recency_at_ms": record.recency_at_ms,
                "archived": all(is_archived(path) for path, _ in files),
                "parent_thread_id": record.parent_id,
                "needs": record.needs,
                "files": [{"path": path, "bytes": size} for path, size in files],
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for record, files in threads
    )
    (home / folder).mkdir(parents=True, exist_ok=True)
    append_lines(home / folder / MANIFEST, b"".join(lines), mode=0o600)


def read_trash(home: Path) -> list[TrashFolder]:
    """The folders of the trash that hold files, the newest first. Raises OSError if one cannot be
    read."""
    found = [read_folder(home, name) for name in folder_names(home)]
    return [folder for folder in found if folder.threads]


def size_of_trash(home: Path) -> int:
    """The size of all files in the trash; of those that can be seen."""
    with suppress(OSError):
        return sum(size for _, size in _files(home / TRASH))
    return 0


def folder_names(home: Path) -> list[str]:
    """The names of the folders of the trash, the newest first. Raises OSError if the trash cannot
    be listed."""
    try:
        with os.scandir(home / TRASH) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(names, reverse=True)


def read_folder(home: Path, name: str) -> TrashFolder:
    """What is in a folder of the trash. Raises OSError if it cannot be read."""
    root = home / TRASH / name
    found = TrashFolder(name, _deleted_at_ms(root))
    records, owners = _read_manifests(root)
    threads: dict[str, TrashedThread] = {}
    for path, size in sorted(_files(root)):
        found.bytes += size
        owner = owners.get(path) or thread_id_in_name(path)
        if path.split("/", 1)[0] not in ROOTS or owner is None:
            continue
        if owner not in threads:
            threads[owner] = TrashedThread(records.get(owner, TrashRecord(owner)), name)
        threads[owner].files[path] = size
    found.threads = sorted(
        threads.values(), key=lambda t: (t.record.recency_at_ms, t.thread_id), reverse=True
    )
    return found


def threads_of_delete(folders: Iterable[TrashFolder], reference: str) -> list[TrashedThread]:
    """The threads of the deletes whose id is, or else begins with, ``reference``."""
    if not _STAMPED.match(reference):
        return []
    found = [folder for folder in folders if folder.delete_id.startswith(reference)]
    exact = [folder for folder in found if folder.delete_id == reference]
    return [thread for folder in exact or found for thread in folder.threads]


def matching(folders: Iterable[TrashFolder], reference: str) -> list[TrashedThread]:
    """The threads with this id, its beginning, or this title. Of a thread that was deleted more
    than once, what was deleted last."""
    known: dict[str, TrashedThread] = {}
    for folder in folders:
        for thread in folder.threads:
            known.setdefault(thread.thread_id, thread)
    prefix = parse_uuid(reference) or reference.lower()
    by_id = [known[id_] for id_ in sorted(known) if id_.startswith(prefix)]
    if by_id and len(prefix) >= _SHORTEST_PREFIX:
        return by_id
    return [thread for thread in known.values() if reference and thread.record.title == reference]


def tidy(home: Path, folder: str) -> None:
    """Remove the empty folders in a folder of the trash and, if no file but its manifest is left,
    the folder itself. What cannot be removed stays."""
    root = home / folder
    own = (MANIFEST, EARLIER_MANIFEST)
    left = False
    for below, _, files in os.walk(root, topdown=False):
        if Path(below) == root:
            left = left or any(name not in own for name in files)
        elif files:
            left = True
        else:
            with suppress(OSError):  # not empty
                os.rmdir(below)
    if left:
        return
    for name in own:
        with suppress(OSError):
            (root / name).unlink(missing_ok=True)
    for path in (root, home / TRASH):
        with suppress(OSError):  # not empty, or gone
            path.rmdir()


def _deleted_at_ms(root: Path) -> int:
    """When the threads in a folder were deleted: by its name or, if that tells no time, by its
    mtime; 0 if it is gone."""
    if stamp := _STAMP.match(root.name):
        with suppress(ValueError):  # no such day
            return timegm((*map(int, stamp.groups()), 0, 0, 0)) * 1000
    with suppress(FileNotFoundError):
        return int(root.lstat().st_mtime * 1000)
    return 0


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """The files in a folder with their sizes, by their paths in it."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for folder, _, names in os.walk(root, onerror=refuse):
        for name in names:
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):
                yield (
                    os.path.relpath(path, root) if folder != str(root) else name,
                    os.lstat(path).st_size,
                )


def _read_manifests(root: Path) -> tuple[dict[str, TrashRecord], dict[str, str]]:
    """What the manifests of a folder say of its threads, and whose each file is. Lines that cannot
    be read are skipped: the names of the files have the ids of their threads."""
    records: dict[str, TrashRecord] = {}
    owners: dict[str, str] = {}
    with suppress(FileNotFoundError), (root / MANIFEST).open("rb") as lines:
        for line in lines:
            value = _object(line)
            if thread_id := parse_uuid(value.get("thread_id")):
                records[thread_id] = _record(thread_id, value)
                owners |= _owned(value.get("files"), thread_id)
    with suppress(FileNotFoundError):
        for file in _list(_object((root / EARLIER_MANIFEST).read_bytes()).get("files")):
            if isinstance(file, dict) and (thread_id := parse_uuid(file.get("thread_id"))):
                owners |= _owned([file], thread_id)
    return records, owners


def _record(thread_id: str, value: dict[str, Any]) -> TrashRecord:
    def text(key: str) -> str:
        found = value.get(key)
        return found if isinstance(found, str) else ""

    def number(key: str) -> int:
        found = value.get(key)
        return found if isinstance(found, int) else 0

    return TrashRecord(
        thread_id,
        text("title"),
        text("cwd"),
        number("created_at_ms"),
        number("recency_at_ms"),
        parse_uuid(value.get("parent_thread_id")),
        tuple(each for each in _list(value.get("needs")) if isinstance(each, str)),
    )


def _owned(files: object, thread_id: str) -> dict[str, str]:
    paths = (file.get("path") for file in _list(files) if isinstance(file, dict))
    return {path: thread_id for path in paths if isinstance(path, str)}


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)  # it refuses what is nested too deeply, and lone surrogates
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
