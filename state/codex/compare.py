"""Compare Codex's database with the index: one finding for each difference."""

import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rollout.files.layout import is_archived, logical_path, misplacement, parse_uuid
from rollout.metadata.model import LONGEST_TEXT, SEEN_BARE_META
from rollout.schema.modes import MODES, PAGINATED
from state.checks.findings import ERROR, NOTE, WARNING, Finding, difference, kinds
from state.codex.index_side import FileLookup, IndexedThread, IndexSide, absolute, file_exists
from state.codex_db.database import CodexState, CodexThread
from state.codex_db.tables import MEASURED

KINDS: Final = kinds(
    (ERROR, "codex app-server", "codex_damaged"),
    (ERROR, None, "codex_unreadable codex_migration_unfinished"),
    (ERROR, "threadkeep codex-check --fix", "codex_backfill_stuck codex_row_missing"),
    (ERROR, "threadkeep codex-check --fix", "codex_path_wrong codex_archived_differs"),
    (WARNING, None, "codex_not_comparable codex_schema_unknown codex_row_stale"),
    (WARNING, "threadkeep codex-check --fix", "codex_name_differs codex_pin_differs"),
    (WARNING, None, "codex_duplicate"),
    (NOTE, None, "codex_no_database codex_migrations_unknown codex_cannot_have codex_other_home"),
    (NOTE, None, "codex_backfill_running codex_backfill_pending"),
)
"""Each kind of finding about Codex's database, by its code."""
TAKEOVER_S: Final = 900
"""Codex takes over a running backfill that gave no sign of life for so long."""
_NOT_ITS_FILE: Final = "The row names a file of another thread: Codex cannot resume this one."
_NO_FILE: Final = "The row names a file that does not exist: Codex cannot resume the thread."
_OUTSIDE: Final = (
    "The row names a file of another home, as after a copy of the whole home: Codex reads that"
    " file, and writes new turns to it."
)


def compare_with_index(
    ours: IndexSide, state: CodexState, home: Path, database: Path, who: Sequence[str] | None
) -> Iterator[Finding]:
    """The differences between our index of the files and one state of Codex's database.

    ``who`` are the processes that have it open; None if the system does not tell.
    """
    waiting = [
        thread_id
        for thread_id, thread in ours.threads.items()
        if thread_id not in state.threads
        and not _is_beyond_codex(thread)
        and _is_still_to_come(state, thread.path)
    ]
    yield from findings_of_state(state, database, who, len(waiting))
    yield from _missing(ours, state, home, set(waiting))
    yield from _rows(ours, state, home)
    yield from _duplicates(ours)


def findings_of_state(
    state: CodexState, database: Path, who: Sequence[str] | None, waiting: int
) -> Iterator[Finding]:
    """What is to say of the database as a whole; ``waiting`` threads have no row yet, but will."""
    yield from _schema(state, database)
    yield from _backfill(state, database, who, waiting)


def _schema(state: CodexState, database: Path) -> Iterator[Finding]:
    if state.unfinished:
        yield Finding(
            KINDS["codex_migration_unfinished"],
            "A migration was interrupted: Codex's app-server does not start with such a"
            " database. Move it away, and Codex builds a new one, without the names of paginated"
            " threads.",
            path=str(database),
            measured=f"migration {min(state.unfinished)} without success",
            expected="every migration with success",
        )
    elif not state.known:
        yield Finding(
            KINDS["codex_schema_unknown"],
            "This threadkeep does not know its tables, and writes nothing to it: names, pins, git"
            " values and memory modes do not reach Codex; archive, unarchive, delete and --fix"
            " refuse. Update threadkeep, or Codex if it is older than 0.169.",
            path=str(database),
            measured=f"{_migrations(state)}; {'; '.join(state.differences)}",
            expected="the tables of Codex 0.169 and 0.171",
        )
    elif state.migrations not in MEASURED:
        yield Finding(
            KINDS["codex_migrations_unknown"],
            "It belongs to a Codex version that this threadkeep was not tested with. The tables"
            " that threadkeep writes are the known ones, so it still writes them.",
            path=str(database),
            measured=_migrations(state),
            expected=f"migrations {' or '.join(f'1 to {max(known)}' for known in MEASURED)}",
        )


def _migrations(state: CodexState) -> str:
    return f"{len(state.migrations)} migrations up to {max(state.migrations, default=0)}"


def _is_beyond_codex(thread: IndexedThread) -> bool:
    """Whether Codex can have no row of it: its file is of the first versions, or a later one."""
    return bool(thread.flags & SEEN_BARE_META) or thread.history_mode not in MODES


def _is_still_to_come(state: CodexState, path: str) -> bool:
    """Whether Codex's own backfill will come to a file yet: it goes by path."""
    status, watermark, _ = state.backfill
    return status != "complete" and (watermark is None or path > watermark)


def _backfill(
    state: CodexState, database: Path, who: Sequence[str] | None, waiting: int
) -> Iterator[Finding]:
    status, watermark, updated_at = state.backfill
    where = f"{status}, up to {watermark or 'nothing yet'}"
    still = f"{waiting:,} {'thread has' if waiting == 1 else 'threads have'} no row yet"
    if status == "complete":
        return
    if status == "pending":
        message = f"Codex fills its database at its next start; {still}."
        yield Finding(KINDS["codex_backfill_pending"], message, path=str(database))
        return
    age = int(time.time()) - updated_at
    if status == "running" and (who or (who is None and 0 <= age < TAKEOVER_S)):
        message = f"Codex is filling its database; {still}."
        yield Finding(KINDS["codex_backfill_running"], message, path=str(database), measured=where)
        return
    if status != "running":
        message = "Codex's app-server does not start with this backfill status."
    elif 0 <= age < TAKEOVER_S:
        minutes = (TAKEOVER_S - age + 59) // 60
        message = (
            f"A Codex backfill was interrupted; {still}. Codex will not start for another"
            f" {minutes} {'minute' if minutes == 1 else 'minutes'} unless this is fixed."
        )
    else:
        message = (
            f"A Codex backfill was interrupted; {still}. Codex continues it at its next start."
        )
    kind = KINDS["codex_backfill_stuck"]
    yield difference(kind, message, None, str(database), where, "complete")


def _missing(
    ours: IndexSide, state: CodexState, home: Path, waiting: set[str]
) -> Iterator[Finding]:
    """Threads without a row, but for those that Codex cannot have and those still to come."""
    beyond = 0
    for thread_id, thread in ours.threads.items():
        if thread_id in state.threads or thread_id in waiting:
            continue
        if _is_beyond_codex(thread):
            beyond += 1
            continue
        file = ours.files.get(thread.path)
        message, offset = "Codex has no row for this thread: its picker and searches miss it.", None
        if file and file.reason:
            message += f" The cause may be a line of the file: {file.reason}."
            offset = file.reason_offset
        kind, right = KINDS["codex_row_missing"], absolute(home, thread.path)
        yield Finding(kind, message, thread_id, thread.path, offset, expected=right)
    if beyond:
        message = (
            f"Threads that cannot have a row: {beyond:,}. Their files are from the first versions,"
            " up to 0.29, or have a history mode that Codex does not know."
        )
        yield Finding(KINDS["codex_cannot_have"], message)


def _rows(ours: IndexSide, state: CodexState, home: Path) -> Iterator[Finding]:
    """Rows that name no file of their thread, or that differ from it."""
    files = FileLookup(home, ours)
    others = 0
    for row in state.threads.values():
        thread = ours.threads.get(row.id)
        named = files.named(row.rollout_path)
        held_by = ours.files[named].thread_id if named else None
        outside = named is None and file_exists(row.rollout_path)
        if outside and (thread is None or files.is_here(row.rollout_path)):
            others += 1
            continue
        if thread is None:
            if named is None or (held_by and held_by != row.id):
                yield _stale(row, home)
            continue
        path = named if named and held_by == row.id else thread.path
        if held_by != row.id:
            message = _OUTSIDE if outside else _NOT_ITS_FILE if held_by else _NO_FILE
            place, right = (row.id, thread.path), absolute(home, thread.path)
            yield difference(KINDS["codex_path_wrong"], message, *place, row.rollout_path, right)
        if row.archived != is_archived(path):
            message = "The row and the file's folder disagree on whether the thread is archived."
            flags = _flag(row.archived), _flag(is_archived(path))
            yield difference(KINDS["codex_archived_differs"], message, row.id, path, *flags)
        yield from _name(row, thread)
        yield from _pin(row, thread)
    if others:
        message = f"Rows that name a file outside the index: {others:,}. They are not compared."
        yield Finding(KINDS["codex_other_home"], message)


def _stale(row: CodexThread, home: Path) -> Finding:
    return Finding(
        KINDS["codex_row_stale"],
        "The file of this row is gone. Codex omits the row from lists and never removes it.",
        row.id,
        row.rollout_path.removeprefix(f"{home}/"),
        measured=row.rollout_path,
        mend=f"codex delete {row.id}" if parse_uuid(row.id) == row.id else None,
    )


def _name(row: CodexThread, thread: IndexedThread) -> Iterator[Finding]:
    if row.history_mode == PAGINATED:
        shown = row.name
    else:
        # A title that is not the beginning of the thread is the name that a user gave it.
        given = row.title not in ("", row.first_user_message)
        shown = row.title if given and row.title[:LONGEST_TEXT] != thread.title else thread.name
    if thread.name is None or shown == thread.name:
        return
    mend = None
    if parse_uuid(row.id) == row.id:
        first = f"threadkeep unarchive {row.id}, then " if is_archived(thread.path) else ""
        mend = f"{first}threadkeep rename {row.id} {shlex.quote(thread.name)}"
    kind, message = KINDS["codex_name_differs"], "The name is not the latest one."
    yield difference(kind, message, row.id, thread.path, shown, thread.name, mend)


def _pin(row: CodexThread, thread: IndexedThread) -> Iterator[Finding]:
    """A pin of which users have set nothing here is none that could not be taken over."""
    if thread.pinned in (None, row.pinned):
        return
    message = "Codex does not show the pin of this thread."
    command = "pin"
    if not thread.pinned:
        message, command = "Codex shows a pin that was taken back.", "unpin"
    mend = f"threadkeep {command} {row.id}" if parse_uuid(row.id) == row.id else None
    shown, right = ("pinned" if pin else "not pinned" for pin in (row.pinned, thread.pinned))
    yield difference(KINDS["codex_pin_differs"], message, row.id, thread.path, shown, right, mend)


def _duplicates(ours: IndexSide) -> Iterator[Finding]:
    for path, file in ours.files.items():
        shown = ours.threads.get(file.thread_id or "")
        if file.bucket != "duplicate" or shown is None:
            continue
        if logical_path(shown.path) == logical_path(path):
            continue  # a file and its compressed form are one to Codex too
        listed = "one" if misplacement(path) else "both"
        message = (
            f"Two files of one thread: Codex lists {listed}, and its row follows either. Compare"
            " them, and move one out of the home."
        )
        kind = KINDS["codex_duplicate"]
        yield difference(kind, message, file.thread_id, path, path, shown.path)


def _flag(archived: bool) -> str:
    return "archived" if archived else "active"
