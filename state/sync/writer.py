"""Store what was read from files: rows, the ledger, and which file is a thread's own.

Everything here runs inside the caller's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.layout import Precedence, parse_name, precedence
from rollout.files.scan import FoundFile
from rollout.metadata.model import BEGINS_ELSEWHERE
from rollout.metadata.outcomes import Extracted, Unusable
from rollout.metadata.session_index import ThreadName, read_names
from rollout.metadata.version import EXTRACTOR_VERSION
from state.clock import now_ms
from state.db.location import INPUTS_KEY
from state.db.schema import index_meta, rollout_files, threads
from state.db.sql import among, execute_many, upsert_statement
from state.sync import thread_rows as rows
from state.sync.home_config import default_provider, home_inputs
from state.sync.openings import ids_in, update_openings
from state.sync.usage_rows import update_usage
from state.userdata.model import chosen_names, values_of_columns
from state.userdata.store import newer_names, recorded_name, values_of_threads

_UPSERT_ENTRY: Final = upsert_statement(
    rollout_files, "first_seen_ms", attempts=sa.literal_column("rollout_files.attempts + 1")
)
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


async def invalidate_inputs(connection: AsyncConnection, inputs: str) -> None:
    """Have names and the default provider applied again unless the index follows ``inputs``: the
    rows stored here may be behind what another process has applied since."""
    c = index_meta.c
    await connection.execute(sa.delete(index_meta).where(c.key == INPUTS_KEY, c.value != inputs))


_MOVABLE: Final = (
    "SELECT m.value ->> 1, m.value ->> 0, t.row_id FROM json_each(?) m"
    " JOIN rollout_files f ON f.path = m.value ->> 0 AND f.bucket = 'indexed'"
    " JOIN threads t ON t.rollout_path = f.path AND t.id = f.thread_id"
    " WHERE NOT EXISTS (SELECT 1 FROM rollout_files n WHERE n.path = m.value ->> 1)"
    " AND (SELECT count(*) FROM rollout_files o WHERE o.thread_id = f.thread_id) = 1"
)
"""The only files of their threads."""


async def move_entries(connection: AsyncConnection, moved: Sequence[tuple[str, str]]) -> None:
    """Let what the index has of files, by their old and new paths, go along with them, where a
    thread has just that file. They are stored next: as one that changed, not as a second file of
    the thread, which costs several times as much."""
    if not moved:
        return
    asked = (orjson.dumps(moved).decode(),)
    found = [tuple(row) for row in await connection.exec_driver_sql(_MOVABLE, asked)]
    if not found:
        return
    await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    for table in ("rollout_files", "file_usage"):
        paths = [(new, old) for new, old, _ in found]
        await connection.exec_driver_sql(f"UPDATE {table} SET path = ? WHERE path = ?", paths)
    own = [(new, row_id) for new, _, row_id in found]
    await connection.exec_driver_sql("UPDATE threads SET rollout_path = ? WHERE row_id = ?", own)


async def store_files(
    connection: AsyncConnection,
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
    before = await rows.existing(connection, {file.metadata.id for file in read})
    owners, shown = await _owners(connection, paths)
    now_in = {file.path: file.metadata.id for file in read}
    orphaned = [id_ for path, id_ in shown.items() if now_in.get(path) != id_]
    winners: dict[str, Extracted] = {}
    for file in read:
        thread_id = file.metadata.id
        rank = precedence(file.path, file.stamp.size, thread_id)
        rival = None
        if thread_id in winners:
            rival = precedence(winners[thread_id].path, winners[thread_id].stamp.size, thread_id)
        elif thread_id in before and thread_id not in orphaned:
            rival = _rank(before[thread_id])
        if rival is None or rival.path == file.path or rival.path in gone or rank > rival:
            winners[thread_id] = file
    stored.dropped += await rows.delete(connection, [i for i in orphaned if i not in winners])
    values = await values_of_threads(connection, list(winners))
    recorded = {
        id_: name for id_, file in winners.items() if (name := recorded_name(file.metadata))
    }
    given = {id_: context.names[id_] for id_ in winners if id_ in context.names}
    names = chosen_names(newer_names(given, recorded), values)
    overrides = values_of_columns(values)
    provider = context.default_provider
    await rows.upsert(
        connection,
        [
            (file, rows.thread_row(file, names.get(id_), provider, overrides.get(id_)))
            for id_, file in winners.items()
        ],
        before,
    )
    await rows.invalidate_readings(connection, _read_anew(read, winners, before))
    await _keep_openings(connection, winners, before)
    entries = [_entry(outcome, context.now_ms) for outcome in outcomes]
    for entry in entries:
        own = winners.get(entry["thread_id"])
        if own is not None and own.path == entry["path"]:
            entry["opening"] = None  # the row has it
    if entries:
        await execute_many(connection, _UPSERT_ENTRY, entries)
    await _assign_buckets(connection, [file.metadata.id for file in read])
    unusable = [outcome.path for outcome in outcomes if not isinstance(outcome, Extracted)]
    stored.copies = await update_usage(connection, read, unusable, owners)
    if read or owners:
        changed_ids = {*owners, *now_in.values(), *ids_in(paths)}
        await update_openings(connection, changed_ids)
    if winners:
        await invalidate_inputs(connection, context.inputs)
    stored.reread = await _other_files(connection, [i for i in orphaned if i not in winners])
    stored.reread += await _better_files(connection, winners, before)
    stored.unreadable = sum(isinstance(outcome, Unusable) for outcome in outcomes)
    return stored


def _read_anew(
    read: Sequence[Extracted],
    winners: Mapping[str, Extracted],
    before: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Threads of which a file was read whole again, or another file was read: what the index has of
    their messages and turns may not be there any more."""
    return [
        file.metadata.id
        for file in read
        if file.metadata.id in before
        and before[file.metadata.id]["extractor_version"] == file.extractor
        and (file.tools is not None or winners.get(file.metadata.id) is not file)
    ]


async def forget_files(connection: AsyncConnection, paths: Sequence[str]) -> StoredBatch:
    """Delete the ledger entries of vanished files, and the rows of threads that showed them."""
    c = rollout_files.c
    stored = StoredBatch()
    owners, shown = await _owners(connection, paths)
    orphaned = list(shown.values())
    stored.dropped = await rows.delete(connection, orphaned)
    await connection.execute(sa.delete(rollout_files).where(among(c.path, paths)))
    stored.reread = await _other_files(connection, orphaned)
    await _assign_buckets(connection, list(owners))
    stored.copies = await update_usage(connection, (), (), owners)
    await update_openings(connection, {*owners, *ids_in(paths)})
    return stored


async def _keep_openings(
    connection: AsyncConnection,
    winners: Mapping[str, Extracted],
    before: Mapping[str, Mapping[str, Any]],
) -> None:
    """Where another file is a thread's own now, keep the opening of the earlier one."""
    for thread_id, file in winners.items():
        old = before.get(thread_id)
        if old is None or old["rollout_path"] == file.path:
            continue
        of_other_file = old["flags"] & BEGINS_ELSEWHERE
        await connection.execute(
            sa.update(rollout_files)
            .where(
                rollout_files.c.path == old["rollout_path"], rollout_files.c.thread_id == thread_id
            )
            .values(opening="" if of_other_file else old["preview"])
        )


async def _owners(
    connection: AsyncConnection, paths: Sequence[str]
) -> tuple[set[str], dict[str, str]]:
    """The threads that the ledger has for files, and the thread of each file that a row shows."""
    f, c = rollout_files.c, threads.c
    asked = (
        sa.select(f.path, f.thread_id, c.id)
        .outerjoin(threads, (c.id == f.thread_id) & (c.rollout_path == f.path))
        .where(among(f.path, paths), f.thread_id.is_not(None))
    )
    found = list(await connection.execute(asked))
    return {row[1] for row in found}, {row[0]: row[2] for row in found if row[2] is not None}


async def _other_files(connection: AsyncConnection, thread_ids: Sequence[str]) -> list[str]:
    if not thread_ids:
        return []
    c = rollout_files.c
    others = await connection.scalars(sa.select(c.path).where(among(c.thread_id, thread_ids)))
    return list(others)


async def _better_files(
    connection: AsyncConnection,
    winners: Mapping[str, Extracted],
    before: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Files that outrank a thread's own file, where that ranks lower than before: because it was
    archived, say, or is a copy that has become smaller."""
    lower = {
        id_: rank
        for id_, file in winners.items()
        if id_ in before
        and (rank := precedence(file.path, file.stamp.size, id_)) < _rank(before[id_])
    }
    if not lower:
        return []
    c = rollout_files.c
    asked = sa.select(c.path, c.size_bytes, c.thread_id).where(among(c.thread_id, lower))
    return [
        path
        for path, size, id_ in await connection.execute(asked)
        if precedence(path, size, id_) > lower[id_]
    ]


def _rank(row: Mapping[str, Any]) -> Precedence:
    return precedence(row["rollout_path"], row["size_bytes"], row["id"])


async def _assign_buckets(connection: AsyncConnection, thread_ids: Sequence[str]) -> None:
    """Put each file of a thread that has several into its bucket, which depends only on the file
    and on the thread's own file."""
    c = rollout_files.c
    several = (
        sa.select(c.thread_id)
        .where(among(c.thread_id, dict.fromkeys(thread_ids)))
        .group_by(c.thread_id)
        .having(sa.func.count() > 1)
    )
    files = sa.select(c.path, c.bucket, threads.c.rollout_path).join(
        threads, threads.c.id == c.thread_id
    )
    for path, bucket, own in await connection.execute(files.where(c.thread_id.in_(several))):
        right = bucket_of(path, own)
        if bucket != right:
            await connection.execute(
                sa.update(rollout_files).where(c.path == path).values(bucket=right)
            )


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
