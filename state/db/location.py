"""Where the index of a home is, and the files beside it. It imports little."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from rollout.files.digest import sha256
from rollout.files.stamp import FileStamp

REVISIONS: Final = tuple(f"v{number:04}" for number in range(1, 20))
"""Every released revision of the schema, oldest first."""
HEAD: Final = REVISIONS[-1]
"""Newest revision in ``migrations``; a test keeps the two equal."""
INDEX_NAME: Final = "index.sqlite3"
INPUTS_KEY: Final = "home_inputs"
"""In ``index_meta``: the state of the files that names and the default provider were read from."""
JOURNAL_KEY: Final = "user_data_journal"
"""In ``index_meta``: the state of the user-data journal that was last applied."""
NO_JOURNAL: Final = "-"

_NETWORK_TYPES: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs"}
)


def index_path(home: Path, state_dir: Path) -> Path:
    """The default place of a home's index below the user's state folder.

    Outside the home: homes may be read-only or on a network drive, and are not ours.
    """
    real = Path(os.path.realpath(home))
    digest = sha256(os.fsencode(real)).hexdigest()[:12]
    name = real.name.lstrip(".") or "home"
    return state_dir / "threadkeep" / f"{name}-{digest}" / INDEX_NAME


def moves_folder(index: Path) -> Path:
    """Where the journal of moves under way is: see :mod:`state.sync.move_journal`."""
    return index.with_name(f"{index.name}.moves")


def moves_under_way(index: Path) -> bool:
    """Whether files are being moved, or were when a process was killed. It costs one look at a
    folder that usually does not exist."""
    try:
        with os.scandir(moves_folder(index)) as found:
            return any(entry.name.endswith(".json") for entry in found)
    except OSError:
        return False


def size_of(index: Path) -> int:
    """Bytes of an index, with what was written last, which may still be in the log beside it.
    Raises OSError if it cannot be looked at."""
    size = index.stat().st_size
    with suppress(FileNotFoundError):
        size += index.with_name(f"{index.name}-wal").stat().st_size
    return size


def journal_path(index: Path) -> Path:
    """Where the user-data journal of an index is. Each has its own, as indexes of other homes may
    be in the same folder."""
    name = index.name
    return index.with_name("facts.jsonl" if name == INDEX_NAME else f"{name}.facts.jsonl")


def journal_state(index: Path) -> str:
    """Changes whenever the user-data journal does."""
    try:
        return str(FileStamp.of(journal_path(index).stat()))
    except OSError:
        return NO_JOURNAL


def on_network_drive(folder: Path) -> bool:
    """Whether ``folder`` is on a network file system, where SQLite's WAL corrupts.

    False where the system does not say (no ``/proc``).
    """
    try:
        lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return False
    real = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].encode().decode("unicode_escape")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind in _NETWORK_TYPES
