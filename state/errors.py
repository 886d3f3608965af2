"""What can go wrong with the index.

StateError
├ IndexTooNew(path, found, known)
├ IndexDamaged(path, reason)
├ IndexUnavailable(path, reason)
│ ├ IndexNotWritable(path, reason)
│ └ NotAnIndex(path, reason)
├ IndexMissing(path)
├ IndexBusy(path, waited_s)
├ LeaseHeld(owner, expires_at_ms)
├ LeaseLost(owner)
├ PlanOutdated(named, needed)
├ NoBackup(path)
├ RecorderClosed(thread_id)
├ RecorderFailed(path, cause)
├ CodexUnusable(path, reason)
├ CodexSchemaUnknown(path, migrations, differences)
├ CodexLocked(path)
├ CodexInUse(path, holders)
├ CodexChanged(path)
├ CodexChangedSince(path, backup)
├ NoCodexBackup(path)
├ ThreadExists(thread_id)
├ InvalidCursor(cursor, reason)
├ InvalidQuery(reason)
│ └ NothingToFind()
├ InvalidFolder(reason)
├ FolderUnknown(path)
├ InvalidSql(reason)
├ AliasCycle(old, new)
├ AliasNotFound(old)
├ BadDump(line, offset, reason)
├ DumpTooNew(found, known)
├ FileUnusable(path, reason)
├ SystemRefuses(reason)
├ ThreadArchived(thread_id)
├ UnsupportedHistory(thread_id, mode)
├ InvalidName(reason)
├ InvalidChange(reason)
├ NotResumable(reason)
├ AlreadyArchived(thread_id)
├ NotArchived(thread_id)
├ DependedOn(thread_id, other_id, how)
├ TargetExists(thread_id, path, rivals)
└ ThreadNotFound(reference)
  ├ ThreadUnreadable(reference, path, reason, offset)
  └ AmbiguousThread(reference, ids)
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SQLITE_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What Python raises for an error of SQLite: the second where the message itself, which may quote
a damaged database, is no UTF-8."""


class MalformedRow(sqlite3.DatabaseError):
    """A row of the index that is not as it was written: SQLite holds it for sound. It becomes
    :class:`IndexDamaged` where SQLite's own errors do."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is malformed")


class StateError(Exception):
    """Base of all errors about the index."""


class IndexTooNew(StateError):
    """The index was made by a newer threadkeep; it is refused, not guessed at."""

    def __init__(self, path: Path, found: str, known: str) -> None:
        self.path, self.found, self.known = path, found, known
        super().__init__(
            f"the index {path} has schema {found}; this threadkeep knows schemas up to {known}"
        )


class IndexDamaged(StateError):
    """The file is no usable SQLite database; it holds nothing that cannot be rebuilt."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the index {path} is damaged: {reason}")


class IndexUnavailable(StateError):
    """The index cannot be opened or written at its place."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the index {path} cannot be used: {reason}")


class IndexNotWritable(IndexUnavailable):
    """The index cannot be written: no permission, a read-only or full disk."""


class NotAnIndex(IndexUnavailable):
    """A database of another program lies where the index should be; it is left alone."""


class IndexMissing(StateError):
    """There is no index at the place, and the command makes none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is no index at {path}")


class IndexBusy(StateError):
    """Another process held SQLite's write lock for longer than we wait."""

    def __init__(self, path: Path, waited_s: float) -> None:
        self.path, self.waited_s = path, waited_s
        super().__init__(f"the index {path} was locked by another process for {waited_s:g} s")


class LeaseHeld(StateError):
    """Another worker holds the backfill lease and is not known to be dead."""

    def __init__(self, owner: str, expires_at_ms: int) -> None:
        self.owner, self.expires_at_ms = owner, expires_at_ms
        super().__init__(f"a backfill is under way: {owner}")


class LeaseLost(StateError):
    """The backfill lease went to another worker; nothing of ours was written since."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        super().__init__(f"the backfill lease of {owner} was taken over by another worker")


class PlanOutdated(StateError):
    """The index has changed since a repair was planned; nothing was done."""

    def __init__(self, named: str | None, needed: str) -> None:
        self.named, self.needed = named, needed
        if named is None:
            super().__init__("the index changes all the time: other processes are writing to it")
        else:
            super().__init__(f"plan {named} is out of date: what is needed now is plan {needed}")


class NoBackup(StateError):
    """There is no backup of the index to go back to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is no backup of {path}")


class RecorderClosed(StateError):
    """A thread is not being recorded any more."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"the recorder of thread {thread_id} is closed")


class RecorderFailed(StateError):
    """Items of a thread cannot be written now; they are kept, and tried again."""

    def __init__(self, path: Path, cause: Exception) -> None:
        self.path = path
        self.cause = cause
        reason = cause.strerror if isinstance(cause, OSError) else str(cause)
        super().__init__(f"{path} cannot be written, what waits is kept: {reason}")


class CodexUnusable(StateError):
    """Codex's own database cannot be written: damaged, no permission, a full disk."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"Codex's database {path} cannot be changed: {reason}")


class CodexSchemaUnknown(StateError):
    """The tables of Codex's database are not as they are known; it is left alone."""

    def __init__(self, path: Path, migrations: Collection[int], differences: Sequence[str]) -> None:
        self.path, self.migrations, self.differences = path, migrations, differences
        last = max(migrations, default=0)
        super().__init__(
            f"Codex's database {path} (migration {last}) is not as this threadkeep knows it:"
            f" {differences[0]}; nothing was changed in it"
        )


class CodexLocked(StateError):
    """Another process is writing Codex's database, and goes on for too long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"Codex's database {path} is locked by another process; nothing was changed in it"
        )


class CodexInUse(StateError):
    """Other processes have Codex's database open; it is left alone."""

    def __init__(self, path: Path, holders: Sequence[str]) -> None:
        self.path, self.holders = path, holders
        who = ", ".join(holders) or "a process that cannot be named"
        super().__init__(f"Codex's database {path} is in use by {who}; nothing was changed")


class CodexChanged(StateError):
    """Codex's database is no longer as it was when the fix was planned; nothing was done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"Codex's database {path} has changed meanwhile; nothing was changed")


class CodexChangedSince(StateError):
    """Codex has written to its database since the fix: going back would lose that."""

    def __init__(self, path: Path, backup: Path) -> None:
        self.path, self.backup = path, backup
        super().__init__(
            f"Codex's database {path} has changed since the fix, which going back would lose;"
            f" as it was before the fix, it lies at {backup}"
        )


class NoCodexBackup(StateError):
    """There is no backup of Codex's database to go back to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is no backup of Codex's database {path}")


class ThreadExists(StateError):
    """A new thread was to have the id of one that there is."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"there is a thread {thread_id} already")


class InvalidCursor(StateError):
    """A cursor that is malformed or belongs to another sort, direction or filter."""

    def __init__(self, cursor: str, reason: str) -> None:
        self.cursor, self.reason = cursor, reason
        super().__init__(f"invalid cursor: {cursor} ({reason})")


class CursorNotInHistory(InvalidCursor):
    """A cursor to a place that the history of its thread does not have."""


class InvalidQuery(StateError):
    """Filters that contradict each other or have no meaning."""


class EmptySearch(InvalidQuery):
    """A search without anything to look for."""

    def __init__(self) -> None:
        super().__init__("there is nothing to look for: no letter, no digit and no symbol")


class ItemNotFound(InvalidQuery):
    """The item that a page is to begin behind is none of the turn's."""

    def __init__(self, turn_id: str, item_id: str) -> None:
        self.turn_id, self.item_id = turn_id, item_id
        super().__init__(f"turn {turn_id!r} has no item {item_id!r}")


class InvalidSql(StateError):
    """A query that SQLite refuses, or that would do more than read."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the query fails: {reason}")


class InvalidFolder(StateError):
    """A text that can be the name of no folder."""


class HomeFolderUnknown(StateError):
    """A path begins with ``~``, and nobody knows where that is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        why = "HOME is not set, and the system does not know the user"
        if not str(path).startswith("~/") and str(path) != "~":
            why = "there is no such user"
        super().__init__(f"nobody knows where {path} is: {why}")


class AliasCycle(StateError):
    """A folder cannot have moved to where an alias says that it came from."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new
        super().__init__(f"{old} cannot have moved to {new}: that one leads to it already")


class AliasNotFound(StateError):
    """No alias says that this folder has moved."""

    def __init__(self, old: str) -> None:
        self.old = old
        super().__init__(f"no alias says that {old} has moved")


class BadDump(StateError):
    """A line of a dump that cannot be used; nothing of the dump was."""

    def __init__(self, line: int, offset: int, reason: str) -> None:
        self.line, self.offset, self.reason = line, offset, reason
        super().__init__(f"nothing was restored: line {line}, at byte {offset}: {reason}")


class DumpTooNew(StateError):
    """A newer threadkeep made the dump; nothing of it was used."""

    def __init__(self, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(f"the dump has version {found}; this threadkeep knows up to {known}")


class FileUnusable(StateError):
    """A file other than the index cannot be read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the file {path} cannot be used: {reason}")


class OutOfResources(StateError):
    """The system has no more of something: of memory, of descriptors, of room on a disk."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the system refuses: {reason}")


class ThreadArchived(StateError):
    """A thread cannot be changed in this way while it is archived."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"thread {thread_id} is archived")


class UnsupportedHistory(StateError):
    """A thread has a ``history_mode`` that this version does not know; nothing is written to it."""

    def __init__(self, thread_id: str, mode: object) -> None:
        self.thread_id, self.mode = thread_id, mode
        super().__init__(f"thread {thread_id} has the history mode {mode!r}, which is not known")


class InvalidName(StateError):
    """A name that no thread can have."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the thread name {reason}")


class InvalidChange(StateError):
    """A change that says nothing, or what cannot be said."""


class NotResumable(StateError):
    """A thread cannot be resumed here."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class AlreadyArchived(StateError):
    """A thread that is to be archived is."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"thread {thread_id} is archived already")


class NotArchived(StateError):
    """A thread that is to be taken out of the archive is not there."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(f"thread {thread_id} is not archived")


class HasDependents(StateError):
    """A thread cannot be deleted: another one that stays needs it. ``how`` says what for."""

    def __init__(self, thread_id: str, other_id: str, how: str) -> None:
        self.thread_id, self.other_id, self.how = thread_id, other_id, how
        super().__init__(f"thread {thread_id} cannot be deleted: thread {other_id} {how}")


class TargetExists(StateError):
    """A thread's file cannot be moved: another file lies there, or would: one of ``rivals``."""

    def __init__(self, thread_id: str, path: Path, rivals: Sequence[str] = ()) -> None:
        self.thread_id, self.path, self.rivals = thread_id, path, rivals
        why = f"there is a file already at {path}"
        if rivals:
            why = f"{' and '.join(rivals)} would both become {path}"
        super().__init__(f"thread {thread_id} cannot be moved: {why}")


class ThreadNotFound(StateError):
    """No thread has this id, prefix, name or path; ``close`` are the ids of similar ones."""

    def __init__(self, reference: str, close: Sequence[str] = ()) -> None:
        self.reference, self.close = reference, tuple(close)
        similar = f"; close to it: {', '.join(close)}" if close else ""
        super().__init__(f"no thread is called {reference!r}, by id, prefix, name or path{similar}")


class ThreadUnreadable(ThreadNotFound):
    """There is a file of this id or path, of which no thread can be made."""

    def __init__(self, reference: str, path: str, reason: str, offset: int) -> None:
        self.reference, self.close = reference, ()
        self.path, self.reason, self.offset = path, reason, offset
        StateError.__init__(self, f"nothing can be read of {path}: {reason} (at byte {offset})")


class AmbiguousThread(ThreadNotFound):
    """More than one thread fits the reference."""

    def __init__(self, reference: str, ids: list[str]) -> None:
        self.reference, self.ids = reference, ids
        shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
        StateError.__init__(self, f"{reference!r} fits {len(ids)} threads: {shown}")


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Tell in one way that a file below ``path`` cannot be read or written.

    Raises:
        FileUnusable: the system did not let us.
    """
    try:
        yield
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else path
        raise FileUnusable(place, error.strerror or str(error)) from error
