"""Where things lie: the index of a home, the home's few settings that matter to it.

Standard library only; the quick path of one-shot commands runs through here.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

INDEX_NAME: Final = "index.sqlite3"
INPUTS_KEY: Final = "home_inputs"
"""In ``index_meta``: the files that names and the default provider were last settled by."""
JOURNAL_KEY: Final = "facts_journal"
"""In ``index_meta``: the journal of what users set that the index last followed."""
NO_JOURNAL: Final = "-"

Value = TypeVar("Value")
_NETWORK_TYPES: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs"}
)


def index_path(home: Path, state_dir: Path) -> Path:
    """The default place of a home's index below the user's state folder.

    Outside the home: homes may be read-only or on a network drive, and are not ours.
    """
    real = Path(os.path.realpath(home))
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    name = real.name.lstrip(".") or "home"
    return state_dir / "threadkeep" / f"{name}-{digest}" / INDEX_NAME


def moves_folder(index: Path) -> Path:
    """Where the moves stand that are under way at an index: see :mod:`state.sync.move_journal`."""
    return index.with_name(f"{index.name}.moves")


def moves_under_way(index: Path) -> bool:
    """Whether files are being moved, or were when a process was killed. Costs one look at a
    folder that usually is not there."""
    try:
        with os.scandir(moves_folder(index)) as found:
            return any(entry.name.endswith(".json") for entry in found)
    except OSError:
        return False


def journal_path(index: Path) -> Path:
    """Where the journal of the index at ``index`` lies: its own, as indexes of other homes may lie
    in the same folder."""
    name = index.name
    return index.with_name("facts.jsonl" if name == INDEX_NAME else f"{name}.facts.jsonl")


def journal_state(index: Path) -> str:
    """Identity of the journal: as long as it is the same, what users set is too."""
    try:
        info = journal_path(index).stat()
    except OSError:
        return NO_JOURNAL
    return f"{info.st_size}:{info.st_mtime_ns}:{info.st_ino}"


@lru_cache(maxsize=4096)
def clean_folder(folder: str) -> str:
    """A folder without what its spelling may have more or less of: trailing and doubled slashes,
    ``.`` and ``..``. The disk is not asked.

    Windows paths lose ``\\\\?\\`` and get ``/``, but for the two backslashes of a network share;
    backslashes and colons in other paths are letters.
    """
    if not folder:
        return ""
    verbatim = _VERBATIM.match(folder)
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
_VERBATIM: Final = re.compile(
    r"(?:\\\\[?.][\\/]|\\\?\?\\|//[?.]/(?=UNC/|[A-Za-z]:))(?P<share>UNC[\\/])?", re.IGNORECASE
)


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


def shown_folders(by_key: Mapping[str, Value], folders: Iterable[str]) -> dict[str, Value]:
    """Values by the keys of folders, by a spelling of each instead, the first of ``folders`` in
    order of text."""
    shown: dict[str, str] = {}
    for folder in set(folders):
        key, name = cwd_key(folder), shown_folder(folder)
        shown[key] = min(shown.get(key, name), name)
    return {shown.get(key, key): value for key, value in by_key.items()}


def spellings(folder: str) -> list[str]:
    """The folders that one given on a command line or by a client may stand for, cleaned: from the
    root as it is spelled, and where links lead.

    Raises:
        InvalidFolder: it is relative, and the current folder has been removed.
    """
    whole = absolute_folder(folder)
    found = [clean_folder(whole)]
    if not is_windows(found[0]):
        with suppress(OSError, ValueError):  # as a link that is not ours to read
            found.append(clean_folder(os.path.realpath(whole)))
        if folder.startswith("//"):  # as a share of Windows may be spelled
            found.append(clean_folder(f"\\\\{folder[2:]}"))
    return found


def absolute_folder(folder: str) -> str:
    """A folder as given on a command line, from the root; a Windows path is left as it is.

    Raises:
        InvalidFolder: it is relative, and the current folder has been removed.
    """
    if is_windows(clean_folder(folder)):
        return folder
    check_current_folder(folder)
    return os.path.abspath(folder)


def check_current_folder(path: Path | str) -> None:
    """See that a path means something.

    Raises:
        InvalidFolder: it is relative, and the current folder has been removed.
    """
    if not os.path.isabs(path):
        try:
            os.getcwd()
        except FileNotFoundError:
            from state.errors import InvalidFolder  # not on the quickest path, which comes here

            told = f"{str(path)!r} is relative, and the current folder has been removed"
            raise InvalidFolder(told) from None


def on_network_drive(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether ``folder`` lies on a network file system, where SQLite's WAL corrupts.

    False where the system does not tell (no ``/proc``).
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
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


REVISIONS: Final = (
    "v0001",
    "v0002",
    "v0003",
    "v0004",
    "v0005",
    "v0006",
    "v0007",
    "v0008",
    "v0009",
    "v0010",
)


"""Every released revision, oldest first."""


HEAD: Final = REVISIONS[-1]


"""Newest revision in ``migrations``; a test keeps the two equal."""
