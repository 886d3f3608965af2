"""When the turns of threads began, read from their rollouts."""

from dataclasses import dataclass, field
from typing import Final

from rollout.history.count import ThreadFiles, turn_counts
from state.db.steps import Steps
from state.jobs.pool import read_files
from state.jobs.progress import Report
from state.query.listing import selected_steps
from state.reports.calendar import HOUR_S
from state.reports.stats import Asked
from state.thread_index import ThreadIndex

_HOUR_MS: Final = HOUR_S * 1000


@dataclass(slots=True)
class Turns:
    """The turns of threads."""

    rows: list[tuple[int, int | None]] = field(default_factory=list)
    """For each turn the row of its thread, and the hour in which it began, if that is known."""
    problems: dict[str, str] = field(default_factory=dict)
    """Files whose turns could not be counted, and why."""


async def read_turns(index: ThreadIndex, asked: Asked, report: Report | None = None) -> Turns:
    """The turns of the threads that ``asked`` chooses, also some that began outside of its span.
    Reads their rollouts."""
    threads = await index.database.query(_threads_steps(asked))
    files = [(files, size) for _, size, files in threads]
    # Most lines are skipped, which takes a quarter of the time that parsing them does.
    counts = read_files(index.home, turn_counts, files, effort=1 / 4, report=report)
    found = Turns()
    row_ids = iter(threads)
    async for count in counts:
        row_id, _, files_of = next(row_ids)
        found.rows += [(row_id, hour) for hour in count.hours]
        if count.problem:
            found.problems[files_of.path] = count.problem
    return found


def _threads_steps(asked: Asked) -> Steps[list[tuple[int, int, ThreadFiles]]]:
    """The rows of the threads, the bytes of their own files, and all their files."""
    where, parameters = yield from selected_steps(asked.query, archived=asked.archived)
    if asked.span.since is not None:
        where += " AND max(recency_at_ms, mtime_ns / 1000000) >= ?"
        parameters.append(asked.span.since * _HOUR_MS)
    rows = yield (
        f"SELECT row_id, id, size_bytes, rollout_path FROM threads WHERE {where}"
        " ORDER BY created_at_ms DESC, id",
        parameters,
    )
    others: dict[str, list[str]] = {}
    segments = "SELECT thread_id, path FROM rollout_files WHERE bucket = 'segment'"
    for thread_id, path in (yield (segments, [])):
        others.setdefault(thread_id, []).append(path)
    return [
        (row_id, size, ThreadFiles(path, tuple(others.get(id_, ()))))
        for row_id, id_, size, path in rows
    ]
