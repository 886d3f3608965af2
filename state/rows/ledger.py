"""The ledger of files, and how a scan of the home differs from it."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout.files.access import can_be_read
from rollout.files.scan import FoundFile, Known, is_away, scan_home
from rollout.files.stamp import FileStamp
from rollout.metadata.version import EXTRACTOR_VERSION

if TYPE_CHECKING:
    from state.jobs.progress import Away

_RETRY: Final = 1
LEDGER_SQL: Final = (
    f"SELECT path, size_bytes, mtime_ns, inode, CASE WHEN retry THEN {_RETRY}"
    f" ELSE 2 * (extractor_version <> {EXTRACTOR_VERSION}) END, reason FROM rollout_files"
)
"""The fifth column tells whether a file is read even if it has not changed."""

NAMED_SQL: Final = (
    "SELECT path, size_bytes, thread_id FROM rollout_files WHERE thread_id = ?",
    "SELECT path, size_bytes, thread_id FROM rollout_files WHERE instr(path, ?)",
)
"""How to find the file with a rollout id in its name. Most have the id of their thread; the others
are looked for in all names."""


def stamp_of(row: Mapping[str, Any] | sqlite3.Row) -> FileStamp:
    """The stamp in a row of ``rollout_files`` or ``threads``."""
    return FileStamp(row["size_bytes"], row["mtime_ns"], row["inode"])


Ledger = Known
"""The rows of ``LEDGER_SQL`` by their path."""


@dataclass(slots=True, eq=False, repr=False)
class Changes:
    """What the index has to catch up with."""

    to_read: list[FoundFile] = field(default_factory=list)
    """New and changed files, newest name first."""
    known: int = 0
    """Entries that the ledger had."""
    ignored: list[FoundFile] = field(default_factory=list)
    """New or changed entries that are no rollouts: they go into the ledger alone."""
    vanished: list[str] = field(default_factory=list)
    retried: set[str] = field(default_factory=set)
    """Those of ``to_read`` that are only tried again, as their permission may be back."""
    away: list[FoundFile] = field(default_factory=list)
    """What cannot be accessed, mostly folders: the index keeps what it has of them."""
    moved_from: dict[str, str] = field(default_factory=dict)
    """The earlier paths of files in ``to_read`` that were moved."""
    files: int = 0
    """Entries that the scan found."""
    reread: bool = False
    """Whether files are read whole, also those that have only grown."""

    def __bool__(self) -> bool:
        return bool(self.to_read or self.ignored or self.vanished)


def compare_with_ledger(
    scanned: Iterable[FoundFile], ledger: Ledger, *, reread: bool = False
) -> Changes:
    """Compare a scan with the ledger, from which it takes what it meets.

    With ``reread`` every rollout is read whole.
    """
    changes = Changes(known=len(ledger), reread=reread)
    added: list[FoundFile] = []
    new = 0
    for file in scanned:
        path, stamp, ignored = file
        before = ledger.pop(path, None)
        new += before is None
        if ignored is not None:
            away = is_away(file)
            if away:
                changes.away.append(file)
            if before is None or (before[5] != ignored and not away):
                changes.ignored.append(file)
        elif before is None:
            added.append(file)
            changes.to_read.append(file)
        elif reread or before[1:4] != stamp or before[4]:
            changes.to_read.append(file)
            if before[1:4] == stamp and before[4] == _RETRY:
                changes.retried.add(path)
    changes.files = changes.known - len(ledger) + new
    # Files in a folder that cannot be listed now have not vanished.
    hidden = tuple(f"{file.path}/" for file in changes.away)
    gone = {path: row for path, row in ledger.items() if not path.startswith(hidden)}
    changes.vanished = list(gone)
    if gone and added:
        by_stamp = {row[1:4]: path for path, row in gone.items()}
        for file in added:
            old = by_stamp.get(file.stamp)
            if old is not None:
                changes.moved_from[file.path] = old
    changes.to_read.sort(key=newest_first, reverse=True)
    return changes


def ledger_of(rows: Sequence[tuple[Any, ...]]) -> Ledger:
    """The ledger in all rows of ``LEDGER_SQL``."""
    return dict(zip(map(itemgetter(0), rows), rows, strict=True))


def scan_changes(home: Path, ledger: Ledger, *, reread: bool = False) -> Changes:
    """How a scan of ``home`` differs from the ledger, from which it takes what it meets."""
    scanned = scan_home(home, None if reread else ledger)
    return compare_with_ledger(scanned, ledger, reread=reread)


def away_in(changes: Changes) -> "list[Away]":
    """What a scan could not access, and why."""
    from state.jobs.progress import Away

    return [Away(file.path, str(file.ignored)) for file in changes.away]


def leave_out_unreadable(home: Path, changes: Changes) -> None:
    """Drop from ``to_read`` what a sync would try again in vain, as it still cannot be read."""
    vain = {path for path in changes.retried if not can_be_read(home / path)}
    changes.to_read = [file for file in changes.to_read if file.path not in vain]


def newest_first(file: FoundFile) -> tuple[str, str]:
    """Sort key: the time in the name, across both folders."""
    return (file.path.rsplit("/", 1)[-1], file.path)


def watermark(file: FoundFile) -> str:
    """The mark of a job that goes newest first and has done ``file``."""
    return " ".join(newest_first(file))
