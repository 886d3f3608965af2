"""The one table of our errors: exit status, kind, and a hint with the next thing to do."""

import errno
import os
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.errors import RolloutError
from state import errors

OK: Final = 0
NO_MATCH: Final = 1
FINDINGS: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
TOO_NEW: Final = 4
BUSY: Final = 5
SOME_UNREADABLE: Final = 6
CODEX_NOT_UPDATED: Final = 6
DAMAGED: Final = 7
INTERRUPTED: Final = 130

NOT_INDEXED: Final = (
    "Another process has locked the index. The change is made, and lists show it a little later."
)


class WrongUsage(errors.StateError):
    """Words that are no command, or not what it takes; with what to type instead."""

    def __init__(self, problem: str, hint: str) -> None:
        self.hint = hint
        super().__init__(problem)


class CodexNotRunnable(errors.NotResumable):
    """``resume --exec`` finds no Codex, or one that cannot be run."""


class InvalidKeys(errors.FileError):
    """A user's file of keys cannot be used."""

    text = "the key file {} cannot be used: {}"


class NoRegularFile(errors.StateError):
    """A file is to be replaced, and something else is there: ``what``."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is {what}, and is not replaced by a file")


class Outcome(NamedTuple):
    """How the command line reports an error."""

    status: int
    kind: str
    hint: str
    retryable: bool = False


_TABLE: Final = """
not_found HomeNotFound       name the folder with --home or CODEX_HOME
not_found NotACodexHome      name the folder that holds sessions with --home or CODEX_HOME
usage     WrongUsage         threadkeep COMMAND -h shows what a command takes
usage     AmbiguousThread    give more characters of the id
not_found ThreadNotFound     threadkeep list --all --all-sources shows all threads (add --archived
                             for the archive)
not_found ThreadNotInFleet   threadkeep list --fleet --all --all-sources shows all threads (add
                             --archived for the archive)
not_found ThreadInTrash      threadkeep trash restore puts it back
not_found NotInTrash         threadkeep trash lists what is there
damaged   ThreadUnreadable   threadkeep explain shows what is wrong with it
usage     InvalidCursor      start without --cursor, or repeat the options it came from
usage     InvalidQuery       correct the value that the message names
usage     InvalidPrices      correct or remove the file; threadkeep help cost shows an example
usage     InvalidKeys        correct or remove that line; threadkeep help browsing lists the actions
usage     EmptySearch        give words, beginnings of words (word*) or "phrases"; --literal takes
                             any text
usage     InvalidSql         threadkeep help schema describes the views, with examples
usage     HomeFolderUnknown  set HOME, or give both --home (CODEX_HOME) and --db (THREADKEEP_DB)
usage     InvalidFolder      give an absolute path, such as /home/me/demo
usage     AliasCycle         threadkeep relink shows the moved folders, --remove forgets one
not_found AliasNotFound      threadkeep relink shows the moved folders
usage     BadDump            correct or remove that line, then restore again
too_new   DumpTooNew         update threadkeep, then restore again
damaged*  OutOfResources     raise the limit, then try again
damaged   FileUnusable       make it readable and writable
usage     ThreadArchived     threadkeep unarchive restores it from the archive
too_new   UnsupportedHistory update threadkeep; reading and listing still work
usage     InvalidName        give a name with a letter in it
usage     InvalidChange      threadkeep git-info --clear-sha, --clear-branch or --clear-origin
                             removes a value
usage     InvalidMark        threadkeep tag -h, note -h and mark -h show what can be set
not_found NotResumable       threadkeep relink OLD NEW records where a folder is now; without
                             --exec, a command is printed that asks for one
not_found CodexNotRunnable   install Codex, or put the folder of one that runs on PATH; without
                             --exec the command is only printed
not_found TurnNotFound       threadkeep show THREAD --outline lists its turns
usage     AmbiguousTurn      give more characters of its id, or its number: --turn 1, --turn=-1
usage     TurnUnfinished     fork up to it with --before-turn, or the whole thread
damaged   NotAppendable      threadkeep explain shows what is wrong with its file
damaged   HistoryIncomplete  threadkeep explain shows what is wrong with it
too_new   HistoryUnknown     update threadkeep; show --meta shows its metadata
damaged   DamagedCompression threadkeep explain shows what is wrong with it
usage     AlreadyArchived    threadkeep unarchive restores it from the archive
usage     NotArchived        threadkeep list --archived shows the archived threads
usage     HasDependents      delete that thread too, in the same command, or archive this one
damaged   TargetExists       compare both files (threadkeep show --meta names those of a thread) and
                             move one away
busy*     WriterActive       close it in the program that has it open
too_new   IndexTooNew        update threadkeep, or name another index with --db
damaged   IndexDamaged       threadkeep reindex builds a new one from the rollouts, which are
                             untouched
damaged   IndexUnavailable   name a writable file with --db or THREADKEEP_DB
not_found IndexMissing       threadkeep backfill makes one
damaged   IndexNotWritable   make its folder writable, or name another file with --db
damaged   NotAnIndex         name another file with --db; this one stays as it is
busy*     IndexBusy          try again in a moment
busy*     LeaseHeld          threadkeep status shows its progress
busy*     LeaseLost          the other worker finishes the job
busy*     PlanOutdated       threadkeep repair shows the current plan
not_found NoBackup           threadkeep repair --apply makes one before each change
damaged   CodexUnusable      threadkeep codex-check shows more, and what Codex does then
too_new   CodexSchemaUnknown update threadkeep, or Codex if it is older than 0.169, or let Codex do
                             it (codex archive, unarchive, delete; /rename); threadkeep codex-check
                             shows more
busy*     CodexLocked        run the same command again in a moment
busy*     CodexInUse         end these programs, then run the same command again
busy*     CodexChanged       threadkeep codex-check shows its current state
busy      CodexChangedSince  threadkeep codex-check shows what is left to repair
not_found NoCodexBackup      threadkeep codex-check --fix makes one before each change
usage     FleetAddressInvalid give it as postgresql://USER@HOST:PORT/DATABASE, or as what else libpq
                             takes
not_found FleetDriverMissing install it where threadkeep is: pip install '.[fleet]' in its clone,
                             or pip install 'psycopg[binary]'
busy*     FleetUnavailable   see that PostgreSQL runs there: pg_isready -d ADDRESS; what changes
                             here meanwhile is pushed later
busy*     FleetBusy          try again in a moment; the administrator can raise max_connections, or
                             put PgBouncer in front
busy*     FleetHeld          try again in a moment; the administrator sees in pg_stat_activity who
                             has a transaction open
busy*     FleetLost          run the same command again; it goes on where this one ended
busy*     FleetReadOnly      name the primary, or both servers and target_session_attrs=read-write
busy*     FleetFull          its administrator has to free some space; what changes here meanwhile
                             is pushed later
damaged   FleetLoginRefused  put the line that threadkeep fleet machine add or reader add printed
                             into ~/.pgpass, and have only its owner read it: chmod 600 ~/.pgpass
damaged   FleetCertificateRefused name in the address by sslrootcert who has signed the server's
                             certificate, which is for a host of that name, and by sslcert and
                             sslkey (mode 600) the one that the server expects of this user
damaged   FleetLoginRevoked  ask the administrator; threadkeep fleet machine add or reader add lets
                             it in again
damaged   FleetLoginUnknown  ask the administrator for threadkeep fleet machine add or reader add
damaged   FleetDenied        name another user in the address: machines push, readers read, and an
                             administrator does the rest, as in threadkeep fleet status
                             postgresql://ADMINISTRATOR@HOST/DATABASE
damaged   FleetNotReadable   give the address with the login of a reader, or have the administrator
                             let this machine read: threadkeep fleet machine revoke NAME, and then
                             threadkeep fleet machine add NAME --reads
not_found FleetDatabaseMissing createdb NAME makes one, as a user that may, such as postgres
not_found FleetMissing       threadkeep fleet init sets one up, as an administrator of PostgreSQL
too_new   FleetTooNew        update threadkeep; what changes here meanwhile is pushed later
too_new   FleetTooOld        the administrator brings it up to date with threadkeep fleet upgrade
too_new   PostgresTooOld     upgrade PostgreSQL, or name another server
usage     MachineTaken       have each index push as a machine of its own (threadkeep fleet machine
                             add); threadkeep push --take-over is for one that replaces the other
busy*     PushOvertaken      try again in a moment
damaged   FleetEncoding      make another database: createdb -T template0 -E UTF8 NAME
damaged   FleetExtensionMissing apt-get install postgresql-contrib on the server, then the same
                             command again as a superuser
damaged   FleetFailed        threadkeep fleet check looks for what may be wrong
usage     FleetLoginExists   give another name, or revoke that one first; --role gives another name
                             to the user of PostgreSQL alone
not_found FleetLoginNotFound threadkeep fleet status lists the machines
usage     InvalidLoginName   give a name of at most 63 bytes that can be printed
damaged   CopyUnusable       --machine NAME reads the copy of another machine; the machine itself
                             has the thread
not_found ContentNotPushed   on that machine: threadkeep push --level text, or raw
not_found RolloutNotPushed   on that machine: threadkeep push --level raw
damaged   ThreadIsHere       compare both: threadkeep export THREAD, and the same with --fleet; to
                             have the fleet's instead: threadkeep delete THREAD, then pull
usage     ThreadExists       give the new thread an id of its own
usage     RecorderClosed     resume the thread first
usage     NoRegularFile      name a file: -o FILE, --html FILE; export without -o prints
damaged*  RecorderFailed     free some space, or make its folder writable, then flush again
damaged*  DiskFull           free some space on its disk (see df), then run the same command again
damaged*  FileTooLarge       allow larger files: ulimit -f unlimited
damaged*  TooManyOpenFiles   allow more open files: ulimit -n 256, then run the same command again
damaged*  TooLittleMemory    allow more memory: ulimit -v unlimited, then run the same command again
"""
"""Status, class and hint. The same may work later where the status has a star. The last rows are no
classes: see ``_SHORTAGES``."""
_STATUSES: Final = {
    "usage": USAGE,
    "not_found": NOT_FOUND,
    "too_new": TOO_NEW,
    "busy": BUSY,
    "damaged": DAMAGED,
}
_OTHER_KINDS: Final = {
    "EmptySearch": "nothing_to_find",
    "HomeFolderUnknown": "folder_unknown",
    "OutOfResources": "system_refuses",
    "CodexNotRunnable": "not_resumable",
    "HasDependents": "depended_on",
    "ThreadNotInFleet": "thread_not_found",
    "ThreadInTrash": "thread_not_found",
    "NotInTrash": "thread_not_found",
}
"""The kinds that are not the name of the class: ``thread_not_found`` is ThreadNotFound."""


@cache
def _outcomes() -> dict[str, Outcome]:
    """The table, which most commands do not need."""
    found: dict[str, Outcome] = {}
    for row in re.split(r"\n(?=\S)", _TABLE.strip()):
        status, name, *words = row.split()
        kind = _OTHER_KINDS.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        code = _STATUSES[status.rstrip("*")]
        found[name] = Outcome(code, kind, " ".join(words), retryable=status.endswith("*"))
    return found


_SHORTAGES: Final = {
    errno.ENOSPC: "DiskFull",
    errno.EDQUOT: "DiskFull",
    errno.EFBIG: "FileTooLarge",
    errno.EMFILE: "TooManyOpenFiles",
    errno.ENFILE: "TooManyOpenFiles",
    errno.ENOMEM: "TooLittleMemory",
}
"""What the system has too little of, whatever could not be read or written for it."""
_MAY_BE_SHORTAGES: Final = (
    errors.FileUnusable,
    errors.IndexUnavailable,
    errors.CodexUnusable,
    errors.RecorderFailed,
    errors.OutOfResources,
)


def outcome(error: RolloutError | errors.StateError, command: str | None = None) -> Outcome:
    """How ``error`` is reported, by the nearest class in the table. ``command`` is the one that
    failed, if the hint may name it."""
    shortage = _SHORTAGES.get(_errno_of(error))
    if shortage and isinstance(error, _MAY_BE_SHORTAGES):
        return _outcomes()[shortage]
    for kind in type(error).__mro__:
        if found := _outcomes().get(kind.__name__):
            return found._replace(hint=_fitting(error, command) or found.hint)
    return Outcome(DAMAGED, "error", "threadkeep status shows the state of the index")


def _fitting(error: RolloutError | errors.StateError, command: str | None) -> str:
    """A hint that fits this very error, where the table's would be too general; else empty."""
    if isinstance(error, WrongUsage):
        return error.hint
    if isinstance(error, errors.NotResumable) and command != "resume":  # browse has printed it
        hint = outcome(error, "resume").hint.partition(";")[0]
        return f"{hint}; or run the command above"
    if type(error) is errors.InvalidQuery and command:
        return f"threadkeep {command} -h shows what it takes"
    if isinstance(error, errors.FleetDriverMissing):
        from cli.installed import installed_with

        is_pipx = installed_with() == "pipx"
        return "install it: pipx inject threadkeep 'psycopg[binary]'" if is_pipx else ""
    if type(error) is errors.FleetLoginRefused and _NOBODY.search(error.reason):
        return (
            "name another user in the address, or let PostgreSQL know you as an administrator:"
            " sudo -u postgres createuser --createdb --createrole $USER"
        )
    if type(error) is errors.FleetLoginRefused and "password authentication" in error.reason:
        return (
            "put the line that threadkeep fleet machine add or reader add printed last into"
            " ~/.pgpass, and remove the older line of this user: the first one counts"
        )
    if isinstance(error, errors.ThreadInTrash):
        return f"to put it back: threadkeep trash restore {error.thread_id}"
    if isinstance(error, errors.ContentNotPushed) and error.others:
        return f"another machine has pushed more: --machine {shlex.quote(error.others[0])}"
    if _errno_of(error) == errno.EXDEV:
        return "files are moved only within one file system: keep all of the home on one"
    if isinstance(error, errors.InvalidSql):
        return next((hint for part, hint in _SQL_HINTS.items() if part in error.reason), "")
    if isinstance(error, errors.AmbiguousThread) and not _is_id(error.reference):
        return "give the id of one of them, or some of its characters"
    if type(error) is errors.ThreadNotFound and not error.close and not _is_id(error.reference):
        words = " ".join(error.reference.split())
        if words and words.isprintable() and len(words) < _LONG and os.sep not in words:
            search = f"threadkeep search {shlex.quote(words)}"
            if command == "resume":  # which has looked in the texts
                return f"try fewer words, or the archive: {search} --archived"
            return f"to search the text of threads: {search}"
    return ""


def _is_id(reference: str) -> bool:
    return errors.ID_CHARACTERS.issuperset(reference.lower())


_NOBODY: Final = re.compile(r"role .* does not exist|(?i:peer|ident) authentication failed")
"""What PostgreSQL says of users of the system whom it does not know."""
_LONG: Final = 100
_SQL_HINTS: Final = {
    "no such column": "threadkeep query 'SELECT * FROM v_threads LIMIT 1' shows the columns of a"
    " view; texts need single quotes",
    "no such table": "threadkeep query \"SELECT name FROM sqlite_master WHERE type = 'view'\""
    " lists the views",
    "no such function": "SQLite's own functions can be used: count, sum, substr, datetime, …",
    "only reading": "threadkeep help lists the commands that change threads",
    "one statement": "give one statement each time",
    "no statement": "give one, such as 'SELECT id, name FROM v_threads LIMIT 5'",
    "incomplete input": "something is missing at the end of the statement",
    "bindings": "write values into the statement, in place of ? and :name",
    "it is longer": "shorten it",
}
"""What to do about an invalid query, by a part of what SQLite says of it."""


def _errno_of(error: BaseException | None) -> int:
    """The error number of the system that an error comes from; 0 if it comes from none."""
    while error is not None:
        if isinstance(number := getattr(error, "errno", None), int):
            return number
        if isinstance(error, MemoryError):
            return errno.ENOMEM
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return errno.ENOSPC
        error = error.__cause__
    return 0


def document(error: RolloutError | errors.StateError, command: str | None = None) -> dict[str, Any]:
    """The JSON document of an error."""
    found = outcome(error, command)
    fields = {"kind": found.kind, "message": str(error), "hint": found.hint}
    return {"error": {"code": found.status, **fields, "retryable": found.retryable}}
