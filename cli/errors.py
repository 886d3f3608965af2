"""The one table of our errors: exit status, kind, and a hint with the next thing to do."""

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

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


class RedactorMissing(errors.StateError):
    """``--redact`` needs a library that is not installed."""

    def __init__(self) -> None:
        super().__init__("--redact needs detect-secrets, which is not installed")


class NoRegularFile(errors.StateError):
    """A file is to be replaced, and something else is there: ``what``."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is {what}, which is not replaced by a file")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the command line reports an error."""

    status: int
    kind: str
    hint: str
    retryable: bool = False


_TABLE: Final = """
not_found HomeNotFound       name the folder with --home or CODEX_HOME
usage     WrongUsage         threadkeep COMMAND -h shows what a command takes
usage     AmbiguousThread    give more characters of the id
not_found ThreadNotFound     threadkeep list --all --all-sources shows all threads (add --archived
                             for the archive)
damaged   ThreadUnreadable   threadkeep explain shows what is wrong with it
usage     InvalidCursor      start without --cursor, or repeat the options it came from
usage     InvalidQuery       correct what the message names
usage     InvalidPrices      correct or remove the file; threadkeep help cost shows an example
usage     EmptySearch        give words, beginnings of words (word*) or "phrases"; --literal takes
                             any text
usage     InvalidSql         threadkeep help schema lists the views: SELECT id, name FROM v_threads
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
not_found NotResumable       threadkeep relink OLD NEW records where a folder is now; without
                             --exec, a command is printed that asks for one; codex must be on PATH
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
usage     ThreadExists       give the new thread an id of its own
usage     RecorderClosed     resume the thread first
usage     NoRegularFile      name a file: -o FILE, --html FILE; export without -o prints
usage     RedactorMissing    pip install 'threadkeep[redact]'
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
    "HasDependents": "depended_on",
}
"""The kinds that are not the name of the class: ``thread_not_found`` is ThreadNotFound."""


def _rows() -> Iterator[tuple[str, Outcome]]:
    for row in re.split(r"\n(?=\S)", _TABLE.strip()):
        status, name, *words = row.split()
        kind = _OTHER_KINDS.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        code = _STATUSES[status.rstrip("*")]
        yield name, Outcome(code, kind, " ".join(words), retryable=status.endswith("*"))


_OUTCOMES: Final = dict(_rows())
_SHORTAGES: Final = {
    errno.ENOSPC: _OUTCOMES["DiskFull"],
    errno.EDQUOT: _OUTCOMES["DiskFull"],
    errno.EFBIG: _OUTCOMES["FileTooLarge"],
    errno.EMFILE: _OUTCOMES["TooManyOpenFiles"],
    errno.ENFILE: _OUTCOMES["TooManyOpenFiles"],
    errno.ENOMEM: _OUTCOMES["TooLittleMemory"],
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
    if isinstance(error, _MAY_BE_SHORTAGES) and (found := _SHORTAGES.get(_errno_of(error))):
        return found
    if isinstance(error, WrongUsage):
        return replace(_OUTCOMES["WrongUsage"], hint=error.hint)
    for kind in type(error).__mro__:
        if found := _OUTCOMES.get(kind.__name__):
            if kind is errors.InvalidQuery and command:
                return replace(found, hint=f"see threadkeep {command} --help")
            return found
    return Outcome(DAMAGED, "error", "threadkeep status shows the state of the index")


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
