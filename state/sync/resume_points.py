"""Where the passes over files ended, in the index: one table for all passes."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.stamp import FileStamp
from rollout.jsonl.resume import ResumePoint
from state.db.schema import resume_points
from state.db.sql import among, execute_many, upsert_statement

METADATA: Final = "metadata"
FULLTEXT: Final = "fulltext"
TURNS: Final = "turns"
COLUMNS: Final = ("size_bytes", "mtime_ns", "inode", "end_offset", "guard")

_UPSERT: Final = upsert_statement(resume_points)


async def put_resume_points(
    connection: AsyncConnection, pass_: str, points: Iterable[tuple[int, int, ResumePoint]]
) -> None:
    """Store where a pass ended: of each file the row of its thread, the number of the file in the
    history, and the point."""
    values: list[dict[str, Any]] = [
        {"row_id": row_id, "pass": pass_, "part": part}
        | dict(zip(COLUMNS, (*point.stamp, point.end, point.guard), strict=True))
        for row_id, part, point in points
    ]
    if values:
        await execute_many(connection, _UPSERT, values)


async def forget_resume_points(
    connection: AsyncConnection, passes: Sequence[str], row_ids: "sa.Select[tuple[int]]"
) -> None:
    """Have the next of these passes over threads read their files as a whole."""
    c = resume_points.c
    await connection.execute(
        sa.delete(resume_points).where(c["pass"].in_(passes), c.row_id.in_(row_ids))
    )


async def load_resume_points(
    connection: AsyncConnection, pass_: str, row_ids: Iterable[int]
) -> dict[int, ResumePoint]:
    """Where a pass over the own files of threads ended, by their rows."""
    c = resume_points.c
    asked = sa.select(c.row_id, *(c[name] for name in COLUMNS)).where(
        among(c.row_id, row_ids), c["pass"] == pass_, c.part == 0
    )
    return {row[0]: point_of(row[1:]) for row in await connection.execute(asked)}


def point_of(values: Sequence[Any]) -> ResumePoint:
    """The point that :data:`COLUMNS` of a row make."""
    return ResumePoint(FileStamp(*values[:3]), *values[3:])
