"""Store what was read from files: rows, the ledger, and which file is a thread's own.

Everything here runs inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from rollout.files.layout import Precedence, parse_name, precedence
from rollout.files.scan import FoundFile
from rollout.metadata.model import BEGINS_ELSEWHERE
from rollout.metadata.outcomes import Extracted, Unusable
from rollout.metadata.session_index import ThreadName, read_names
from rollout.metadata.version import EXTRACTOR_VERSION
from state.clock import now_ms
from state.db.location import INPUTS_KEY
from state.db.sql import AMONG, Put, listed
from state.rows import thread_rows as rows
from state.rows.home_config import default_provider, home_inputs
from state.rows.openings import update_openings
from state.rows.usage_rows import update_usage
from state.userdata.model import chosen_names, values_of_columns
from state.userdata.store import newer_names, recorded_name, values_of_threads

_PUT_ENTRY: Final = Put("rollout_files", "first_seen_ms", attempts="rollout_files.attempts + 1")
NAMES_UNREAD: Final = "names cannot be read"
"""In the place of the inputs: the next sync tries it again."""


@dataclass(frozen=True, slots=True)
class Context:
    """What rows depend on besides their rollouts."""

    names: Mapping[str, ThreadName]
    """From ``session_index.jsonl``."""
    default_provider: str
    now_ms: int
    home: Path
    inputs: str
    """The identity of the files that names and provider come from, taken before they were read."""


def load_context(home: Path) -> Context:
    """What rows depend on besides their rollouts, as it is now."""
    inputs = home_inputs(home)
    try:
        names = read_names(home)
    except OSError:
        names, inputs = {}, NAMES_UNREAD
    return Context(names, default_provider(home), now_ms(), home, inputs)


def _current(context: Context) -> Context:
    """The context, loaded again if its files have changed since. Under the write lock, so that a
    name that was given meanwhile, and is in the index, is not replaced by an older one."""
    return context if home_inputs(context.home) == context.inputs else load_context(context.home)


@dataclass(slots=True)
class StoredBatch:
    """The outcome of a batch."""

    unreadable: int = 0
    dropped: int = 0
    reread: list[str] = field(default_factory=list)
    """Other files of threads that lost their own file here: they must be read again."""
    copies: bool = False
    """Whether files have to be compared: see :mod:`state.sync.copies`."""


def invalidate_inputs(connection: sqlite3.Connection, inputs: str) -> None:
    """Have names and the default provider applied again unless the index follows ``inputs``: the
    rows stored here may be behind what another process has applied since."""
    sql = "DELETE FROM index_meta WHERE key = ? AND value <> ?"
    connection.execute(sql, [INPUTS_KEY, inputs])


_MOVABLE: Final = (
    "SELECT m.value ->> 1, m.value ->> 0, t.row_id FROM json_each(?) m"
    " JOIN rollout_files f ON f.path = m.value ->> 0 AND f.bucket = 'indexed'"
    " JOIN threads t ON t.rollout_path = f.path AND t.id = f.thread_id"
    " WHERE NOT EXISTS (SELECT 1 FROM rollout_files n WHERE n.path = m.value ->> 1)"
    " AND (SELECT count(*) FROM rollout_files o WHERE o.thread_id = f.thread_id) = 1"
)
"""The only files of their threads."""


def move_entries(connection: sqlite3.Connection, moved: Sequence[tuple[str, str]]) -> None:
    """Let what the index has of files, by their old and new paths, go along with them, where a
    thread has just that file. They are stored next: as one that changed, not as a second file of
    the thread, which costs several times as much."""
    found = connection.execute(_MOVABLE, [orjson.dumps(moved).decode()]).fetchall() if moved else []
    if not found:
        return
    connection.execute("PRAGMA defer_foreign_keys = ON")
    for table in ("rollout_files", "file_usage"):
        paths = [(new, old) for new, old, _ in found]
        connection.executemany(f"UPDATE {table} SET path = ? WHERE path = ?", paths)
    own = [(new, row_id) for new, _, row_id in found]
    connection.executemany("UPDATE threads SET rollout_path = ? WHERE row_id = ?", own)


def store_files(
    connection: sqlite3.Connection,
    outcomes: Sequence[Extracted | Unusable | FoundFile],
    context: Context,
    vanished: Sequence[str] = (),
) -> StoredBatch:
    """Store the outcomes of some files; ``vanished`` are paths known to be gone.

    A thread has one row, from its file of highest precedence. Its other files are in the ledger
    alone, as segments or duplicates.
    """
    context = _current(context)
    stored = StoredBatch()
    gone = set(vanished)
    read = [outcome for outcome in outcomes if isinstance(outcome, Extracted)]
    paths = [outcome.path for outcome in outcomes]
    now_in = {file.path: file.metadata.id for file in read}
    before = rows.existing(connection, set(now_in.values()))
    owners, shown = _owners(connection, paths)
    orphaned = [id_ for path, id_ in shown.items() if now_in.get(path) != id_]
    winners: dict[str, Extracted] = {}
    for file in read:
        thread_id = file.metadata.id
        rival = None
        if thread_id in winners:
            rival = precedence(winners[thread_id].path, winners[thread_id].stamp.size, thread_id)
        elif thread_id in before and thread_id not in orphaned:
            rival = _rank(before[thread_id])
        if (
            rival is None
            or rival.path == file.path
            or rival.path in gone
            or precedence(file.path, file.stamp.size, thread_id) > rival
        ):
            winners[thread_id] = file
    lost = [id_ for id_ in orphaned if id_ not in winners]
    stored.dropped += rows.delete(connection, lost)
    values = values_of_threads(connection, winners)
    recorded = {
        id_: name for id_, file in winners.items() if (name := recorded_name(file.metadata))
    }
    given = {id_: context.names[id_] for id_ in winners if id_ in context.names}
    names = chosen_names(newer_names(given, recorded), values)
    overrides = values_of_columns(values)
    provider = context.default_provider
    rows.upsert(
        connection,
        [
            (file, rows.thread_row(file, names.get(id_), provider, overrides.get(id_)))
            for id_, file in winners.items()
        ],
        before,
    )
    rows.invalidate_readings(connection, _read_anew(read, winners, before))
    _keep_openings(connection, winners, before)
    entries = [_entry(outcome, context.now_ms) for outcome in outcomes]
    for entry in entries:
        own = winners.get(entry["thread_id"])
        if own is not None and own.path == entry["path"]:
            entry["opening"] = None  # the row has it
    _PUT_ENTRY.rows(connection, entries)
    _assign_buckets(connection, now_in.values())
    unusable = [outcome.path for outcome in outcomes if not isinstance(outcome, Extracted)]
    stored.copies = update_usage(connection, read, unusable, owners)
    if read or owners:
        update_openings(connection, {*owners, *now_in.values()}, paths)
    if winners:
        invalidate_inputs(connection, context.inputs)
    stored.reread = _other_files(connection, lost)
    stored.reread += _better_files(connection, winners, before)
    stored.unreadable = sum(isinstance(outcome, Unusable) for outcome in outcomes)
    return stored


def _read_anew(
    read: Sequence[Extracted],
    winners: Mapping[str, Extracted],
    before: Mapping[str, Mapping[str, Any]],
) -> list[int]:
    """Rows of threads of which a file was read whole again, or another file was read: what the
    index has of their messages and turns may not be there any more."""
    return [
        row["row_id"]
        for file in read
        if (row := before.get(file.metadata.id))
        and row["extractor_version"] == file.extractor
        and (file.tools is not None or winners.get(file.metadata.id) is not file)
    ]


def forget_files(connection: sqlite3.Connection, paths: Sequence[str]) -> StoredBatch:
    """Delete the ledger entries of vanished files, and the rows of threads that showed them."""
    stored = StoredBatch()
    if not paths:
        return stored
    owners, shown = _owners(connection, paths)
    orphaned = list(shown.values())
    stored.dropped = rows.delete(connection, orphaned)
    connection.execute(f"DELETE FROM rollout_files WHERE path {AMONG}", [listed(paths)])
    stored.reread = _other_files(connection, orphaned)
    _assign_buckets(connection, owners)
    stored.copies = update_usage(connection, (), (), owners)
    update_openings(connection, owners, paths)
    return stored


def _keep_openings(
    connection: sqlite3.Connection,
    winners: Mapping[str, Extracted],
    before: Mapping[str, Mapping[str, Any]],
) -> None:
    """Where another file is a thread's own now, keep the opening of the earlier one."""
    left = [
        ("" if old["flags"] & BEGINS_ELSEWHERE else old["preview"], old["rollout_path"], id_)
        for id_, old in before.items()
        if id_ in winners and old["rollout_path"] != winners[id_].path
    ]
    sql = "UPDATE rollout_files SET opening = ? WHERE path = ? AND thread_id = ?"
    connection.executemany(sql, left)


def _owners(
    connection: sqlite3.Connection, paths: Sequence[str]
) -> tuple[set[str], dict[str, str]]:
    """The threads that the ledger has for files, and the thread of each file that a row shows."""
    found = connection.execute(_OWNERS, [listed(paths)]).fetchall()
    return {row[1] for row in found}, {row[0]: row[2] for row in found if row[2] is not None}


_OWNERS: Final = (
    "SELECT f.path, f.thread_id, t.id FROM rollout_files f"
    " LEFT JOIN threads t ON t.id = f.thread_id AND t.rollout_path = f.path"
    f" WHERE f.path {AMONG} AND f.thread_id NOT NULL"
)
_FILES_OF: Final = f"SELECT path, size_bytes, thread_id FROM rollout_files WHERE thread_id {AMONG}"


def _other_files(connection: sqlite3.Connection, thread_ids: Sequence[str]) -> list[str]:
    if not thread_ids:
        return []
    return [path for path, *_ in connection.execute(_FILES_OF, [listed(thread_ids)])]


def _better_files(
    connection: sqlite3.Connection,
    winners: Mapping[str, Extracted],
    before: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Files that outrank a thread's own file, where that ranks lower than before: because it was
    archived, say, or is a copy that has become smaller."""
    lower = {
        id_: rank
        for id_, row in before.items()
        if (file := winners.get(id_))
        and (rank := precedence(file.path, file.stamp.size, id_)) < _rank(row)
    }
    if not lower:
        return []
    return [
        path
        for path, size, id_ in connection.execute(_FILES_OF, [listed(lower)])
        if precedence(path, size, id_) > lower[id_]
    ]


def _rank(row: Mapping[str, Any]) -> Precedence:
    return precedence(row["rollout_path"], row["size_bytes"], row["id"])


_SEVERAL: Final = (
    "SELECT f.path, f.bucket, t.rollout_path FROM rollout_files f"
    " JOIN threads t ON t.id = f.thread_id WHERE f.thread_id IN (SELECT thread_id"
    f" FROM rollout_files WHERE thread_id {AMONG} GROUP BY thread_id HAVING count(*) > 1)"
)


def _assign_buckets(connection: sqlite3.Connection, thread_ids: Iterable[str]) -> None:
    """Put each file of a thread that has several into its bucket, which depends only on the file
    and on the thread's own file."""
    found = connection.execute(_SEVERAL, [listed(set(thread_ids))]).fetchall()
    wrong = [
        (right, path) for path, bucket, own in found if bucket != (right := bucket_of(path, own))
    ]
    connection.executemany("UPDATE rollout_files SET bucket = ? WHERE path = ?", wrong)


def bucket_of(path: str, thread_file: str) -> str:
    """The bucket of a readable file whose thread shows ``thread_file``."""
    if path == thread_file:
        return "indexed"
    mine = parse_name(path)
    other = parse_name(thread_file)
    if mine and other and mine.rollout_id and other.rollout_id:
        return "segment" if mine.rollout_id != other.rollout_id else "duplicate"
    return "duplicate"


_NOTHING_READ: Final = dict.fromkeys(("bad_lines", "left_out", "retry"), 0) | dict.fromkeys(
    ("thread_id", "reason", "reason_offset", "left_out_at", "opening")
)


def _entry(outcome: Extracted | Unusable | FoundFile, now_ms: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        **_NOTHING_READ,
        "path": outcome.path,
        "size_bytes": outcome.stamp.size,
        "mtime_ns": outcome.stamp.mtime_ns,
        "inode": outcome.stamp.inode,
        "extractor_version": EXTRACTOR_VERSION,
        "first_seen_ms": now_ms,
        "last_seen_ms": now_ms,
    }
    if isinstance(outcome, Extracted):
        bad = outcome.first_bad
        return entry | {
            "bucket": "indexed",
            "thread_id": outcome.metadata.id,
            "reason": bad.reason if bad else None,
            "reason_offset": bad.offset if bad else None,
            "bad_lines": outcome.bad_lines,
            "left_out": outcome.left_out,
            "left_out_at": outcome.left_out_at,
            "opening": outcome.metadata.preview,
            "extractor_version": outcome.extractor,
        }
    if isinstance(outcome, Unusable):
        return entry | {
            "bucket": "unreadable",
            "reason": outcome.reason,
            "reason_offset": outcome.offset,
            "retry": int(outcome.retry),
        }
    return entry | {"bucket": "ignored", "reason": outcome.ignored}
