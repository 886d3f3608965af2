"""Compare the copies of a rollout, so that each response that several of them have counts once.

Files are read outside of any transaction; what was found is stored if nothing has changed since.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.scan import stat_file
from rollout.files.stamp import FileStamp
from rollout.usage.copies import usage_of_copies
from state.db.database import Database, Writer
from state.jobs.pool import ReadPool
from state.rows.usage_rows import Rows, copies_of, store_compared, threads_to_compare

_BATCH_THREADS: Final = 50
_log = logging.getLogger("threadkeep.read")


async def compare_copies(database: Database, home: Path, write: Writer) -> None:
    """Compare what is due, also what a killed process has left. What cannot be read now, or is
    being written, stays due."""
    due = await database.look(threads_to_compare)
    if not due:
        return
    async with ReadPool(home) as pool:
        for start in range(0, len(due), _BATCH_THREADS):
            some = due[start : start + _BATCH_THREADS]
            groups = await database.look(partial(copies_of, thread_ids=some))
            pool.prepare(size=sum(file.size_bytes for group in groups for file in group))
            asked = [[(file.path, file.stamp) for file in group] for group in groups]
            found = await pool.map(read_copies, asked)
            compared = [
                (group, rows) for group, rows in zip(groups, found, strict=True) if rows is not None
            ]
            if compared:
                await write(partial(store_compared, compared=compared))


def read_copies(home: str, groups: Sequence[Sequence[tuple[str, FileStamp]]]) -> list[Rows | None]:
    """What the files of each group tell together; None if one is not as it was."""
    return [_read(Path(home), files) for files in groups]


def _read(home: Path, files: Sequence[tuple[str, FileStamp]]) -> Rows | None:
    try:
        usage = usage_of_copies(home, [path for path, _ in files])
    except Exception:  # noqa: BLE001  # a bug of ours must not cost the other files
        _log.exception("cannot compare %s", files[0][0])
        return None
    there = [stat_file(home, path) for path, _ in files]
    same = all(file and file.stamp == stamp for file, (_, stamp) in zip(there, files, strict=True))
    return usage.rows if same else None
