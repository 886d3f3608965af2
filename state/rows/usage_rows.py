"""Store the tokens that files tell of, and sum them for their threads.

Several files of a thread may be copies of one rollout. Then the best of them counts whole, and of
another one only what it alone has, once :mod:`state.sync.copies` has read them together.

Everything here runs inside the caller's transaction.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

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
from state.db.sql import AMONG, listed

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
_THESE: Final = f"t.id {AMONG}"
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


_COLUMNS: Final = ("path", "sums", "state", "limits_at_ms", "limits", "odd", "odd_at")
_UPSERT: Final = (
    f"INSERT INTO file_usage ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (path) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
_SUM: Final = [
    sql
    for table, columns, made in (
        ("thread_usage", ("row_id", *_KEY, *_SUMS), USAGE_SQL),
        ("thread_limits", ("row_id", "at_ms", "value"), LIMITS_SQL),
    )
    for sql in (
        f"DELETE FROM {table} WHERE row_id IN (SELECT t.row_id FROM threads t WHERE {_THESE})",
        f"INSERT INTO {table} ({', '.join(columns)}) {made.format(_THESE)}",
    )
]
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


def update_usage(
    connection: sqlite3.Connection,
    files: Sequence[Extracted],
    unusable: Sequence[str],
    owners: Collection[str],
) -> bool:
    """Store what files tell, which are in the ledger already, and sum it for their threads. Other
    paths give no thread any more, or are gone; ``owners`` are threads that had any of them all.
    Gives whether there are copies to compare."""
    connection.executemany(_UPSERT, map(_row, files))
    if unusable:
        connection.execute(f"DELETE FROM file_usage WHERE path {AMONG}", [listed(unusable)])
    ids = {file.metadata.id for file in files}
    lost = {id_ for id_ in owners if id_ not in ids}
    whole = {file.path for file in files if file.tools is not None}
    due = _mark_copies(connection, lost, None) | _mark_copies(connection, ids, whole)
    _sum(connection, ids | lost)
    return due


def _row(file: Extracted) -> tuple[Any, ...]:
    """Of ``file_usage``."""
    usage = file.usage
    limits = usage.limits or (None, None)
    return (file.path, encode_rows(usage.rows), usage.state, *limits, usage.odd, usage.odd_at)


def _sum(connection: sqlite3.Connection, thread_ids: Collection[str]) -> None:
    """Make the rows of threads from those of their files."""
    if thread_ids:
        asked = [listed(thread_ids)]
        for sql in _SUM:
            connection.execute(sql, asked)


def _mark_copies(
    connection: sqlite3.Connection, thread_ids: Collection[str], whole: Collection[str] | None
) -> bool:
    """Decide which files of threads count in full, and have the others compared if their copies may
    differ now: those of the files that were read ``whole``, by default all. Gives whether any has
    to be.

    A file that has only grown is not among them: no copy has what Codex has just appended. Thus the
    copies of a thread in use are not read again and again.
    """
    due = False
    for best, *others in _groups(connection, thread_ids):
        paths = {best.path, *(file.path for file in others)}
        settled = best.only_here is None and all(file.only_here is not None for file in others)
        if settled and whole is not None and paths.isdisjoint(whole):
            continue
        values: list[tuple[str | None, str]] = [(None, best.path)]
        for file in others:
            same = (file.sums, file.state) == (best.sums, best.state)
            values.append((NOTHING if same else NOT_COMPARED, file.path))
            due = due or not same
        connection.executemany(_SET_ONLY_HERE, values)
    return due


def threads_to_compare(connection: sqlite3.Connection) -> list[str]:
    """The threads that have copies of which it is not known what they alone have."""
    return [row[0] for row in connection.execute(_TO_COMPARE)]


def copies_of(connection: sqlite3.Connection, thread_ids: Collection[str]) -> list[list[CopyRow]]:
    """Such copies of these threads, each group with the best one of all first."""
    groups = _groups(connection, thread_ids)
    return [group for group in groups if any(file.only_here == NOT_COMPARED for file in group)]


def store_compared(
    connection: sqlite3.Connection, compared: Sequence[tuple[list[CopyRow], Rows]]
) -> None:
    """Store what the files of each group have together, unless the group has changed meanwhile."""
    groups = _groups(connection, {group[0].thread_id for group, _ in compared})
    done = [(group, rows) for group, rows in compared if group in groups]
    for (best, first, *others), rows in done:
        left = encode_rows(without(rows, decode_rows(best.sums)))
        values = [(left, first.path), *((NOTHING, file.path) for file in others)]
        connection.executemany(_SET_ONLY_HERE, values)
    _sum(connection, {group[0].thread_id for group, _ in done})


def _groups(connection: sqlite3.Connection, thread_ids: Collection[str]) -> list[list[CopyRow]]:
    """The files of threads that have several, those of one rollout together, the best one first."""
    groups: defaultdict[tuple[str, str], list[CopyRow]] = defaultdict(list)
    for row in connection.execute(_SEVERAL, [listed(thread_ids)]) if thread_ids else ():
        file = CopyRow._make(row[:-1])
        groups[file.thread_id, _rollout_of(file.path, row[-1])].append(file)
    for group in groups.values():
        group.sort(key=lambda f: precedence(f.path, f.size_bytes, f.thread_id), reverse=True)
    return list(groups.values())


def _rollout_of(path: str, own: str) -> str:
    """What copies of one rollout have in common, among the files of the thread that shows ``own``;
    see :func:`state.rows.writer.bucket_of`."""
    mine, other = parse_name(path), parse_name(own)
    if other is None or other.rollout_id is None:
        return ""
    return (mine and mine.rollout_id) or other.rollout_id
