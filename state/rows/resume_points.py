"""Where the passes over files ended, in the index: one table for all passes."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rollout.files.stamp import FileStamp
from rollout.jsonl.resume import ResumePoint
from state.db.sql import AMONG, listed

METADATA: Final = "metadata"
FULLTEXT: Final = "fulltext"
TURNS: Final = "turns"
COLUMNS: Final = ("size_bytes", "mtime_ns", "inode", "end_offset", "guard")

_UPSERT: Final = (
    f"INSERT INTO resume_points (row_id, pass, part, {', '.join(COLUMNS)})"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (row_id, pass, part) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in COLUMNS)}"
)
_LOAD: Final = (
    f"SELECT row_id, {', '.join(COLUMNS)} FROM resume_points"
    f" WHERE row_id {AMONG} AND pass = ? AND part = 0"
)


def put_resume_points(
    connection: sqlite3.Connection, pass_: str, points: Iterable[tuple[int, int, ResumePoint]]
) -> None:
    """Store where a pass ended: of each file the row of its thread, the number of the file in the
    history, and the point."""
    values = [
        (row_id, pass_, part, *point.stamp, point.end, point.guard)
        for row_id, part, point in points
    ]
    connection.executemany(_UPSERT, values)


def forget_resume_points(
    connection: sqlite3.Connection, passes: Sequence[str], row_ids: Iterable[int]
) -> None:
    """Have the next of these passes over threads read their files as a whole."""
    connection.execute(
        f"DELETE FROM resume_points WHERE pass {AMONG} AND row_id {AMONG}",
        [listed(passes), listed(row_ids)],
    )


def load_resume_points(
    connection: sqlite3.Connection, pass_: str, row_ids: Iterable[int]
) -> dict[int, ResumePoint]:
    """Where a pass over the own files of threads ended, by their rows."""
    found = connection.execute(_LOAD, [listed(row_ids), pass_])
    return {row[0]: point_of(row[1:]) for row in found}


def point_of(values: Sequence[Any]) -> ResumePoint:
    """The point that :data:`COLUMNS` of a row make."""
    return ResumePoint(FileStamp(*values[:3]), *values[3:])
