"""Walk the rollout folders of a home: one stat a file, newest first."""

import os
import re
import stat
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.errors import HomeNotFound, NotACodexHome
from rollout.files.cancellation import check_cancelled
from rollout.files.layout import ROOTS
from rollout.files.stamp import NO_STAMP, FileStamp
from rollout.files.text import is_storable, printable_path

INACCESSIBLE: Final = "cannot be accessed"
"""How the reason begins if a file or folder exists but cannot be inspected: an unmounted drive, a
folder without permission. What is below it has not vanished."""


class FoundFile(NamedTuple):
    """One directory entry under the rollout folders.

    ``path`` is relative to the home. ``ignored`` says why it is no rollout; None for a regular
    file with a rollout's name.
    """

    path: str
    stamp: FileStamp
    ignored: str | None


def check_home(home: Path) -> None:
    """Raise :class:`HomeNotFound` unless ``home`` has at least one rollout folder.

    A home that exists but is still empty is fine: Codex creates its folders on demand. Raises
    OSError if it cannot be seen whether there is one.
    """
    try:
        found = stat.S_ISDIR(os.stat(home).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        found = False
    if not found:
        raise HomeNotFound(home)


def check_codex_home(home: Path) -> None:
    """As :func:`check_home`; also raise :class:`NotACodexHome` for a folder of something else. An
    empty one may become a home."""
    check_home(home)
    try:
        names = set(os.listdir(home))
    except OSError:
        return  # nobody can tell
    if (
        not names
        or not names.isdisjoint(_OF_A_HOME)
        or any(re.match(_OF_CODEX, each) for each in names)
    ):
        return
    above = [folder.parent for folder in (home, *home.parents) if folder.name in ROOTS]
    raise NotACodexHome(home, above[0] if above else None)


_OF_A_HOME: Final = {*ROOTS, "config.toml", "auth.json", "history.jsonl", "session_index.jsonl"}
_OF_CODEX: Final = r"state_\d+\.sqlite|\.?threadkeep"


Known = dict[str, tuple[Any, ...]]
"""By path what is known of it: the path, size, time and inode, and whether to give it all the
same."""


def scan_home(home: Path, known: Known | None = None) -> Iterator[FoundFile]:
    """Everything under ``sessions/`` and ``archived_sessions/``, newest name first. Files that are
    as they are ``known`` are taken out of it instead, which costs little more than a stat each.

    Lazy: the newest files come before the rest has been visited. Symbolic links below the two
    roots are not followed, as they may loop or leave the home. A folder that cannot be listed is
    one entry with its reason.
    """
    for root in ROOTS:
        yield from _walk(f"{home}/{root}", root, known or {})


def is_away(file: FoundFile) -> bool:
    """Whether an entry stands for what cannot be accessed now."""
    return file.ignored is not None and file.ignored.startswith(INACCESSIBLE)


def stat_file(home: Path, path: str) -> FoundFile | None:
    """The entry for one path as :func:`scan_home` would give it; None if it is gone."""
    try:
        info = os.lstat(os.path.join(home, path))  # an absolute path stays
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a NUL is in no file's name
        return None
    except OSError as error:
        return FoundFile(path, NO_STAMP, f"{INACCESSIBLE}: {error.strerror}")
    ignored = None if stat.S_ISREG(info.st_mode) else "not a regular file"
    return FoundFile(path, FileStamp.of(info), ignored)


def _walk(root: str, relative: str, known: Known) -> Iterator[FoundFile]:
    # A stack of its own: folders may be nested deeper than Python calls can be.
    open_folders = [_entries(root, relative, known)]
    while open_folders:
        for found in open_folders[-1]:
            if isinstance(found, FoundFile):
                yield found
            else:
                open_folders.append(_entries(*found, known))
                break
        else:
            open_folders.pop()


def _entries(folder: str, relative: str, known: Known) -> Iterator[FoundFile | tuple[str, str]]:
    """Files of one folder, and (path, relative path) of its folders, newest name first."""
    check_cancelled()
    try:
        # In an open folder the system finds a file faster than by its whole path.
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        yield FoundFile(relative, NO_STAMP, "a file where a folder should be")
        return
    except OSError as error:
        yield FoundFile(relative, NO_STAMP, f"{INACCESSIBLE}: {error.strerror}")
        return
    try:
        listed = _listed(number, folder, relative, known)
    except OSError as error:
        listed = [FoundFile(relative, NO_STAMP, f"{INACCESSIBLE}: {error.strerror}")]
    finally:
        os.close(number)
    yield from listed


def _listed(
    number: int, folder: str, relative: str, known: Known
) -> list[FoundFile | tuple[str, str]]:
    """As :func:`_entries`, of an open folder. Raises OSError if it cannot be listed."""
    with os.scandir(number) as found:
        entries = sorted(_changed(found, relative, known), key=attrgetter("name"), reverse=True)
    listed: list[FoundFile | tuple[str, str]] = []
    for entry in entries:
        name = entry.name
        path = f"{relative}/{name}"
        if not (path.isascii() or is_storable(path)):
            listed.append(FoundFile(printable_path(path), NO_STAMP, "name is not valid UTF-8"))
        elif entry.is_file(follow_symlinks=False):
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                listed.append(FoundFile(path, NO_STAMP, f"{INACCESSIBLE}: {error.strerror}"))
                continue
            reason = None if _is_rollout(name) else "not named rollout-*.jsonl"
            listed.append(FoundFile(path, FileStamp.of(info), reason))
        elif entry.is_dir(follow_symlinks=False):
            if _is_rollout(name):
                listed.append(FoundFile(path, NO_STAMP, "a folder with a rollout's name"))
            listed.append((f"{folder}/{name}", path))
        else:
            listed.append(FoundFile(path, NO_STAMP, _special(entry, f"{folder}/{name}")))
    return listed


def _changed(
    found: Iterator["os.DirEntry[str]"], relative: str, known: Known
) -> list["os.DirEntry[str]"]:
    """The entries of a folder that are not as they are known; the others are taken out there."""
    changed = []
    for entry in found:  # once for every file of a home: what is called here, costs
        before = known.pop(f"{relative}/{entry.name}", None)
        if before is not None:
            try:
                info = entry.stat(follow_symlinks=False)
                stamp = info.st_size, info.st_mtime_ns, info.st_ino
                if before[1:4] == stamp and not before[4]:
                    continue
            except OSError:
                pass
            known[before[0]] = before
        changed.append(entry)
    return changed


def _is_rollout(name: str) -> bool:
    # A cheap form of parse_name, as it runs once for every file.
    return name.startswith("rollout-") and name.endswith((".jsonl", ".jsonl.zst"))


def _special(entry: "os.DirEntry[str]", path: str) -> str:
    if not entry.is_symlink():
        return "not a regular file"
    try:
        os.stat(path)
    except OSError as error:
        return f"a symbolic link that leads nowhere: {error.strerror}"
    return "a symbolic link, which is not followed"
