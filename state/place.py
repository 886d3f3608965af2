"""Where things lie: the index of a home, the home's few settings that matter to it.

Standard library only; the quick path of one-shot commands runs through here.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

DEFAULT_PROVIDER: Final = "openai"
"""What Codex uses when ``config.toml`` names no ``model_provider``."""

INDEX_NAME: Final = "index.sqlite3"
INPUTS_KEY: Final = "home_inputs"
"""In ``index_meta``: the files that names and the default provider were last settled by."""
JOURNAL_KEY: Final = "facts_journal"
"""In ``index_meta``: the journal of what users set that the index last followed."""
NO_JOURNAL: Final = "-"

_NETWORK_TYPES: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs"}
)


def index_path(home: Path, state_dir: Path) -> Path:
    """The default place of a home's index below the user's state folder.

    Outside the home: homes may be read-only or on a network drive, and are not ours.
    """
    real = home.resolve()
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    name = real.name.lstrip(".") or "home"
    return state_dir / "threadkeep" / f"{name}-{digest}" / INDEX_NAME


def moves_folder(index: Path) -> Path:
    """Where the moves stand that are under way at an index: see :mod:`state.journal`."""
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


def home_inputs(home: Path) -> str:
    """Identity of the files of a home, rollouts apart, that rows depend on.

    As long as it is the same, names and the default provider are too.
    """
    parts = []
    for name in ("session_index.jsonl", "config.toml"):
        try:
            info = (home / name).stat()
        except OSError:
            parts.append("-")
        else:
            parts.append(f"{info.st_size}:{info.st_mtime_ns}:{info.st_ino}")
    return " ".join(parts)


def default_provider(home: Path) -> str:
    """The provider that a thread without one counts for: ``config.toml``'s ``model_provider``."""
    import tomllib

    try:
        with (home / "config.toml").open("rb") as file:
            provider = tomllib.load(file).get("model_provider")
    except (OSError, ValueError, RecursionError):  # the last: thousands of brackets
        return DEFAULT_PROVIDER
    return provider if isinstance(provider, str) and provider else DEFAULT_PROVIDER


@lru_cache(maxsize=4096)
def cwd_key(cwd: str) -> str:
    """The form in which two spellings of one folder are equal, without asking the disk.

    Trailing and doubled slashes and ``.`` go; Windows paths lose ``\\\\?\\``, their backslashes
    and the case of the drive letter. Case is kept otherwise.
    """
    if cwd.startswith("\\\\?\\"):
        cwd = cwd[4:]
    if len(cwd) > 2 and cwd[1] == ":" and cwd[0].isascii() and cwd[0].isalpha() and cwd[2] in "\\/":
        cwd = cwd[0].lower() + cwd[1:].replace("\\", "/")
    return os.path.normpath(cwd) if cwd else ""


def absolute_folder(folder: str) -> str:
    """A folder as given on a command line, from the root; a Windows path is left as it is."""
    if folder.startswith("\\\\") or folder[1:3] in (":\\", ":/"):
        return folder
    return os.path.abspath(folder)


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
