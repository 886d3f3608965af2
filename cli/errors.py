"""Our errors: each with its exit status and the next thing to do. The one table of both."""

from dataclasses import dataclass
from typing import Any, Final

from rollout.errors import HomeNotFound, NotAppendable, RolloutError, WriterActive
from state.errors import (
    AliasCycle,
    AliasNotFound,
    AmbiguousThread,
    BadDump,
    DumpTooNew,
    FileUnusable,
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IndexNotWritable,
    IndexTooNew,
    IndexUnavailable,
    InvalidCursor,
    InvalidQuery,
    InvalidSql,
    LeaseHeld,
    LeaseLost,
    NoBackup,
    NotAnIndex,
    PlanOutdated,
    RecorderClosed,
    RecorderFailed,
    StateError,
    ThreadArchived,
    ThreadExists,
    ThreadNotFound,
    UnknownHistoryMode,
)

OK: Final = 0
NO_MATCH: Final = 1
FINDINGS: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
TOO_NEW: Final = 4
BUSY: Final = 5
SOME_UNREADABLE: Final = 6
DAMAGED: Final = 7
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an error comes to on the command line."""

    status: int
    kind: str
    hint: str
    retryable: bool = False


_OUTCOMES: Final[dict[type[Exception], Outcome]] = {
    HomeNotFound: Outcome(NOT_FOUND, "home_not_found", "name the folder with --home or CODEX_HOME"),
    AmbiguousThread: Outcome(USAGE, "ambiguous_thread", "give more letters of the id"),
    ThreadNotFound: Outcome(
        NOT_FOUND,
        "thread_not_found",
        "threadkeep list --all --all-sources shows what there is (add --archived for the archive)",
    ),
    InvalidCursor: Outcome(
        USAGE, "invalid_cursor", "start without --cursor, or repeat the options it came from"
    ),
    InvalidQuery: Outcome(USAGE, "invalid_query", "see threadkeep list --help"),
    InvalidSql: Outcome(
        USAGE, "invalid_sql", "docs/schema.md lists the views: SELECT id, name FROM v_threads"
    ),
    AliasCycle: Outcome(
        USAGE, "alias_cycle", "threadkeep relink shows the aliases, --remove takes one back"
    ),
    AliasNotFound: Outcome(NOT_FOUND, "alias_not_found", "threadkeep relink shows the aliases"),
    BadDump: Outcome(USAGE, "bad_dump", "mend or remove that line, then restore again"),
    DumpTooNew: Outcome(TOO_NEW, "dump_too_new", "update threadkeep, then restore again"),
    FileUnusable: Outcome(DAMAGED, "file_unusable", "make it readable and writable"),
    IndexTooNew: Outcome(
        TOO_NEW, "index_too_new", "update threadkeep, or name another index with --db"
    ),
    IndexDamaged: Outcome(
        DAMAGED,
        "index_damaged",
        "threadkeep reindex builds it anew from the rollouts, which are untouched",
    ),
    IndexUnavailable: Outcome(
        DAMAGED, "index_unavailable", "name a writable place with --db or THREADKEEP_DB"
    ),
    IndexMissing: Outcome(NOT_FOUND, "index_missing", "threadkeep backfill makes one"),
    IndexNotWritable: Outcome(
        DAMAGED, "index_not_writable", "make its place writable, or name another one with --db"
    ),
    NotAnIndex: Outcome(
        DAMAGED, "not_an_index", "name another file with --db; this one is left as it is"
    ),
    IndexBusy: Outcome(BUSY, "index_busy", "try again in a moment", retryable=True),
    LeaseHeld: Outcome(BUSY, "lease_held", "threadkeep status shows how far it is", retryable=True),
    LeaseLost: Outcome(BUSY, "lease_lost", "the other worker finishes the job", retryable=True),
    PlanOutdated: Outcome(
        BUSY, "plan_outdated", "threadkeep repair shows the plan as it is now", retryable=True
    ),
    NoBackup: Outcome(
        NOT_FOUND, "no_backup", "threadkeep repair --apply makes one each time it changes something"
    ),
    WriterActive: Outcome(
        BUSY, "writer_active", "close it in the program that has it open", retryable=True
    ),
    NotAppendable: Outcome(
        DAMAGED, "not_appendable", "threadkeep verify --deep tells what is wrong with the files"
    ),
    ThreadArchived: Outcome(USAGE, "thread_archived", "take it out of the archive first"),
    ThreadExists: Outcome(USAGE, "thread_exists", "give the new thread an id of its own"),
    UnknownHistoryMode: Outcome(
        TOO_NEW, "unknown_history_mode", "update threadkeep; until then the thread can only be read"
    ),
    RecorderClosed: Outcome(USAGE, "recorder_closed", "resume the thread first"),
    RecorderFailed: Outcome(
        DAMAGED, "recorder_failed", "make room, or its place writable, and flush again", True
    ),
}


def outcome(error: RolloutError | StateError) -> Outcome:
    """What ``error`` comes to: that of the nearest class in the table."""
    for kind in type(error).__mro__:
        if kind in _OUTCOMES:
            return _OUTCOMES[kind]
    return Outcome(DAMAGED, "error", "threadkeep status shows how the index stands")


def document(error: RolloutError | StateError) -> dict[str, Any]:
    """The JSON document of an error."""
    found = outcome(error)
    told = {"kind": found.kind, "message": str(error), "hint": found.hint}
    return {"error": {"code": found.status, **told, "retryable": found.retryable}}
