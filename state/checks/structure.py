"""Check the rows of an index against the names, sizes and times of the files, and each other.

No rollout is read here: that is :mod:`state.checks.metadata`.
"""

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rollout.files.layout import Precedence, is_archived, precedence
from rollout.files.scan import INACCESSIBLE, FoundFile, is_away, scan_home
from state.checks.database import damaged
from state.checks.findings import (
    KINDS,
    Finding,
    FindingKind,
    IndexState,
    column_differs,
    difference,
)
from state.checks.lineage import edge_findings, lineage_findings
from state.checks.usage import usage_findings
from state.checks.user_data import name_findings, user_data_findings
from state.jobs.progress import done_of
from state.rows.ledger import LEDGER_SQL, compare_with_ledger, leave_out_unreadable, stamp_of
from state.rows.openings import base_id, ids_in
from state.rows.writer import bucket_of

_ROWS_SQL: Final = (
    "SELECT id, row_id, rollout_path, archived, archived_at, name, source, parent_thread_id,"
    " forked_from_id, history_base, size_bytes, mtime_ns, inode FROM threads"
)
_FILES_SQL: Final = (
    "SELECT path, bucket, thread_id, reason, reason_offset, bad_lines, left_out, left_out_at,"
    " size_bytes, mtime_ns, inode, retry FROM rollout_files"
)

_OTHERS: Final = (edge_findings, usage_findings, name_findings, user_data_findings)


def check_structure(connection: sqlite3.Connection, home: Path, path: Path) -> Iterator[Finding]:
    """Every finding about the index at ``path``, open as ``connection`` in a transaction. Raises
    sqlite3.Error if the database cannot be read as far as that takes."""
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: sys.intern(text.decode())  # many are in two tables
    threads = {row["id"]: row for row in connection.execute(_ROWS_SQL)}
    files = {row["path"]: row for row in connection.execute(_FILES_SQL)}
    bases = {base_id(base) for row in threads.values() if (base := row["history_base"])}
    index = IndexState(home, path, connection, threads, files, ids_in(files) & bases)
    for check in (_job, _scan, _files, _threads, *_OTHERS):
        yield from check(index)


def _job(index: IndexState) -> Iterator[Finding]:
    job = index.connection.execute("SELECT * FROM backfill_state").fetchone()
    if job is None:
        yield damaged("its table backfill_state is empty")
    elif job["status"] != "complete":
        yield Finding(
            KINDS["index_incomplete"],
            "The backfill is not complete.",
            measured=f"{job['status']}, {done_of(job['files_done'], job['files_total'])}",
            expected="complete",
        )


def _scan(index: IndexState) -> Iterator[Finding]:
    """Compare files and ledger. Changes since the last sync are not the index's fault."""
    ledger = {row[0]: tuple(row) for row in index.connection.execute(LEDGER_SQL)}
    changes = compare_with_ledger(scan_home(index.home), ledger)
    leave_out_unreadable(index.home, changes)
    for file in changes.away:
        yield Finding(KINDS["cannot_look"], f"It {file.ignored}.", path=file.path)
    for file in [*changes.to_read, *changes.ignored]:
        held = index.files.get(file.path)
        if is_away(file):
            continue
        if held is None:
            moved = changes.moved_from.get(file.path)
            message = f"Moved from {moved}." if moved else "The index does not have this file."
            yield Finding(KINDS["not_indexed"], message, path=file.path)
        else:
            yield _out_of_date(held, file)
    for path in changes.vanished:
        held = index.files[path]
        if (held["reason"] or "").startswith(INACCESSIBLE):
            yield _about(KINDS["out_of_date"], "It can be accessed again, or is gone.", held)
        else:
            yield _about(KINDS["file_gone"], "The file is gone.", held)


def _out_of_date(held: sqlite3.Row, file: FoundFile) -> Finding:
    """The finding that the index is behind a file, which it may only have to try again."""
    if stamp_of(held) == file.stamp:
        return _about(KINDS["out_of_date"], "The next sync reads it again.", held)
    message = "Changed since it was read."
    measured, expected = (
        f"{stamp.size} bytes, mtime {stamp.mtime_ns} ns" for stamp in (stamp_of(held), file.stamp)
    )
    kind = KINDS["out_of_date"]
    return difference(kind, message, held["thread_id"], file.path, measured, expected)


def _files(index: IndexState) -> Iterator[Finding]:
    """Each file is in the right bucket; what of it cannot be read is reported."""
    for path, file in index.files.items():
        bucket, thread_id = file["bucket"], file["thread_id"]
        if bucket == "unreadable":
            again = " Make it readable; the next sync reads it." if file["retry"] else ""
            message = f"The file holds no readable thread: {file['reason']}.{again}"
            yield _about(KINDS["unreadable"], message, file, file["reason_offset"])
            continue
        if bucket == "ignored":
            continue
        if file["bad_lines"]:
            count = file["bad_lines"]
            lines = "1 line" if count == 1 else f"{count} lines"
            message = f"{lines} cannot be read, the first: {file['reason']}."
            yield _about(KINDS["damaged_lines"], message, file, file["reason_offset"])
        if file["left_out"]:
            count = file["left_out"]
            lines = "1 line is" if count == 1 else f"{count} lines are"
            message = (
                f"{lines} outside any turn, because Codex skips lines whose ordinals do not"
                " follow, as when a second program writes the file; threadkeep search --raw reads"
                " them."
            )
            yield _about(KINDS["lines_left_out"], message, file, file["left_out_at"])
        thread = index.threads.get(thread_id)
        if thread is None:
            yield _about(KINDS["row_missing"], "The thread of this file has no row.", file)
            continue
        right = bucket_of(path, thread["rollout_path"])
        if bucket != right:
            message = "The file is in the wrong bucket."
            yield difference(KINDS["wrong_bucket"], message, thread_id, path, bucket, right)
        elif bucket == "duplicate":
            message = f"Another copy of {thread['rollout_path']}, which is the one shown."
            yield _about(KINDS["duplicate"], message, file)


def _about(
    kind: FindingKind, message: str, file: sqlite3.Row, offset: int | None = None
) -> Finding:
    return Finding(kind, message, file["thread_id"], file["path"], offset)


def _threads(index: IndexState) -> Iterator[Finding]:
    """Each row shows the best file of its thread, as the ledger has it."""
    best: dict[str, Precedence] = {}
    for path, file in index.files.items():
        if thread_id := file["thread_id"]:
            rank = precedence(path, file["size_bytes"], thread_id)
            best[thread_id] = max(best.get(thread_id, rank), rank)
    for thread_id, row in index.threads.items():
        path = row["rollout_path"]
        shown = index.files.get(path)
        if shown is None or shown["thread_id"] != thread_id:
            message = "The row shows a file that is not this thread's in the ledger."
            yield Finding(KINDS["row_without_file"], message, thread_id, path)
            continue
        right = best[thread_id].path
        if right != path:
            message = "The row does not show the best file of its thread."
            yield difference(KINDS["wrong_file"], message, thread_id, path, path, right)
        expected = {name: shown[name] for name in ("size_bytes", "mtime_ns", "inode")}
        archived = is_archived(path)
        expected["archived"] = int(archived)
        expected["archived_at"] = shown["mtime_ns"] // 1_000_000_000 if archived else None
        for name, value in expected.items():
            if row[name] != value:
                yield column_differs(thread_id, path, name, row[name], value)
        yield from lineage_findings(index, row)
