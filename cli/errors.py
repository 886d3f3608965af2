"""The one table of our errors: exit status, kind, and a hint with the next thing to do."""

import errno
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rollout.errors import (
    AmbiguousTurn,
    DamagedCompression,
    HistoryIncomplete,
    HistoryUnknown,
    HomeNotFound,
    NotAppendable,
    RolloutError,
    TurnNotFound,
    TurnUnfinished,
    WriterActive,
)
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


_OUTCOMES: Final[dict[type[Exception], Outcome]] = {
    HomeNotFound: Outcome(NOT_FOUND, "home_not_found", "name the folder with --home or CODEX_HOME"),
    errors.AmbiguousThread: Outcome(USAGE, "ambiguous_thread", "give more characters of the id"),
    errors.ThreadNotFound: Outcome(
        NOT_FOUND,
        "thread_not_found",
        "threadkeep list --all --all-sources shows all threads (add --archived for the archive)",
    ),
    errors.ThreadUnreadable: Outcome(
        DAMAGED, "thread_unreadable", "threadkeep explain shows what is wrong with it"
    ),
    errors.InvalidCursor: Outcome(
        USAGE, "invalid_cursor", "start without --cursor, or repeat the options it came from"
    ),
    errors.InvalidQuery: Outcome(USAGE, "invalid_query", "correct what the message names"),
    errors.EmptySearch: Outcome(
        USAGE,
        "nothing_to_find",
        'give words, beginnings of words (word*) or "phrases"; --literal takes any text',
    ),
    errors.InvalidSql: Outcome(
        USAGE, "invalid_sql", "docs/schema.md lists the views: SELECT id, name FROM v_threads"
    ),
    errors.HomeFolderUnknown: Outcome(
        USAGE,
        "folder_unknown",
        "set HOME, or give both --home (CODEX_HOME) and --db (THREADKEEP_DB)",
    ),
    errors.InvalidFolder: Outcome(
        USAGE, "invalid_folder", "give an absolute path, such as /home/me/demo"
    ),
    errors.AliasCycle: Outcome(
        USAGE, "alias_cycle", "threadkeep relink shows the moved folders, --remove forgets one"
    ),
    errors.AliasNotFound: Outcome(
        NOT_FOUND, "alias_not_found", "threadkeep relink shows the moved folders"
    ),
    errors.BadDump: Outcome(USAGE, "bad_dump", "correct or remove that line, then restore again"),
    errors.DumpTooNew: Outcome(TOO_NEW, "dump_too_new", "update threadkeep, then restore again"),
    errors.OutOfResources: Outcome(
        DAMAGED, "system_refuses", "raise the limit, then try again", True
    ),
    errors.FileUnusable: Outcome(DAMAGED, "file_unusable", "make it readable and writable"),
    errors.ThreadArchived: Outcome(
        USAGE, "thread_archived", "threadkeep unarchive restores it from the archive"
    ),
    errors.UnsupportedHistory: Outcome(
        TOO_NEW, "unsupported_history", "update threadkeep; reading and listing still work"
    ),
    errors.InvalidName: Outcome(USAGE, "invalid_name", "give a name with a letter in it"),
    errors.InvalidChange: Outcome(
        USAGE,
        "invalid_change",
        "threadkeep git-info --clear-sha, --clear-branch or --clear-origin removes a value",
    ),
    errors.NotResumable: Outcome(
        NOT_FOUND,
        "not_resumable",
        "threadkeep relink OLD NEW records where a folder is now; without --exec, a command is"
        " printed that asks for one; codex must be on PATH",
    ),
    TurnNotFound: Outcome(
        NOT_FOUND, "turn_not_found", "name one of its turns: threadkeep show THREAD lists them"
    ),
    AmbiguousTurn: Outcome(
        USAGE,
        "ambiguous_turn",
        "give more characters of its id, or its number: --turn 1, --turn=-1",
    ),
    TurnUnfinished: Outcome(
        USAGE, "turn_unfinished", "fork up to it with --before-turn, or the whole thread"
    ),
    NotAppendable: Outcome(
        DAMAGED, "not_appendable", "threadkeep explain shows what is wrong with its file"
    ),
    HistoryIncomplete: Outcome(
        DAMAGED, "history_incomplete", "threadkeep explain shows what is wrong with it"
    ),
    HistoryUnknown: Outcome(
        TOO_NEW, "history_unknown", "update threadkeep; show --meta shows its metadata"
    ),
    DamagedCompression: Outcome(
        DAMAGED, "damaged_compression", "threadkeep explain shows what is wrong with it"
    ),
    errors.AlreadyArchived: Outcome(
        USAGE, "already_archived", "threadkeep unarchive restores it from the archive"
    ),
    errors.NotArchived: Outcome(
        USAGE, "not_archived", "threadkeep list --archived shows the archived threads"
    ),
    errors.HasDependents: Outcome(
        USAGE, "depended_on", "delete that thread too, in the same command, or archive this one"
    ),
    errors.TargetExists: Outcome(
        DAMAGED,
        "target_exists",
        "compare both files (threadkeep show --meta names those of a thread) and move one away",
    ),
    WriterActive: Outcome(
        BUSY, "writer_active", "close it in the program that has it open", retryable=True
    ),
    errors.IndexTooNew: Outcome(
        TOO_NEW, "index_too_new", "update threadkeep, or name another index with --db"
    ),
    errors.IndexDamaged: Outcome(
        DAMAGED,
        "index_damaged",
        "threadkeep reindex builds a new one from the rollouts, which are untouched",
    ),
    errors.IndexUnavailable: Outcome(
        DAMAGED, "index_unavailable", "name a writable file with --db or THREADKEEP_DB"
    ),
    errors.IndexMissing: Outcome(NOT_FOUND, "index_missing", "threadkeep backfill makes one"),
    errors.IndexNotWritable: Outcome(
        DAMAGED, "index_not_writable", "make its folder writable, or name another file with --db"
    ),
    errors.NotAnIndex: Outcome(
        DAMAGED, "not_an_index", "name another file with --db; this one stays as it is"
    ),
    errors.IndexBusy: Outcome(BUSY, "index_busy", "try again in a moment", retryable=True),
    errors.LeaseHeld: Outcome(
        BUSY, "lease_held", "threadkeep status shows its progress", retryable=True
    ),
    errors.LeaseLost: Outcome(
        BUSY, "lease_lost", "the other worker finishes the job", retryable=True
    ),
    errors.PlanOutdated: Outcome(
        BUSY, "plan_outdated", "threadkeep repair shows the current plan", retryable=True
    ),
    errors.NoBackup: Outcome(
        NOT_FOUND, "no_backup", "threadkeep repair --apply makes one before each change"
    ),
    errors.CodexUnusable: Outcome(
        DAMAGED, "codex_unusable", "threadkeep codex-check shows more, and what Codex does then"
    ),
    errors.CodexSchemaUnknown: Outcome(
        TOO_NEW,
        "codex_schema_unknown",
        "update threadkeep, or Codex if it is older than 0.169, or let Codex do it (codex archive,"
        " unarchive, delete; /rename); threadkeep codex-check shows more",
    ),
    errors.CodexLocked: Outcome(
        BUSY, "codex_locked", "run the same command again in a moment", retryable=True
    ),
    errors.CodexInUse: Outcome(
        BUSY, "codex_in_use", "end these programs, then run the same command again", retryable=True
    ),
    errors.CodexChanged: Outcome(
        BUSY, "codex_changed", "threadkeep codex-check shows its current state", retryable=True
    ),
    errors.CodexChangedSince: Outcome(
        BUSY, "codex_changed_since", "threadkeep codex-check shows what is left to repair"
    ),
    errors.NoCodexBackup: Outcome(
        NOT_FOUND, "no_codex_backup", "threadkeep codex-check --fix makes one before each change"
    ),
    errors.ThreadExists: Outcome(USAGE, "thread_exists", "give the new thread an id of its own"),
    errors.RecorderClosed: Outcome(USAGE, "recorder_closed", "resume the thread first"),
    NoRegularFile: Outcome(
        USAGE, "no_regular_file", "name a file: -o FILE, --html FILE; export without -o prints"
    ),
    RedactorMissing: Outcome(USAGE, "redactor_missing", "pip install 'threadkeep[redact]'"),
    errors.RecorderFailed: Outcome(
        DAMAGED,
        "recorder_failed",
        "free some space, or make its folder writable, then flush again",
        True,
    ),
}


_DISK_FULL: Final = Outcome(
    DAMAGED,
    "disk_full",
    "free some space on its disk (see df), then run the same command again",
    True,
)
_TOO_MANY_FILES: Final = Outcome(
    DAMAGED,
    "too_many_open_files",
    "allow more open files: ulimit -n 256, then run the same command again",
    True,
)
_SHORTAGES: Final = {
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.EFBIG: Outcome(
        DAMAGED, "file_too_large", "allow larger files: ulimit -f unlimited", True
    ),
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: _TOO_MANY_FILES,
    errno.ENOMEM: Outcome(
        DAMAGED,
        "too_little_memory",
        "allow more memory: ulimit -v unlimited, then run the same command again",
        True,
    ),
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
    for kind in type(error).__mro__:
        if kind in _OUTCOMES:
            found = _OUTCOMES[kind]
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
