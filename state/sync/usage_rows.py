"""Store the tokens that files tell of, and sum them for their threads.

Several files of a thread may be copies of one rollout. Then the best of them counts whole, and of
another one only what it alone has, once :mod:`state.sync.copies` has read them together.

Everything here runs inside the caller's transaction.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.layout import parse_name, precedence
from rollout.files.stamp import FileStamp
from rollout.metadata.outcomes import Extracted
from rollout.usage.model import (
    UsageKey,
    UsageSums,
    decode_rows,
    encode_rows,
    without,
)
from state.db.schema import file_usage, thread_limits, thread_usage
from state.db.sql import among, execute_many, upsert_statement

NOT_COMPARED: Final = ""
"""``only_here`` of a copy that has to be compared: until then nothing of it counts."""
NOTHING: Final = "[]"
FIELDS: Final = ("sums", "state", "limits_at_ms", "limits", "odd", "odd_at")
"""The columns of ``file_usage`` that :func:`rollout.usage.file.stored_usage` takes."""
Rows = dict[UsageKey, UsageSums]

_KEY: Final = UsageKey._fields
_SUMS: Final = UsageSums._fields
_COUNTED: Final = (
    *(f"j.value ->> {at} AS {name}" for at, name in enumerate(_KEY)),
    *(f"sum(j.value ->> {at}) AS {name}" for at, name in enumerate(_SUMS, len(_KEY))),
)
_FILES: Final = (
    "threads t JOIN rollout_files f ON f.thread_id = t.id JOIN file_usage u ON u.path = f.path"
)
_THESE: Final = "t.id IN (SELECT value FROM json_each(?))"
USAGE_SQL: Final = (
    f"SELECT t.row_id, {', '.join(_COUNTED)} FROM {_FILES},"
    f" json_each(CASE u.only_here WHEN '{NOT_COMPARED}' THEN '{NOTHING}'"
    " ELSE coalesce(u.only_here, u.sums) END) j"
    f" WHERE json_array_length(j.value) = {len(_KEY + _SUMS)} AND {{}}"
    f" GROUP BY t.row_id, {', '.join(f'j.value ->> {at}' for at in range(len(_KEY)))}"
    f" HAVING sum(j.value ->> {len(_KEY + _SUMS) - 1}) <> 0"
)
"""The rows of ``thread_usage`` as the files have them, of threads ``t`` that meet a condition."""
LIMITS_SQL: Final = (
    "SELECT row_id, max(at_ms), json_group_object(limit_id, json(snapshot)) FROM ("
    "SELECT t.row_id, j.key AS limit_id, j.value AS snapshot, "
    " max(CAST(j.value ->> 'at_ms' AS INTEGER)) AS at_ms"
    f" FROM {_FILES}, json_each(u.limits) j WHERE j.type = 'object' AND {{}}"
    " GROUP BY t.row_id, j.key ORDER BY t.row_id, j.key) GROUP BY row_id"
)
"""The rows of ``thread_limits`` as the files have them: of each limit the newest."""


class CopyRow(NamedTuple):
    """A file of a thread that has several."""

    thread_id: str
    path: str
    size_bytes: int
    mtime_ns: int
    inode: int
    sums: str
    state: str
    only_here: str | None

    @property
    def stamp(self) -> FileStamp:
        """Of the file when it was read."""
        return FileStamp(self.size_bytes, self.mtime_ns, self.inode)


_UPSERT: Final = upsert_statement(file_usage, "only_here")
_SET_ONLY_HERE: Final = "UPDATE file_usage SET only_here = ? WHERE path = ?"
_SEVERAL: Final = (
    "SELECT f.thread_id, f.path, f.size_bytes, f.mtime_ns, f.inode, u.sums, u.state, u.only_here,"
    f" t.rollout_path FROM {_FILES} WHERE {_THESE} AND (u.only_here NOT NULL"
    " OR (SELECT count(*) FROM rollout_files o WHERE o.thread_id = t.id) > 1)"
)
_TO_COMPARE: Final = (
    "SELECT DISTINCT f.thread_id FROM file_usage u JOIN rollout_files f ON f.path = u.path"
    f" JOIN threads t ON t.id = f.thread_id WHERE u.only_here = '{NOT_COMPARED}'"
)


async def update_usage(
    connection: AsyncConnection,
    files: Sequence[Extracted],
    unusable: Sequence[str],
    owners: Collection[str],
) -> bool:
    """Store what files tell, which are in the ledger already, and sum it for their threads. Other
    paths give no thread any more, or are gone; ``owners`` are threads that had any of them all.
    Gives whether there are copies to compare."""
    await _store(connection, files)
    if unusable:
        await connection.execute(sa.delete(file_usage).where(among(file_usage.c.path, unusable)))
    ids = {file.metadata.id for file in files}
    lost = {id_ for id_ in owners if id_ not in ids}
    whole = {file.path for file in files if file.tools is not None}
    due = await _mark_copies(connection, lost, None) | await _mark_copies(connection, ids, whole)
    await _sum(connection, ids | lost)
    return due


async def _store(connection: AsyncConnection, files: Sequence[Extracted]) -> None:
    values = [
        {
            "path": file.path,
            "sums": encode_rows(file.usage.rows),
            "only_here": None,
            "state": file.usage.state,
            "limits_at_ms": file.usage.limits.at_ms if file.usage.limits else None,
            "limits": file.usage.limits.value if file.usage.limits else None,
            "odd": file.usage.odd,
            "odd_at": file.usage.odd_at,
        }
        for file in files
    ]
    if values:
        await execute_many(connection, _UPSERT, values)


async def _sum(connection: AsyncConnection, thread_ids: Iterable[str]) -> None:
    """Make the rows of threads from those of their files."""
    ids = [*thread_ids]
    if not ids:
        return
    asked = (orjson.dumps(ids).decode(),)
    for table, sql in ((thread_usage, USAGE_SQL), (thread_limits, LIMITS_SQL)):
        # As text, which costs a tenth of building the statement (measured).
        old = f"SELECT t.row_id FROM threads t WHERE {_THESE}"
        await connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE row_id IN ({old})", asked)
        columns = ", ".join(column.name for column in table.c)
        insert = f"INSERT INTO {table.name} ({columns}) {sql.format(_THESE)}"
        await connection.exec_driver_sql(insert, asked)


async def _mark_copies(
    connection: AsyncConnection, thread_ids: Collection[str], whole: Collection[str] | None
) -> bool:
    """Decide which files of threads count in full, and have the others compared if their copies may
    differ now: those of the files that were read ``whole``, by default all. Gives whether any has
    to be.

    A file that has only grown is not among them: no copy has what Codex has just appended. Thus the
    copies of a thread in use are not read again and again.
    """
    due = False
    for best, *others in await _groups(connection, thread_ids):
        paths = {best.path, *(file.path for file in others)}
        settled = best.only_here is None and all(file.only_here is not None for file in others)
        if settled and whole is not None and paths.isdisjoint(whole):
            continue
        values: list[tuple[str | None, str]] = [(None, best.path)]
        for file in others:
            same = (file.sums, file.state) == (best.sums, best.state)
            values.append((NOTHING if same else NOT_COMPARED, file.path))
            due = due or not same
        await connection.exec_driver_sql(_SET_ONLY_HERE, values)
    return due


async def threads_to_compare(connection: AsyncConnection) -> list[str]:
    """The threads that have copies of which it is not known what they alone have."""
    return [row[0] for row in await connection.exec_driver_sql(_TO_COMPARE)]


async def copies_of(connection: AsyncConnection, thread_ids: Iterable[str]) -> list[list[CopyRow]]:
    """Such copies of these threads, each group with the best one of all first."""
    groups = await _groups(connection, thread_ids)
    return [group for group in groups if any(file.only_here == NOT_COMPARED for file in group)]


async def store_compared(
    connection: AsyncConnection, compared: Sequence[tuple[list[CopyRow], Rows]]
) -> None:
    """Store what the files of each group have together, unless the group has changed meanwhile."""
    groups = await _groups(connection, {group[0].thread_id for group, _ in compared})
    done = [(group, rows) for group, rows in compared if group in groups]
    for (best, first, *others), rows in done:
        left = encode_rows(without(rows, decode_rows(best.sums)))
        await connection.exec_driver_sql(_SET_ONLY_HERE, (left, first.path))
        for file in others:
            await connection.exec_driver_sql(_SET_ONLY_HERE, (NOTHING, file.path))
    await _sum(connection, {group[0].thread_id for group, _ in done})


async def _groups(connection: AsyncConnection, thread_ids: Iterable[str]) -> list[list[CopyRow]]:
    """The files of threads that have several, those of one rollout together, the best one first."""
    asked = (orjson.dumps([*thread_ids]).decode(),)
    groups: defaultdict[tuple[str, str], list[CopyRow]] = defaultdict(list)
    for row in await connection.exec_driver_sql(_SEVERAL, asked):
        file = CopyRow._make(row[:-1])
        groups[file.thread_id, _rollout_of(file.path, row[-1])].append(file)
    for group in groups.values():
        group.sort(key=lambda f: precedence(f.path, f.size_bytes, f.thread_id), reverse=True)
    return list(groups.values())


def _rollout_of(path: str, own: str) -> str:
    """What copies of one rollout have in common, among the files of the thread that shows ``own``;
    see :func:`state.sync.writer.bucket_of`."""
    mine, other = parse_name(path), parse_name(own)
    if other is None or other.rollout_id is None:
        return ""
    return (mine and mine.rollout_id) or other.rollout_id
