"""Errors of the index, of threads and of Codex's database; ``cli/errors.py`` has their statuses."""

import re
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from rollout.files.access import refusing

SQLITE_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What Python raises for SQLite's errors: the second for a message that quotes broken UTF-8."""

SHORTEST_PREFIX: Final = 4
"""Fewer characters are not taken for the beginning of an id."""
ID_CHARACTERS: Final = frozenset("0123456789abcdef-")
POSITION: Final = re.compile(r"-[1-9]\d{0,5}", re.ASCII)
"""-1 is the thread that was used last, -2 the one before."""


class StateError(Exception):
    """Base of all errors about the index."""

    text: ClassVar[str] = "{}"
    """The message of an error whose base fills it in."""


class PathError(StateError):
    """Base of errors about one file, which need no other field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(self.text.format(path))


class FileError(StateError):
    """Base of errors about one file that have one reason."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(self.text.format(path, reason))


class ThreadError(StateError):
    """Base of errors about one thread, which need no other field."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        super().__init__(self.text.format(thread_id))


class ReasonError(StateError):
    """Base of errors that have one reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(self.text.format(reason))


class IndexTooNew(StateError):
    """A newer threadkeep made the index; it is refused, not guessed at."""

    def __init__(self, path: Path, found: str, known: str) -> None:
        self.path, self.found, self.known = path, found, known
        super().__init__(f"the index {path} has schema {found}; the newest known is {known}")


class IndexDamaged(FileError):
    """The file is not a usable index; everything in it can be rebuilt."""

    text = "the index {} is damaged: {}"


class IndexUnavailable(FileError):
    """The index cannot be opened or written where it is."""

    text = "the index {} cannot be used: {}"
    errno: int | None = None  # of a shortage that SQLite does not name


class IndexNotWritable(IndexUnavailable):
    """The index cannot be written: no permission, a read-only or full disk."""


class NotAnIndex(IndexUnavailable):
    """Another program's database is where the index should be; it is left alone."""


class InvalidPrices(FileError):
    """A user's list of prices cannot be used."""

    text = "the price list {} cannot be used: {}"


class IndexMissing(PathError):
    """There is no index, and the command does not create one."""

    text = "there is no index at {}"


class IndexBusy(StateError):
    """Another process held SQLite's write lock for longer than we wait."""

    def __init__(self, path: Path, waited_s: float) -> None:
        self.path, self.waited_s = path, waited_s
        super().__init__(f"the index {path} was locked by another process for {waited_s:g} s")


class IndexOnlyRead(IndexBusy):
    """The index was opened for reading, and would have to be written."""

    def __init__(self, path: Path) -> None:
        self.path, self.waited_s = path, 0.0
        StateError.__init__(self, f"the index {path} is only read")


class LeaseHeld(StateError):
    """Another worker holds the lease of a job and is not known to be dead."""

    def __init__(self, owner: str, expires_at_ms: int, job: str = "backfill") -> None:
        self.owner, self.expires_at_ms, self.job = owner, expires_at_ms, job
        super().__init__(f"a {job} is already running: {owner}")


class LeaseLost(StateError):
    """The lease of a job went to another worker; we have written nothing since."""

    def __init__(self, owner: str, job: str = "backfill") -> None:
        self.owner, self.job = owner, job
        super().__init__(f"another worker took over the {job} lease of {owner}")


class PlanOutdated(StateError):
    """The index has changed since a repair was planned; nothing was done."""

    def __init__(self, named: str | None, needed: str) -> None:
        self.named, self.needed = named, needed
        text = f"plan {named} is out of date: the current plan is {needed}"
        super().__init__(text if named else "the index keeps changing: other processes write to it")


class NoBackup(PathError):
    """There is no backup of the index to go back to."""

    text = "there is no backup of {}"


class CodexUnusable(FileError):
    """Codex's own database cannot be written: damaged, no permission, a full disk."""

    text = "Codex's database {} cannot be changed: {}"


class CodexSchemaUnknown(StateError):
    """The tables of Codex's database are not the known ones; it is left alone."""

    def __init__(self, path: Path, migrations: Collection[int], differences: Sequence[str]) -> None:
        self.path, self.migrations, self.differences = path, migrations, differences
        super().__init__(
            f"Codex's database {path} (migration {max(migrations, default=0)}) has a schema that"
            f" this threadkeep does not know: {differences[0]}; nothing was changed in it"
        )


class CodexLocked(PathError):
    """Another process has been writing Codex's database for too long."""

    text = "Codex's database {} is locked by another process; nothing was changed in it"


class CodexInUse(StateError):
    """Other processes have Codex's database open; it is left alone."""

    def __init__(self, path: Path, processes: Sequence[str]) -> None:
        self.path, self.processes = path, processes
        who = ", ".join(processes) or "an unknown process"
        super().__init__(f"Codex's database {path} is in use by {who}; nothing was changed")


class CodexChanged(PathError):
    """Codex's database has changed since the fix was planned; nothing was done."""

    text = "Codex's database {} has changed since the fix was planned; nothing was changed"


class CodexChangedSince(StateError):
    """Codex has written to its database since the fix: going back would lose that."""

    def __init__(self, path: Path, backup: Path) -> None:
        self.path, self.backup = path, backup
        super().__init__(
            f"Codex's database {path} has changed since the fix, and undoing the fix would lose"
            f" that; the copy from before the fix is {backup}"
        )


class NoCodexBackup(PathError):
    """There is no backup of Codex's database to go back to."""

    text = "there is no backup of Codex's database {}"


class InvalidCursor(StateError):
    """A cursor that is malformed or belongs to another sort, direction or filter."""

    def __init__(self, cursor: str, reason: str) -> None:
        self.cursor, self.reason = cursor, reason
        super().__init__(f"invalid cursor: {cursor} ({reason})")


class CursorNotInHistory(InvalidCursor):
    """A cursor to a position that the history of its thread does not have."""


class InvalidQuery(StateError):
    """Filters that contradict each other or have no meaning."""


class EmptySearch(InvalidQuery):
    """A search without anything to look for."""

    def __init__(self) -> None:
        super().__init__("there is nothing to search for: no letter, no digit and no symbol")


class ItemNotFound(InvalidQuery):
    """The item after which a page is to begin is not in the turn."""

    def __init__(self, turn_id: str, item_id: str) -> None:
        self.turn_id, self.item_id = turn_id, item_id
        super().__init__(f"turn {turn_id!r} has no item {item_id!r}")


class InvalidSql(ReasonError):
    """A query that SQLite refuses, or that would do more than read."""

    text = "the query failed: {}"


class InvalidFolder(StateError):
    """A text that cannot be the path of a folder."""


class HomeFolderUnknown(StateError):
    """A path begins with ``~``, which cannot be resolved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        unset = "HOME is not set, and the system does not know the user"
        why = unset if str(path).partition("/")[0] == "~" else "there is no such user"
        super().__init__(f"{path} cannot be resolved: {why}")


class AliasCycle(StateError):
    """A folder cannot have moved to where it came from."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new
        super().__init__(f"{old} cannot have moved to {new}: {new} already leads to it")


class AliasNotFound(PathError):
    """No alias says that this folder has moved."""

    text = "{} has no alias"


class BadDump(StateError):
    """A line of a dump cannot be used; nothing was restored."""

    def __init__(self, line: int, offset: int, reason: str) -> None:
        self.line, self.offset, self.reason = line, offset, reason
        super().__init__(f"nothing was restored: line {line}, at byte {offset}: {reason}")


class DumpTooNew(StateError):
    """A newer threadkeep made the dump; nothing was restored."""

    def __init__(self, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(f"the dump has version {found}; this threadkeep knows up to {known}")


class FileUnusable(FileError):
    """A file other than the index, or a folder, cannot be read or written."""

    text = "{} cannot be used: {}"

    @classmethod
    def of(cls, error: OSError, path: Path) -> "FileUnusable":
        """The system's ``error`` about the files that it names, or else about ``path``."""
        return cls(refusing(error, path), error.strerror or str(error))


class OutOfResources(ReasonError):
    """The system has no more of something: memory, descriptors, disk space."""

    text = "the operating system reported: {}"


class RecorderClosed(ThreadError):
    """A thread is no longer recorded."""

    text = "the recorder of thread {} is closed"


class RecorderFailed(StateError):
    """Items of a thread cannot be written now; they are kept, and tried again."""

    def __init__(self, path: Path, cause: Exception) -> None:
        self.path, self.cause, self.__cause__ = path, cause, cause
        reason = getattr(cause, "strerror", cause)
        super().__init__(f"{path} cannot be written; its new items are kept: {reason}")


class ThreadExists(ThreadError):
    """A new thread was given the id of an existing one."""

    text = "thread {} already exists"


class ThreadArchived(ThreadError):
    """An archived thread cannot be changed in this way."""

    text = "thread {} is archived"


class UnsupportedHistory(StateError):
    """A thread has a ``history_mode`` that this version does not know; nothing is written to it."""

    def __init__(self, thread_id: str, mode: object) -> None:
        self.thread_id, self.mode = thread_id, mode
        super().__init__(f"thread {thread_id} has the unknown history mode {mode!r}")


class InvalidName(ReasonError):
    """A name that no thread can have."""

    text = "the thread name {}"


class InvalidChange(StateError):
    """A change that changes nothing, or that cannot be stored."""


class InvalidMark(StateError):
    """A tag, note or status that no thread can have."""


class NotResumable(ReasonError):
    """A thread cannot be resumed here."""


class AlreadyArchived(ThreadError):
    """A thread to be archived already is."""

    text = "thread {} is already archived"


class NotArchived(ThreadError):
    """A thread to be taken out of the archive is not in it."""

    text = "thread {} is not archived"


class HasDependents(StateError):
    """A thread cannot be deleted: another one that stays needs it. ``how`` says what for."""

    def __init__(self, thread_id: str, other_id: str, how: str) -> None:
        self.thread_id, self.other_id, self.how = thread_id, other_id, how
        super().__init__(f"thread {thread_id} cannot be deleted: thread {other_id} {how}")


class TargetExists(StateError):
    """A thread's file cannot be moved: another file is there, or would be: one of ``rivals``."""

    def __init__(self, thread_id: str, path: Path, rivals: Sequence[str] = ()) -> None:
        self.thread_id, self.path, self.rivals = thread_id, path, rivals
        both = f"{' and '.join(rivals)} would both become {path}" if rivals else ""
        why = both or f"there is already a file at {path}"
        super().__init__(f"thread {thread_id} cannot be moved: {why}")


class CopyUnusable(StateError):
    """What a fleet has of a thread is damaged, or cannot be what it says."""

    def __init__(self, thread_id: str, machine: str, reason: str) -> None:
        self.thread_id, self.machine, self.reason = thread_id, machine, reason
        super().__init__(f"the copy of thread {thread_id} from machine {machine}: {reason}")


class ContentNotPushed(StateError):
    """A fleet has only the metadata of a thread; ``others`` are machines that pushed more of it."""

    def __init__(self, thread_id: str, machine: str, others: Sequence[str] = ()) -> None:
        self.thread_id, self.machine, self.others = thread_id, machine, tuple(others)
        super().__init__(f"machine {machine} has pushed only the metadata of thread {thread_id}")


class RolloutNotPushed(StateError):
    """A fleet has only the messages of a thread, which nothing can go on from."""

    def __init__(self, thread_id: str, machine: str) -> None:
        self.thread_id, self.machine = thread_id, machine
        super().__init__(f"machine {machine} has pushed only the messages of thread {thread_id}")


class ThreadIsHere(StateError):
    """A thread is to be pulled, and is here already, in another state."""

    def __init__(self, thread_id: str, machine: str, reason: str) -> None:
        self.thread_id, self.machine, self.reason = thread_id, machine, reason
        super().__init__(f"thread {thread_id} is here already: {reason}; nothing was changed")


class ThreadNotFound(StateError):
    """No thread has this id, prefix, name or path; ``close`` are the ids of similar ones."""

    def __init__(self, reference: str, close: Sequence[str] = ()) -> None:
        self.reference, self.close = reference, tuple(close)
        if POSITION.fullmatch(reference):
            fewer = f"threadkeep list has fewer than {reference[1:]} threads"
            super().__init__("threadkeep list has no threads" if reference == "-1" else fewer)
            return
        more = f"; similar: {', '.join(close)}" if close else ""
        if len(reference) < SHORTEST_PREFIX and ID_CHARACTERS.issuperset(reference.lower()):
            more += f"; a prefix needs at least {SHORTEST_PREFIX} characters"
        super().__init__(f"no thread matches {reference!r} (id, id prefix, name or path){more}")


class ThreadNotInFleet(ThreadNotFound):
    """No machine of a fleet has pushed such a thread."""


class ThreadInTrash(ThreadNotFound):
    """The thread of this id, prefix or title was deleted, and is in the trash."""

    def __init__(self, reference: str, thread_id: str, deleted_at_ms: int) -> None:
        self.reference, self.close = reference, ()
        self.thread_id, self.deleted_at_ms = thread_id, deleted_at_ms
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(deleted_at_ms // 1000))
        StateError.__init__(self, f"thread {thread_id} has been in the trash since {since}")


class NotInTrash(ThreadNotFound):
    """Nothing in the trash matches the reference."""

    def __init__(self, reference: str) -> None:
        self.reference, self.close = reference, ()
        StateError.__init__(
            self, f"nothing in the trash matches {reference!r} (id, id prefix, title or delete id)"
        )


class ThreadUnreadable(ThreadNotFound):
    """No thread can be read from the file of this id or path."""

    def __init__(self, reference: str, path: str, reason: str, offset: int) -> None:
        self.reference, self.close = reference, ()
        self.path, self.reason, self.offset = path, reason, offset
        StateError.__init__(self, f"nothing can be read from {path}: {reason} (at byte {offset})")


class AmbiguousThread(ThreadNotFound):
    """More than one thread matches the reference."""

    def __init__(
        self,
        reference: str,
        ids: Sequence[str],
        rows: Sequence[dict[str, Any]] = (),
        short_ids: Mapping[str, str] | None = None,
    ) -> None:
        self.reference, self.close = reference, ()
        self.ids, self.rows, self.short_ids = ids, rows, short_ids or {}
        self.summary = f"{reference!r} matches {len(ids)} threads"
        shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
        StateError.__init__(self, f"{self.summary}: {shown}")

    @property
    def by_id(self) -> bool:
        """Whether the reference is the beginning of all the ids."""
        return all(id_.startswith(self.reference.lower()) for id_ in self.ids)


class FleetError(ReasonError):
    """Base of errors about the PostgreSQL of a fleet."""


class FleetAddressInvalid(FleetError):
    """What is given is not the address of a database."""

    text = "the address of the fleet is invalid: {}"


class FleetDriverMissing(StateError):
    """psycopg, the driver for PostgreSQL, is not installed."""

    def __init__(self) -> None:
        super().__init__("fleets need psycopg, which is not installed")


class FleetUnavailable(FleetError):
    """PostgreSQL does not answer, or not now."""

    text = "the fleet cannot be reached: {}"


class FleetBusy(FleetUnavailable):
    """PostgreSQL has no connection to spare, or a statement takes too long."""

    text = "the fleet is busy: {}"


class FleetHeld(FleetUnavailable):
    """Another login holds rows or a table that are needed, and does not let go for long."""

    text = "somebody else holds what is needed in the fleet: {}"


class FleetLost(FleetUnavailable):
    """The connection ended in the middle of the work: what was not committed is undone."""

    text = "the connection to the fleet was lost: {}"


class FleetReadOnly(FleetUnavailable):
    """A standby, or a server that is set to read only, takes no changes."""

    text = "the fleet takes no changes: {}"


class FleetFull(FleetUnavailable):
    """The disk of the server is full."""

    text = "the fleet has no room: {}"


class FleetLoginRefused(FleetError):
    """PostgreSQL does not let this user in."""

    text = "the fleet refuses the login: {}"


class FleetCertificateRefused(FleetLoginRefused):
    """The certificate of the server, or that of this user, is not what the other side trusts."""

    text = "a certificate is refused: {}"


class FleetLoginRevoked(FleetLoginRefused):
    """The machine or reader was in the fleet, and is no longer let in."""

    text = "the login is revoked: {}"


class FleetLoginUnknown(FleetLoginRefused):
    """PostgreSQL lets this user in, who is neither a machine nor a reader of the fleet."""

    def __init__(self, role: str) -> None:
        super().__init__(f"{role} is neither a machine nor a reader of it, or was revoked")


class FleetDenied(FleetError):
    """A login may not do this."""

    text = "the fleet does not allow it: {}"


class FleetNotReadable(FleetError):
    """The login is that of a machine that only pushes."""

    text = "{} may push into the fleet, and may not read it"


class FleetDatabaseMissing(FleetError):
    """The server has no such database."""

    text = "{}"


class FleetMissing(FleetError):
    """The database is there, and holds no fleet."""

    text = "the database {} holds no fleet"


class FleetTooNew(StateError):
    """A newer threadkeep has upgraded the fleet; it is refused, not guessed at."""

    def __init__(self, found: str, known: str) -> None:
        self.found, self.known = found, known
        super().__init__(f"the fleet has schema {found}; the newest known is {known}")


class FleetTooOld(StateError):
    """The fleet has an older schema than this threadkeep needs."""

    def __init__(self, found: str, needed: str) -> None:
        self.found, self.needed = found, needed
        super().__init__(f"the fleet has schema {found}; this threadkeep needs {needed}")


class PostgresTooOld(StateError):
    """The server is older than a fleet needs."""

    def __init__(self, found: str, needed: str) -> None:
        self.found, self.needed = found, needed
        super().__init__(f"PostgreSQL {found} is too old: a fleet needs {needed} or newer")


class MachineTaken(StateError):
    """Another index pushes into the fleet as the same machine."""

    def __init__(self, name: str, other: str = "a copy of this index") -> None:
        self.name, self.other = name, other
        super().__init__(f"{other} pushes into the fleet as {name}, too")


class PushOvertaken(StateError):
    """Another push of the same machine got in between; nothing of the batch was written."""

    def __init__(self) -> None:
        super().__init__("another push of this machine is under way")


class FleetEncoding(StateError):
    """The database has another encoding than UTF-8."""

    def __init__(self, database: str, encoding: str) -> None:
        self.database, self.encoding = database, encoding
        super().__init__(f"the database {database} has the encoding {encoding}, not UTF8")


class FleetExtensionMissing(FleetError):
    """The server lacks an extension, or does not let this user create it."""

    text = "the extension pg_trgm cannot be created: {}"


class FleetFailed(FleetError):
    """PostgreSQL reports an error that has no class of its own."""

    text = "the fleet reports: {}"


class FleetLoginExists(StateError):
    """A machine, a reader or a role of this name is there already."""

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name
        super().__init__(f"there is already a {what} {name}")


class FleetLoginNotFound(StateError):
    """The fleet has no machine or reader of this name."""

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name
        super().__init__(f"the fleet has no {what} {name}")


class InvalidLoginName(ReasonError):
    """A name that no machine, reader, user or tenant can have."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise :class:`FileUnusable` for the system's errors about ``path`` or a file below it."""
    try:
        yield
    except OSError as error:
        raise FileUnusable.of(error, path) from error
